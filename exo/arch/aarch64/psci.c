#include "psci.h"

#include "arch/arch.h"
#include "tree.h"

enum psci { PSCI_SYSTEM_OFF = 0x84000008u, PSCI_SYSTEM_RESET = 0x84000009u, PSCI_CPU_ON = 0xc4000003u };

static enum { CONDUIT_NONE, CONDUIT_HVC, CONDUIT_SMC } conduit;

BOOT void psci_init(void)
{
    static const char *const compatible[] = {"arm,psci-1.0", "arm,psci-0.2", NULL};
    const char *method = tree_find(compatible) < 0 ? NULL : tree_text("/psci", "method");

    if (method)
        conduit = method[0] == 'h' ? CONDUIT_HVC : CONDUIT_SMC;
}

BOOT bool psci_there(void)
{
    return conduit != CONDUIT_NONE;
}

/* Firmware keeps x18 and up (SMC Calling Convention, DEN 0028). */
#define CONDUIT_CALL(instruction)                                                                            \
    __asm__ volatile(instruction                                                                             \
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)                                                \
                     :                                                                                       \
                     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",  \
                       "x17", "memory")

static int64_t psci_call(uint64_t function, uint64_t a, uint64_t b)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = 0;

    if (conduit == CONDUIT_HVC)
        CONDUIT_CALL("hvc #0");
    else if (conduit == CONDUIT_SMC)
        CONDUIT_CALL("smc #0");
    return (int64_t)x0;
}

BOOT int64_t psci_cpu_on(uint64_t affinity, uint64_t entry)
{
    __asm__ volatile("dsb ish" : : : "memory"); /* what it will read with its MMU on */
    return (int32_t)psci_call(PSCI_CPU_ON, affinity, entry);
}

BOOT const char *psci_error(int64_t error)
{
    static const char *const names[] = {"SUCCESS",    "NOT_SUPPORTED",  "INVALID_PARAMETERS", "DENIED",
                                        "ALREADY_ON", "ON_PENDING",     "INTERNAL_FAILURE",   "NOT_PRESENT",
                                        "DISABLED",   "INVALID_ADDRESS"};

    return error <= 0 && -error < (int64_t)ARRAY_LEN(names) ? names[-error] : "an unknown error";
}

void arch_stop(enum exo_stop_how how)
{
    psci_call(how == EXO_STOP_RESET ? PSCI_SYSTEM_RESET : PSCI_SYSTEM_OFF, 0, 0);
    arch_cpu_stop();
}
