/* The kernel's calls.  Number in x8, arguments in x0 to x7, `svc #0`; x0 to x18 are clobbered (exo/calls.h). */
#include "os/exo.h"

#define REG(n) register uint64_t x##n __asm__("x" #n)
#define CLOBBERS "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "memory", "cc"

/* Registers that carry an argument are read and clobbered, the others only clobbered. */
#define DECLARE_0 REG(0);
#define DECLARE_1 REG(0) = a0;
#define DECLARE_2 DECLARE_1 REG(1) = a1;
#define DECLARE_3 DECLARE_2 REG(2) = a2;
#define DECLARE_4 DECLARE_3 REG(3) = a3;
#define DECLARE_5 DECLARE_4 REG(4) = a4;
#define DECLARE_6 DECLARE_5 REG(5) = a5;
#define DECLARE_7 DECLARE_6 REG(6) = a6;
#define SVC_0 "=r"(x0), "+r"(x8)::"x1", "x2", "x3", "x4", "x5", "x6", "x7"
#define SVC_1 "+r"(x0), "+r"(x8)::"x1", "x2", "x3", "x4", "x5", "x6", "x7"
#define SVC_2 "+r"(x0), "+r"(x1), "+r"(x8)::"x2", "x3", "x4", "x5", "x6", "x7"
#define SVC_3 "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x8)::"x3", "x4", "x5", "x6", "x7"
#define SVC_4 "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x8)::"x4", "x5", "x6", "x7"
#define SVC_5 "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x8)::"x5", "x6", "x7"
#define SVC_6 "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x8)::"x6", "x7"
#define SVC_7 "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6), "+r"(x8)::"x7"

#define BODY(number, nargs)                                                                                  \
    {                                                                                                        \
        DECLARE_##nargs REG(8) = number;                                                                     \
        __asm__ volatile("svc #0" : SVC_##nargs, CLOBBERS);                                                  \
        return (int64_t)x0;                                                                                  \
    }
#define BODY_0(number) BODY(number, 0)
#define BODY_1(number) BODY(number, 1)
#define BODY_2(number) BODY(number, 2)
#define BODY_3(number) BODY(number, 3)
#define BODY_4(number) BODY(number, 4)
#define BODY_5(number) BODY(number, 5)
#define BODY_6(number) BODY(number, 6)
#define BODY_7(number) BODY(number, 7)

/* A message: six words go out in x1 to x6, and come back there; x7 carries the deadline, then the badge. */
#define BODY_8(number)                                                                                       \
    {                                                                                                        \
        REG(0) = to;                                                                                         \
        REG(1) = words->w[0];                                                                                \
        REG(2) = words->w[1];                                                                                \
        REG(3) = words->w[2];                                                                                \
        REG(4) = words->w[3];                                                                                \
        REG(5) = words->w[4];                                                                                \
        REG(6) = words->w[5];                                                                                \
        REG(7) = deadline;                                                                                   \
        REG(8) = number;                                                                                     \
        __asm__ volatile("svc #0"                                                                            \
                         : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6), "+r"(x7),   \
                           "+r"(x8)::CLOBBERS);                                                              \
        words->w[0] = x1;                                                                                    \
        words->w[1] = x2;                                                                                    \
        words->w[2] = x3;                                                                                    \
        words->w[3] = x4;                                                                                    \
        words->w[4] = x5;                                                                                    \
        words->w[5] = x6;                                                                                    \
        words->badge = x7;                                                                                   \
        return (int64_t)x0;                                                                                  \
    }

#define STUB(name, nargs, args, what) int64_t exo_##name(EXO_PARAMS_##nargs) BODY_##nargs(EXO_CALL_##name)
EXO_CALLS(STUB)
