/* Proves offsets.h. */
#include "offsets.h"

#include "os/exo.h"

_Static_assert(VCPU_MASKED == offsetof(struct exo_vcpu_page, upcall_masked), "offset");
_Static_assert(VCPU_REGS == offsetof(struct exo_vcpu_page, regs), "offset");
_Static_assert(REGS_WORDS * 8 == sizeof(struct exo_regs), "size");
_Static_assert(CALL_CALL == EXO_CALL_call, "number");
_Static_assert(CALL_WAIT == EXO_CALL_wait, "number");
_Static_assert(CALL_RESUME == EXO_CALL_resume, "number");
_Static_assert(CALL_EXIT == EXO_CALL_env_exit, "number");
_Static_assert(WORDS_BADGE == offsetof(struct exo_words, badge), "offset");
_Static_assert(EXO_MSG_INTR == 1ull << MSG_INTR_BIT, "bit");
_Static_assert(ERROR_EINTR == EXO_EINTR, "number");
_Static_assert(FRAME_FP >= sizeof(struct exo_regs) && FRAME_FP % 16 == 0, "layout");
