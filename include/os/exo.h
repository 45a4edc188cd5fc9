/* The kernel's calls as C functions.  `exo_NAME` is exactly one kernel entry, for each call of exo/calls.h,
 * and returns what the kernel returned: 0, a count, or a negative enum exo_error.
 *
 * The `os_` functions below repeat a range call until the whole range is done.
 *
 * Callable from everywhere, upcalls included, unless a call's own nature forbids it. */
#ifndef OS_EXO_H
#define OS_EXO_H

#include "exo/abi.h"

/* The six words of a message, and the badge that came with it. */
struct exo_words {
    uint64_t w[EXO_MSG_WORDS];
    uint64_t badge; /* reply_wait: which gate the caller used; otherwise 0 */
};

#define EXO_PARAMS_0 void
#define EXO_PARAMS_1 uint64_t a0
#define EXO_PARAMS_2 EXO_PARAMS_1, uint64_t a1
#define EXO_PARAMS_3 EXO_PARAMS_2, uint64_t a2
#define EXO_PARAMS_4 EXO_PARAMS_3, uint64_t a3
#define EXO_PARAMS_5 EXO_PARAMS_4, uint64_t a4
#define EXO_PARAMS_6 EXO_PARAMS_5, uint64_t a5
#define EXO_PARAMS_7 EXO_PARAMS_6, uint64_t a6
/* The two message calls: whom, six words that go out and are replaced by the six that come in, deadline. */
#define EXO_PARAMS_8 uint64_t to, struct exo_words *words, uint64_t deadline

#define EXO_PROTOTYPE(name, nargs, args, what) int64_t exo_##name(EXO_PARAMS_##nargs);
EXO_CALLS(EXO_PROTOTYPE)
#undef EXO_PROTOTYPE

/* Range calls, repeated until all n pages are done.  0, or a negative enum exo_error with *done (may be NULL)
 * telling how many pages, from the first on, were handled before it. */
int os_page_alloc(exo_handle_t space, uint64_t va, uint64_t n, uint64_t flags, uint64_t *done);
int os_page_map(exo_handle_t dst, uint64_t va, exo_handle_t src, uint64_t sva, uint64_t n, unsigned prot,
                uint64_t *done);
int os_page_protect(exo_handle_t space, uint64_t va, uint64_t n, unsigned prot, uint64_t *done);
int os_page_unmap(exo_handle_t space, uint64_t va, uint64_t n, uint64_t *done);
int os_mmio_map(exo_handle_t mmio, exo_handle_t space, uint64_t va, uint64_t pa, uint64_t n, unsigned prot,
                uint64_t *done);
int os_dma_bind(exo_handle_t domain, uint64_t iova, exo_handle_t space, uint64_t va, uint64_t n,
                unsigned prot, uint64_t *done);
int os_dma_unbind(exo_handle_t domain, uint64_t iova, uint64_t n, uint64_t *done);

/* exo_call that a signal ends with -EXO_EINTR (EXO_MSG_INTR is added), also one that came while signals were held
 * (os/rt.h) and has not been delivered yet: between the look and the kernel's entry none can slip through. */
int64_t os_call_intr(uint64_t gate, struct exo_words *words, uint64_t deadline);

/* This virtual processor's page. */
struct exo_vcpu_page *os_vcpu(void);

/* The machine's description, the same page in every environment. */
const struct exo_system *os_system(void);

/* The sentence for an error: takes a positive or a negative enum exo_error; never NULL. */
const char *exo_strerror(int error);
/* Its name, "EXO_EQUOTA"; never NULL. */
const char *exo_errname(int error);
/* The nearest of newlib's errno values, positive; EIO for numbers not in the list. */
int exo_errno(int error);

#endif
