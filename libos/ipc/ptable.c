/* Reading the process table (os/proc.h).  Here, and not with processes, because servers look their clients up. */
#include <string.h>

#include "os/exo.h"
#include "os/layout.h"
#include "os/proc.h"

static const struct os_ptable *table(void)
{
    return (const struct os_ptable *)OS_PTABLE_VA;
}

/* Two looks at the generation with a copy between them; it is odd while init changes something. */
static void copy_entry(uint32_t slot, struct os_proc_entry *out)
{
    const volatile uint32_t *generation = &table()->head.generation;
    uint32_t before;

    for (;;) {
        before = __atomic_load_n(generation, __ATOMIC_ACQUIRE);
        if (!(before & 1)) {
            memcpy(out, &table()->entry[slot - 1], sizeof(*out));
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (__atomic_load_n(generation, __ATOMIC_RELAXED) == before)
                return;
        }
        (void)exo_yield(0);
    }
}

bool os_proc_find(uint32_t pid, struct os_proc_entry *out)
{
    if (pid % OS_NPROC == 0)
        return false;
    copy_entry(pid % OS_NPROC, out);
    return out->pid == pid;
}

void os_proc_slot(uint32_t slot, struct os_proc_entry *out)
{
    copy_entry(slot, out);
}

bool os_proc_next(uint32_t *slot, struct os_proc_entry *out)
{
    while (++*slot < OS_NPROC) {
        copy_entry(*slot, out);
        if (out->pid)
            return true;
    }
    return false;
}
