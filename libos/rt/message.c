/* Messages that signals may end. */
#include "os/exo.h"
#include "rt/thread_impl.h"

int64_t os_call_intr(uint64_t gate, struct exo_words *words, uint64_t deadline)
{
    return arch_call_intr(gate, words, deadline, &rt_self()->noted);
}
