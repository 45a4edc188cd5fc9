#include "exo_pair.h"

#include "space.h"

struct actor client, server;
uint64_t gate;

void pair_boot(void)
{
    uint64_t mine;

    exo_boot();
    client = actor_make(100);
    server = actor_make(100);
    mine = (uint64_t)CALL_OK(gate_create, server.vcpu_cap, 0);
    gate = (uint64_t)CALL_OK(cap_grant, client.env_cap, mine, EXO_RIGHT_USE | EXO_RIGHT_COPY, 99, 0);
}

uint64_t called(void)
{
    if (server.vcpu->state != VCPU_RECEIVING) {
        as(&server);
        ck_assert_int_eq(CALL(reply_wait, 0, 0, 0, 0, 0, 0, 0, EXO_FOREVER), MACHINE_AWAY);
    }
    as(&client);
    ck_assert_int_eq(CALL(call, gate, 1, 2, 3, 4, 5, 6, EXO_FOREVER), MACHINE_AWAY);
    ck_assert_ptr_eq(machine.cpu->current, server.vcpu);
    return server.vcpu->regs.x[0];
}

void client_has(uint64_t n)
{
    as(&client);
    for (uint64_t i = 0; i < n; i++)
        CALL_OK(page_alloc, EXO_SELF_SPACE, VA + i * PAGE_SIZE, 1, EXO_WANT_ANY, RW);
    as(&root);
}

static void rollover(void *unused)
{
    (void)unused;
    local_enter();
    world_upgrade();
    spaces_rollover();
    world_leave();
    local_leave();
}

void asids_run_out(void)
{
    ck_assert_int_eq(machine_try(rollover, NULL), MACHINE_RUNS);
}
