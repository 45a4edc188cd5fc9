/* Instructions that user mode has no use of, each a function. */
.macro instruction name, text:vararg
    .global do_\name
do_\name:
    \text
    ret
.endm
    .text
    instruction hvc, hvc #0
    instruction smc, smc #0
    instruction brk, brk #0
    instruction hlt, hlt #0
    instruction eret, .inst 0xd69f03e0
    instruction daif, msr daifset, #15
    instruction sctlr, mrs x0, sctlr_el1
    instruction ttbr, msr ttbr0_el1, x0
    instruction vbar, msr vbar_el1, x0
    instruction timer, msr cntv_cval_el0, x0
    instruction icache, ic iallu
    instruction dcache, dc isw, x0
    instruction translate, at s1e1w, x0
    instruction undefined, .inst 0
