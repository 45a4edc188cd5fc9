/* The end of everything. */
#include "init.h"
#include "os/time.h"

#define DRAIN_NS 2000000000ull

/* Everybody else stops first, so that ours is the last line. */
static void stop_others(struct init *in)
{
    uint32_t slot = 0;

    for (struct proc *p; (p = table_next(&in->table, &slot)) != NULL;)
        if (p->parent && p != in->say.console && p->env)
            (void)exo_env_stop(p->env);
}

void power_off(struct init *in, int status)
{
    if (in->stopping)
        return;
    in->stopping = true;
    stop_others(in);
    say(&in->say, "corbel: power off, status %d", status);
    if (!in->say.console)
        power_now();
    child_signal(in->say.console, OS_EVENT_MASK(OS_EVENT_FLUSH));
    in->stop_by = os_deadline_ns(DRAIN_NS);
    serve_deadline(in);
}

void power_now(void)
{
    (void)exo_machine_stop(EXO_FIRST_MACHINE, EXO_STOP_OFF);
    for (;;) /* this machine cannot: stay quiet */
        (void)exo_wait(0, EXO_FOREVER);
}
