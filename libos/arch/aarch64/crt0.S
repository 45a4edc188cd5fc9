/* The program's entry: the kernel enters here for the first upcall (START) with x0 the reason, x1 the info, upcalls
 * masked, on the upcall stack.  os_start never returns. */

    .section .text._start, "ax"
    .global _start
    .type _start, %function
_start:
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x1
    b       os_start
    .size _start, . - _start

/* Which version of the kernel's interface this program was built for: loaders look (os/load.h). */
    .section .note.corbel, "a", %note
    .balign 4
    .long 7, 4, 1 /* bytes of name and description; type */
    .asciz "Corbel"
    .balign 4
    .long 2 /* EXO_ABI_VERSION; start.c checks that it is */

    .section .note.GNU-stack, "", %progbits
