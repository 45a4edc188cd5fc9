#include "table.h" /* first: its parameters have the name of exo_machine.h's variable */

#include "exo_oracle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "cpu.h"
#include "event.h"
#include "exo_small.h"

#define FRAMES_MAX 1024u
#define CAPS_MAX 256u
#define BINDINGS_MAX 1024u
#define VCPUS_MAX 32u
#define TEARDOWN_STEPS 2000u

static char sentence[200];

__attribute__((format(printf, 1, 2))) static const char *wrong(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    return sentence;
}

static pfn_t first(void)
{
    return system_info->first_frame;
}

static pfn_t end(void)
{
    return system_info->first_frame + system_info->nframes;
}

static bool is_kind(pfn_t pfn, enum exo_frame_kind kind)
{
    return frame_entry(pfn)->kind == kind;
}

/* ---- lost wakeups ------------------------------------------------------------------------------------------------- */

static bool interrupt_to_come(const struct cpu *cpu)
{
    const struct machine_cpu *hw = &machine.cpus[cpu->id];

    return hw->kicked || (hw->timer != EXO_FOREVER && hw->timer <= machine.time) ||
           machine.irq_raised & machine.irq_enabled;
}

/* Would it go on if its CPU looked at it now? */
static bool could_go_on(const struct vcpu *vcpu)
{
    switch (vcpu->state) {
    case VCPU_WAITING:
        return vcpu->page->events & vcpu->wait_mask || (event_interrupts(vcpu) && !vcpu->page->upcall_masked);
    case VCPU_RECEIVING:
        return event_ends_receive(vcpu) || !list_empty(&vcpu->senders);
    case VCPU_SENDING:
        return vcpu->peer->state == VCPU_RECEIVING || (vcpu->interruptible && event_interrupts(vcpu));
    case VCPU_CALLING:
        return vcpu->interruptible && event_interrupts(vcpu);
    case VCPU_RUNNING:
        return vcpu_upcall_due(vcpu);
    default:
        return false;
    }
}

static const char *check_sleeper(const struct vcpu *vcpu)
{
    if (vcpu_ended(vcpu) || !could_go_on(vcpu) || interrupt_to_come(vcpu->cpu))
        return NULL;
    return wrong("lost wakeup: vcpu %u of CPU %u in state %u could go on, and nobody tells its CPU",
                 vcpu_frame(vcpu), vcpu->cpu->id, vcpu->state);
}

static bool somebody_ready(const struct cpu *cpu)
{
    for (const struct list *at = cpu->ready.next; at != &cpu->ready; at = at->next)
        if (!vcpu_ended(list_entry(at, struct vcpu, queue)))
            return true;
    return false;
}

static const char *check_cpu(const struct cpu *cpu)
{
    uint64_t timer = machine.cpus[cpu->id].timer;

    if (interrupt_to_come(cpu))
        return NULL;
    if (somebody_ready(cpu) && !cpu->current)
        return wrong("lost wakeup: CPU %u sleeps, and somebody is ready", cpu->id);
    if (somebody_ready(cpu) && timer > cpu->slot_end)
        return wrong("CPU %u: somebody is ready, and the slot does not end", cpu->id);
    if (cpu->deadlines.first && timer > cpu->deadlines.first->at)
        return wrong("lost wakeup: CPU %u's timer is set behind its first deadline", cpu->id);
    if (cpu->evict || cpu->overdue || !list_empty(&cpu->inbox))
        return wrong("CPU %u has something to do, and no interrupt is to come", cpu->id);
    if (!list_empty(&cpu->endings) && timer == EXO_FOREVER)
        return wrong("CPU %u ends an environment, and does not come back to it", cpu->id);
    return NULL;
}

const char *oracle_state(void)
{
    const char *bad = NULL;

    for (unsigned i = 0; i < ncpus && !bad; i++)
        bad = check_cpu(&cpus[i]);
    for (pfn_t pfn = first(); pfn < end() && !bad; pfn++)
        if (is_kind(pfn, EXO_FRAME_VCPU))
            bad = check_sleeper(frame_address(pfn));
    return bad;
}

/* ---- what was there before a step --------------------------------------------------------------------------------- */

struct cap_was {
    pfn_t owner;
    uint32_t index;
    struct cap cap;
};

struct binding_was {
    pfn_t space, pfn;
    uint64_t va;
    unsigned max;
};

struct vcpu_was {
    const struct vcpu *vcpu;
    uint32_t serial;
    enum vcpu_state state;
    const struct vcpu *peer;
    bool interruptible, in_upcall;
    uint64_t deadline; /* EXO_FOREVER: none */
    uint64_t token;
};

struct facts {
    unsigned ncaps, nbindings, nvcpus;
    struct cap_was caps[CAPS_MAX];
    struct binding_was bindings[BINDINGS_MAX];
    struct vcpu_was vcpus[VCPUS_MAX];
    uint8_t kind[FRAMES_MAX];
    uint32_t serial[FRAMES_MAX];
};

static struct facts before, after;
static const struct vcpu *actor;
static bool actor_in_upcall, actor_ended; /* it is to leave: nothing that it asks for is begun */
static bool handed_out_stale;

static void note_caps(struct facts *f, pfn_t pfn)
{
    const struct env *env = frame_address(pfn);
    const struct cap_table *table = &env->owner.caps;

    for (uint32_t part = 0; part < table->nframes; part++) {
        const struct cap *slots = frame_address(table->frames[part]);

        for (uint32_t i = 0; i < CAPS_PER_FRAME && f->ncaps < CAPS_MAX; i++)
            if (slots[i].type != EXO_CAP_NONE)
                f->caps[f->ncaps++] = (struct cap_was){pfn, part * CAPS_PER_FRAME + i, slots[i]};
    }
}

static void note_bindings(struct facts *f, pfn_t space, const pte_t *entries, uint64_t va, unsigned level)
{
    pfn_t table = paddr_to_pfn(virt_to_phys(entries));
    unsigned left = frame_entry(table)->entries;

    if (va == SMALL_BUSY_VA && level == 0)
        return;
    for (unsigned i = 0; i < TABLE_ENTRIES && left; i++) {
        uint64_t at = va + ((uint64_t)i << (PAGE_SHIFT + 9 * level));

        if (!entries[i] || (level == ARCH_PT_LEVELS - 1 && i == ARCH_TABLE_SLOT))
            continue;
        left--;
        if (level > 0)
            note_bindings(f, space, phys_to_virt(pte_paddr(entries[i])), at, level - 1);
        else if (f->nbindings < BINDINGS_MAX && pte_memory(entries[i]) == MEMORY_NORMAL)
            f->bindings[f->nbindings++] =
                (struct binding_was){space, paddr_to_pfn(pte_paddr(entries[i])), at, pte_max(entries[i])};
    }
}

static uint64_t token_of(const struct vcpu *vcpu)
{
    return (uint64_t)(vcpu->call_serial & ((1u << 28) - 1)) << 32 | vcpu_frame(vcpu);
}

static void note_vcpu(struct facts *f, pfn_t pfn)
{
    const struct vcpu *vcpu = frame_address(pfn);

    if (f->nvcpus == VCPUS_MAX)
        return;
    f->vcpus[f->nvcpus++] =
        (struct vcpu_was){vcpu,
                          frame_entry(pfn)->serial,
                          vcpu->state,
                          vcpu->peer,
                          vcpu->interruptible,
                          machine_in_upcall(vcpu),
                          deadline_is_set(&vcpu->deadline) ? vcpu->deadline.at : EXO_FOREVER,
                          token_of(vcpu)};
}

static void note_all(struct facts *f)
{
    const struct exo_frame *table = frame_entry(first());

    f->ncaps = f->nbindings = f->nvcpus = 0;
    for (pfn_t pfn = first(); pfn < end(); pfn++) {
        pfn_t i = pfn - first();

        f->kind[i] = table[i].kind;
        f->serial[i] = table[i].serial;
        if (table[i].kind == EXO_FRAME_ENV)
            note_caps(f, pfn);
        else if (table[i].kind == EXO_FRAME_VCPU)
            note_vcpu(f, pfn);
        else if (table[i].kind == EXO_FRAME_SPACE)
            note_bindings(f, pfn, frame_address(((const struct space *)frame_address(pfn))->root), 0,
                          ARCH_PT_LEVELS - 1);
    }
}

/* ---- rights ------------------------------------------------------------------------------------------------------- */

static bool was_there(const struct cap_was *now)
{
    for (unsigned i = 0; i < before.ncaps; i++)
        if (before.caps[i].owner == now->owner && before.caps[i].index == now->index)
            return before.caps[i].cap.generation == now->cap.generation &&
                   before.caps[i].cap.type == now->cap.type && before.caps[i].cap.object == now->cap.object &&
                   before.caps[i].cap.serial == now->cap.serial &&
                   !(now->cap.rights & ~before.caps[i].cap.rights);
    return false;
}

static bool is_range(uint8_t type)
{
    return type == EXO_CAP_SLICE || type == EXO_CAP_IRQ || type == EXO_CAP_MMIO || type == EXO_CAP_DMA;
}

static bool allows(const struct cap *from, const struct cap *to)
{
    if (from->object != to->object || from->serial != to->serial)
        return false;
    if (from->type == EXO_CAP_VCPU && (to->type == EXO_CAP_GATE || to->type == EXO_CAP_EVENT))
        return from->rights & EXO_RIGHT_MANAGE;
    if (from->type != to->type || to->rights & ~from->rights || !(from->rights & EXO_RIGHT_COPY))
        return false;
    if (is_range(to->type))
        return to->a >= from->a && to->a + to->b <= from->a + from->b;
    return to->type == EXO_CAP_EVENT ? !(to->a & ~from->a) : from->a == 0 || from->a == to->a;
}

static bool has_object(uint8_t type)
{
    return type == EXO_CAP_ENV || type == EXO_CAP_SPACE || type == EXO_CAP_VCPU || type == EXO_CAP_GATE ||
           type == EXO_CAP_EVENT || type == EXO_CAP_DOMAIN;
}

static bool is_new_object(const struct cap *cap)
{
    pfn_t i = cap->object - first();

    return has_object(cap->type) && (before.kind[i] != after.kind[i] || before.serial[i] != after.serial[i]);
}

static const char *check_new_cap(const struct cap_was *now)
{
    if (was_there(now) || is_new_object(&now->cap))
        return NULL;
    for (unsigned i = 0; i < before.ncaps; i++)
        if (allows(&before.caps[i].cap, &now->cap))
            return NULL;
    return wrong("rights grew: env %u has got a capability of type %u with rights %u that nobody had to give",
                 now->owner, now->cap.type, now->cap.rights);
}

static const char *check_new_binding(const struct binding_was *now)
{
    bool fresh = before.kind[now->pfn - first()] == EXO_FRAME_FREE;
    bool bound = false;

    for (unsigned i = 0; i < before.nbindings; i++) {
        if (before.bindings[i].pfn != now->pfn)
            continue;
        if (before.bindings[i].space == now->space && before.bindings[i].va == now->va &&
            now->max & ~before.bindings[i].max)
            return wrong("rights grew: the binding at 0x%lx has got maximum %u", (unsigned long)now->va,
                         now->max);
        bound = true;
        if (!(now->max & ~before.bindings[i].max))
            return NULL;
    }
    if (fresh || !bound) /* or it waited in a run */
        return NULL;
    return wrong("rights grew: frame %u is bound at 0x%lx with maximum %u, which no binding had", now->pfn,
                 (unsigned long)now->va, now->max);
}

static const char *check_zero(const struct binding_was *now)
{
    const uint64_t *words = frame_address(now->pfn);

    for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
        if (words[i])
            return wrong("frame %u was allocated at 0x%lx and is not zeroed", now->pfn,
                         (unsigned long)now->va);
    return NULL;
}

/* ---- calls and replies -------------------------------------------------------------------------------------------- */

static bool is_in_call(enum vcpu_state state)
{
    return state == VCPU_SENDING || state == VCPU_CALLING;
}

/* What its call returned: in its registers, but where an upcall has come right behind it. */
static int64_t returned(const struct vcpu *vcpu, bool was_in_upcall)
{
    return was_in_upcall ? (int64_t)vcpu->regs.x[0] : result(vcpu);
}

static const char *check_left(const struct vcpu_was *was, bool replied, uint64_t token)
{
    const struct vcpu *vcpu = was->vcpu;
    int64_t rc = returned(vcpu, was->in_upcall);
    bool true_error = false;

    if (vcpu_ended(vcpu))
        return NULL;
    if (rc >= 0)
        true_error = replied && was->state == VCPU_CALLING && was->peer == actor && was->token == token;
    else if (rc == -EXO_EINTR)
        true_error = was->interruptible;
    else if (rc == -EXO_ETIMEDOUT)
        true_error = was->deadline <= machine.time;
    else if (rc == -EXO_EDEAD)
        true_error = !frame_is_object(vcpu_frame(was->peer), EXO_FRAME_VCPU,
                                      before.serial[vcpu_frame(was->peer) - first()]) ||
                     vcpu_ended(was->peer);
    else
        true_error = was->state == VCPU_SENDING && was->peer == actor; /* it could not be delivered */
    return true_error
               ? NULL
               : wrong("vcpu %u has left its call with %ld, which is not so", vcpu_frame(vcpu), (long)rc);
}

static const char *check_calls(bool replied, uint64_t token, int64_t rc)
{
    bool found = false;

    for (unsigned i = 0; i < before.nvcpus; i++) {
        const struct vcpu_was *was = &before.vcpus[i];
        const char *bad = NULL;

        if (!frame_is_object(vcpu_frame(was->vcpu), EXO_FRAME_VCPU, was->serial))
            continue;
        found |= was->state == VCPU_CALLING && was->peer == actor && was->token == token;
        if (is_in_call(was->state) && (!is_in_call(was->vcpu->state) || was->vcpu->peer != was->peer))
            bad = check_left(was, replied, token);
        else if (was->state == VCPU_CALLING && replied && rc >= 0 && was->token == token &&
                 was->peer == actor)
            bad = wrong("vcpu %u was answered, and waits on", vcpu_frame(was->vcpu));
        if (bad)
            return bad;
    }
    if (replied && rc >= 0 && !found)
        return wrong("an answer was taken for token 0x%lx, which is nobody's", (unsigned long)token);
    return NULL;
}

/* ---- steps -------------------------------------------------------------------------------------------------------- */

static const void *handed_out;

static void leads_there(unsigned cpu, uint32_t asid, unsigned level, uint64_t va, uint64_t pte)
{
    (void)cpu, (void)asid, (void)level, (void)va;
    if (phys_to_virt(pte_paddr(pte)) == handed_out)
        handed_out_stale = true;
}

/* A frame is zeroed before anybody gets it: no TLB may lead there by then.  K13 */
static void zeroing(const void *page)
{
    handed_out = page;
    tlb_show(leads_there);
}

void oracle_before(void)
{
    handed_out_stale = false;
    actor = machine.cpu->current;
    actor_ended = actor && vcpu_ended(actor);
    actor_in_upcall = actor && machine_in_upcall(actor);
    note_all(&before);
}

static bool same_binding(const struct binding_was *now)
{
    for (unsigned i = 0; i < before.nbindings; i++)
        if (before.bindings[i].space == now->space && before.bindings[i].va == now->va)
            return before.bindings[i].pfn == now->pfn && before.bindings[i].max == now->max;
    return false;
}

static const char *check_rights(bool allocates)
{
    const char *bad = NULL;

    note_all(&after);
    for (unsigned i = 0; i < after.ncaps && !bad; i++)
        bad = check_new_cap(&after.caps[i]);
    for (unsigned i = 0; i < after.nbindings && !bad; i++) {
        const struct binding_was *now = &after.bindings[i];

        if (after.kind[now->pfn - first()] != EXO_FRAME_USER || same_binding(now))
            continue;
        bad = check_new_binding(now);
        if (!bad && allocates)
            bad = check_zero(now);
    }
    return bad;
}

static const struct binding_was *binding_before(pfn_t space, uint64_t va)
{
    for (unsigned i = 0; i < before.nbindings; i++)
        if (before.bindings[i].space == space && before.bindings[i].va == va)
            return &before.bindings[i];
    return NULL;
}

/* Each copy has no more than what it is a copy of had. */
static const char *check_copies(const uint64_t args[8], int64_t n)
{
    const struct cap *to = cap_at(actor->env, args[0]), *from = cap_at(actor->env, args[2]);

    for (int64_t i = 0; i < n && to && from; i++) {
        uint64_t va = args[1] + (uint64_t)i * PAGE_SIZE;
        const struct binding_was *source = binding_before(from->object, args[3] + (uint64_t)i * PAGE_SIZE);

        for (unsigned k = 0; k < after.nbindings; k++)
            if (after.bindings[k].space == to->object && after.bindings[k].va == va &&
                (!source || after.bindings[k].pfn != source->pfn || after.bindings[k].max & ~source->max))
                return wrong("rights grew: the copy at 0x%lx has maximum %u", (unsigned long)va,
                             after.bindings[k].max);
    }
    return NULL;
}

const char *oracle_after(bool is_call, uint64_t number, const uint64_t args[8], int64_t rc)
{
    bool replied = is_call && !actor_ended && number == EXO_CALL_reply_wait && args[0] & ~EXO_REPLY_FLAGS;
    int64_t answer =
        rc == MACHINE_AWAY && actor && actor->state != VCPU_RECEIVING ? returned(actor, actor_in_upcall) : rc;
    const char *bad;

    if (handed_out_stale)
        return wrong("a frame was handed out while a TLB led to it");
    if (answer == MACHINE_AWAY || answer == -EXO_ETIMEDOUT)
        answer = 0; /* the answer was given before it waited */
    bad = check_calls(replied, args[0] & ~EXO_REPLY_FLAGS, answer);
    if (bad || !is_call || (rc < 0 && rc != MACHINE_AWAY))
        return bad;
    bad = check_rights(number == EXO_CALL_page_alloc);
    return bad || number != EXO_CALL_page_map ? bad : check_copies(args, rc);
}

/* ---- leaks -------------------------------------------------------------------------------------------------------- */

static uint64_t all_frames; /* free, or charged to the first environment */

void oracle_begin(void)
{
    machine_zeroing = zeroing;
    all_frames = exo_free_frames() + root.env->owner.account.used + small.env->owner.account.used;
}

static bool children(void)
{
    return !list_empty(&root.env->children);
}

static void unbind_own(void)
{
    static const uint64_t at[] = {SMALL_VA1, SMALL_VA2, SMALL_VA3};

    for (struct list *s = root.env->spaces.next; s != &root.env->spaces; s = s->next)
        for (unsigned i = 0; i < ARRAY_LEN(at); i++)
            space_unbind(list_entry(s, struct space, in_env), at[i], 2, false);
}

/* As a call by somebody who may. */
static void destroy_piece(void *arg)
{
    (void)arg;
    world_enter();
    if (children())
        env_destroy_step(list_entry(root.env->children.next, struct env, in_parent));
    else
        unbind_own();
    world_leave();
    local_leave();
}

/* Pages that ended environments paid for and that vcpus of the first one, which live on, have as theirs. */
static bool is_pinned(pfn_t pfn)
{
    for (const struct list *at = root.env->vcpus.next; at != &root.env->vcpus; at = at->next)
        if (list_entry(at, struct vcpu, in_env)->page_pfn == pfn)
            return true;
    return false;
}

static uint64_t pinned(void)
{
    uint64_t n = 0;

    for (pfn_t pfn = first(); pfn < end(); pfn++)
        n += is_kind(pfn, EXO_FRAME_USER) && frame_entry(pfn)->account != env_frame(root.env) &&
             is_pinned(pfn);
    return n;
}

const char *oracle_leaks(void)
{
    const struct account *account = &root.env->owner.account;

    for (unsigned i = 0; i < TEARDOWN_STEPS; i++) {
        bool last = !children();

        small_on(0);
        machine_try(destroy_piece, NULL);
        for (unsigned cpu = 0; cpu < ncpus && machine.end != MACHINE_STOPPED; cpu++)
            small_interrupt(cpu);
        if (machine.end == MACHINE_STOPPED)
            return machine.console;
        if (last)
            break;
    }
    if (children())
        return wrong("an environment is not destroyed after %u steps", TEARDOWN_STEPS);
    if (account->reserved != pinned())
        return wrong("all environments are gone: %lu frames are reserved, and %lu pinned",
                     (unsigned long)account->reserved, (unsigned long)pinned());
    if (exo_free_frames() + account->used + account->reserved != all_frames)
        return wrong("all environments are gone: %lu frames are free and %lu init's, of %lu",
                     (unsigned long)exo_free_frames(), (unsigned long)(account->used + account->reserved),
                     (unsigned long)all_frames);
    return NULL;
}
