/* Offsets that assembly needs.  offsets.c checks them against the structures. */
#ifndef ARCH_OFFSETS_H
#define ARCH_OFFSETS_H

#define VCPU_MASKED 24
#define VCPU_REGS 128
#define REGS_WORDS 35
#define CALL_CALL 1
#define CALL_WAIT 3
#define CALL_RESUME 0
#define CALL_EXIT 5

#define WORDS_BADGE 48
#define MSG_INTR_BIT 34
#define ERROR_EINTR 14

/* The frame that a diverted thread keeps on its own stack: exo_regs, then q0 to q31, fpsr and fpcr. */
#define FRAME_FP 288
#define FRAME_FPSR 800
#define FRAME_BYTES 816

#endif
