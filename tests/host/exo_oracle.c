#include "table.h" /* first: its parameters have the name of exo_machine.h's variable */

#include "exo_oracle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "cpu.h"
#include "dma.h"
#include "event.h"
#include "exo_small.h"
#include "msi.h"
#include "ring.h"

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
    return frame_kind(pfn) == kind;
}

/* ---- lost wakeups ------------------------------------------------------------------------------------------------- */

static bool interrupt_to_come(const struct cpu *cpu)
{
    const struct machine_cpu *hw = &machine.cpus[cpu->id];

    return hw->kicked || (hw->timer != EXO_FOREVER && hw->timer <= machine.time) ||
           machine.irq_raised & machine.irq_enabled || machine.lpi_raised & machine.lpi_enabled;
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
    if (cpu->evict || cpu->overdue || !list_empty(&cpu->inbox) || cpu->traced != cpu->trace.wanted)
        return wrong("CPU %u has something to do, and no interrupt is to come", cpu->id);
    if (!list_empty(&cpu->endings) && timer == EXO_FOREVER)
        return wrong("CPU %u ends an environment, and does not come back to it", cpu->id);
    return NULL;
}

/* ---- devices ------------------------------------------------------------------------------------------------------ */

#define STREAMS 2u /* of those that have domains, */
#define IOVAS 3u   /* and where they look */
#define LPIS 2u

static const uint64_t iovas[IOVAS] = {SMALL_IOVA1, SMALL_IOVA1 + PAGE_SIZE, SMALL_IOVA2};

static uint64_t reached(unsigned stream, unsigned i)
{
    return iommu_reach(SMALL_STREAM + stream, iovas[i]);
}

/* A page of somebody's who lives, and whose the stream is. */
static const char *check_reach(unsigned stream, unsigned i)
{
    pte_t pte = reached(stream, i);
    pfn_t pfn = paddr_to_pfn(pte_paddr(pte));
    const struct domain *domain = dma_stream_domain(SMALL_STREAM + stream);

    if (!pte)
        return NULL;
    if (!domain || domain->ending || ((const struct env *)domain->account)->torn_down)
        return wrong("device %u reaches 0x%lx, and its stream is nobody's", SMALL_STREAM + stream,
                     (unsigned long)iovas[i]);
    if (!frame_is_ram(pfn) || !is_kind(pfn, EXO_FRAME_USER) || frame_entry(frame_head(pfn))->refs == 0)
        return wrong("device %u reaches frame %u, which is nobody's page", SMALL_STREAM + stream, pfn);
    return NULL;
}

/* A message leads to a line that is bound for it, or nowhere. */
static const char *check_message(unsigned device, unsigned event)
{
    uint32_t line = machine_msi_line(SMALL_STREAM + device, event);
    const struct irq *irq = line ? irq_of(line) : NULL;

    if (!line || (irq && irq->vcpu && !vcpu_ended(irq->vcpu) && irq->event == event &&
                  msi_device(irq->device)->id == SMALL_STREAM + device))
        return NULL;
    if (irq && irq->vcpu && vcpu_ended(irq->vcpu) && irq->vcpu->env->state != EXO_ENV_ALIVE)
        return NULL; /* it is ending, piece by piece */
    return wrong("a message of device %u raises line %u, which is not bound for it", SMALL_STREAM + device,
                 line);
}

static const char *check_devices(void)
{
    const char *bad = NULL;

    for (unsigned stream = 0; stream < STREAMS; stream++)
        for (unsigned i = 0; i < IOVAS && !bad && small.with & SMALL_DMA; i++)
            bad = check_reach(stream, i);
    for (unsigned device = 0; device < STREAMS; device++)
        for (unsigned event = 0; event < 2 && !bad; event++)
            bad = check_message(device, event);
    for (unsigned i = 0; i < LPIS && !bad; i++)
        if (machine.lpi_enabled >> i & 1 && !irq_holder(SMALL_LPI + i))
            bad = wrong("line %u is open, and nobody's", SMALL_LPI + i);
    return bad;
}

const char *oracle_state(void)
{
    const char *bad = check_devices();

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
    uint64_t va, npages;
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
    pte_t reached[STREAMS][IOVAS];
    const struct vcpu *holder[LPIS];
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
        if (level > 0 && pte_is_table(entries[i]))
            note_bindings(f, space, phys_to_virt(pte_paddr(entries[i])), at, level - 1);
        else if (f->nbindings < BINDINGS_MAX && pte_memory(entries[i]) == MEMORY_NORMAL)
            f->bindings[f->nbindings++] =
                (struct binding_was){space, paddr_to_pfn(pte_paddr(entries[i])), at,
                                     level ? EXO_LARGE_PAGES : 1, pte_max(entries[i])};
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
    f->ncaps = f->nbindings = f->nvcpus = 0;
    for (unsigned i = 0; i < STREAMS * IOVAS; i++)
        f->reached[i / IOVAS][i % IOVAS] = small.with & SMALL_DMA ? reached(i / IOVAS, i % IOVAS) : 0;
    for (unsigned i = 0; i < LPIS; i++)
        f->holder[i] = irq_holder(SMALL_LPI + i);
    for (pfn_t pfn = first(); pfn < end(); pfn++) {
        const struct exo_frame *frame = frame_look(pfn);
        pfn_t i = pfn - first();

        f->kind[i] = frame->kind;
        f->serial[i] = frame->serial;
        if (frame->kind == EXO_FRAME_ENV)
            note_caps(f, pfn);
        else if (frame->kind == EXO_FRAME_VCPU)
            note_vcpu(f, pfn);
        else if (frame->kind == EXO_FRAME_SPACE)
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

static bool holds(const struct binding_was *binding, pfn_t pfn)
{
    return pfn - binding->pfn < binding->npages;
}

static const char *check_new_binding(const struct binding_was *now)
{
    bool fresh = before.kind[now->pfn - first()] == EXO_FRAME_FREE;
    bool bound = false;

    for (unsigned i = 0; i < before.nbindings; i++) {
        if (!holds(&before.bindings[i], now->pfn))
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

    for (unsigned i = 0; i < now->npages * PAGE_SIZE / 8; i++)
        if (words[i])
            return wrong("frame %u was allocated at 0x%lx and is not zeroed",
                         now->pfn + (pfn_t)(i / (PAGE_SIZE / 8)), (unsigned long)now->va);
    return NULL;
}

/* What was allocated is bound there and nowhere else. */
static const char *check_once(const struct binding_was *now)
{
    unsigned n = 0;

    for (unsigned i = 0; i < after.nbindings; i++)
        n += holds(&after.bindings[i], now->pfn) || holds(now, after.bindings[i].pfn);
    return n == 1 ? NULL : wrong("frame %u was allocated, and %u bindings lead to it", now->pfn, n);
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

static void leads_device_there(uint32_t tag, unsigned level, uint64_t iova, uint64_t pte)
{
    leads_there(0, tag, level, iova, pte);
}

/* A frame is zeroed before anybody gets it: no TLB may lead there by then, nor an IOMMU, nor does a CPU trace there.  K13 */
static void zeroing(const void *page)
{
    const struct cpu *traced = ring_of(paddr_to_pfn(virt_to_phys(page)));

    handed_out = page;
    tlb_show(leads_there);
    iommu_show(leads_device_there);
    handed_out_stale |= traced && traced->traced;
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
        if (!bad && allocates)
            bad = check_once(now);
    }
    return bad;
}

static uint64_t page_in(const struct binding_was *binding, uint64_t va)
{
    return (va - binding->va) / PAGE_SIZE;
}

/* As one of its own, of a large page's parts, too. */
static bool binding_at(const struct facts *f, pfn_t space, uint64_t va, struct binding_was *out)
{
    for (unsigned i = 0; i < f->nbindings; i++) {
        const struct binding_was *b = &f->bindings[i];

        if (b->space != space || page_in(b, va) >= b->npages)
            continue;
        *out = *b;
        out->pfn += (pfn_t)page_in(b, va);
        return true;
    }
    return false;
}

/* Each copy has no more than what it is a copy of had. */
static const char *check_copies(const uint64_t args[8], int64_t n)
{
    const struct cap *to = cap_at(actor->env, args[0]), *from = cap_at(actor->env, args[2]);

    for (int64_t i = 0; i < n && to && from; i++) {
        uint64_t va = args[1] + (uint64_t)i * PAGE_SIZE;
        struct binding_was source, copy;
        bool was = binding_at(&before, from->object, args[3] + (uint64_t)i * PAGE_SIZE, &source);

        if (binding_at(&after, to->object, va, &copy) &&
            (!was || copy.pfn != source.pfn || copy.max & ~source.max))
            return wrong("rights grew: the copy at 0x%lx has maximum %u", (unsigned long)va, copy.max);
    }
    return NULL;
}

/* What a device reaches, and did not before, is what its owner has bound for it just now. */
static bool was_bound_for(unsigned stream, unsigned i, pte_t pte, const uint64_t args[8], int64_t n)
{
    const struct cap *cap = cap_at(actor->env, args[0]), *space = cap_at(actor->env, args[2]);
    uint64_t page = (iovas[i] - args[1]) / PAGE_SIZE;
    struct binding_was source;

    return cap && space &&
           ((const struct domain *)frame_address(cap->object))->stream == SMALL_STREAM + stream &&
           page < (uint64_t)n && binding_at(&before, space->object, args[3] + page * PAGE_SIZE, &source) &&
           source.pfn == paddr_to_pfn(pte_paddr(pte)) && pte_prot(pte) == args[5] &&
           !(pte_prot(pte) & ~source.max);
}

static const char *check_reached(bool binds, const uint64_t args[8], int64_t n)
{
    for (unsigned stream = 0; stream < STREAMS; stream++)
        for (unsigned i = 0; i < IOVAS; i++) {
            pte_t now = reached(stream, i);

            if (now && now != before.reached[stream][i] && !(binds && was_bound_for(stream, i, now, args, n)))
                return wrong("device %u reaches frame %u, which nobody has bound for it",
                             SMALL_STREAM + stream, paddr_to_pfn(pte_paddr(now)));
        }
    return NULL;
}

/* Whose stream it was when it could be reached. */
static bool is_of(unsigned stream, const uint64_t args[8])
{
    const struct cap *cap = cap_at(actor->env, args[0]);
    const struct domain *domain = dma_stream_domain(SMALL_STREAM + stream);

    return cap && domain && paddr_to_pfn(virt_to_phys(domain)) == cap->object;
}

static const char *check_unbound(const uint64_t args[8], int64_t n)
{
    for (unsigned stream = 0; stream < STREAMS; stream++)
        for (unsigned i = 0; i < IOVAS; i++)
            if (is_of(stream, args) && (iovas[i] - args[1]) / PAGE_SIZE < (uint64_t)n && reached(stream, i))
                return wrong("device %u reaches 0x%lx, which was unbound", SMALL_STREAM + stream,
                             (unsigned long)iovas[i]);
    return NULL;
}

/* All others have let go of it, but for who may have it in any case. */
static const char *check_reclaimed(const uint64_t args[8])
{
    const struct cap *cap = cap_at(actor->env, args[0]);
    struct binding_was page;

    for (uint64_t k = 0; cap && k < args[2]; k++)
        for (unsigned i = 0;
             i < STREAMS * IOVAS && binding_at(&after, cap->object, args[1] + k * PAGE_SIZE, &page); i++) {
            pte_t pte = reached(i / IOVAS, i % IOVAS);
            const struct domain *domain = dma_stream_domain(SMALL_STREAM + i / IOVAS);

            if (pte && paddr_to_pfn(pte_paddr(pte)) == page.pfn &&
                !(domain && account_covers(domain->account, &actor->env->owner.account)))
                return wrong("device %u reaches frame %u, which was reclaimed", SMALL_STREAM + i / IOVAS,
                             page.pfn);
        }
    return NULL;
}

static const char *check_line_taken(const uint64_t args[8], int64_t word)
{
    uint64_t i = args[1] - SMALL_LPI;
    const struct cap *vcpu = cap_at(actor->env, args[5]);

    if (i >= LPIS)
        return NULL;
    if (before.holder[i])
        return wrong("line %u was somebody's, and was bound", SMALL_LPI + (unsigned)i);
    if (!vcpu || irq_holder(SMALL_LPI + (uint32_t)i) != vcpu_of(vcpu))
        return wrong("line %u is not whose it was bound for", SMALL_LPI + (unsigned)i);
    if (machine_msi_line((uint32_t)args[3], (uint32_t)word) != args[1])
        return wrong("the word %ld of device %lu does not raise its line", (long)word,
                     (unsigned long)args[3]);
    return NULL;
}

/* A line changes hands only by way of nobody's. */
static const char *check_lines(void)
{
    for (unsigned i = 0; i < LPIS; i++) {
        const struct vcpu *now = irq_holder(SMALL_LPI + i);

        if (now && before.holder[i] && now != before.holder[i])
            return wrong("line %u was taken from who has it", SMALL_LPI + i);
    }
    return NULL;
}

static const char *check_call_of_device(uint64_t number, const uint64_t args[8], int64_t rc)
{
    switch (number) {
    case EXO_CALL_dma_unbind:
        return check_unbound(args, rc);
    case EXO_CALL_page_reclaim:
        return rc == EXO_RECLAIM_DONE && args[2] ? check_reclaimed(args) : NULL;
    case EXO_CALL_msi_bind:
        return check_line_taken(args, rc);
    default:
        return NULL;
    }
}

static const char *check_after_devices(bool done, uint64_t number, const uint64_t args[8], int64_t rc)
{
    const char *bad = check_lines();

    if (!bad && small.with & SMALL_DMA)
        bad = check_reached(done && number == EXO_CALL_dma_bind, args, rc);
    return bad || !done ? bad : check_call_of_device(number, args, rc);
}

const char *oracle_after(bool is_call, uint64_t number, const uint64_t args[8], int64_t rc)
{
    bool replied = is_call && !actor_ended && number == EXO_CALL_reply_wait && args[0] & ~EXO_REPLY_FLAGS;
    int64_t answer =
        rc == MACHINE_AWAY && actor && actor->state != VCPU_RECEIVING ? returned(actor, actor_in_upcall) : rc;
    const char *bad;

    if (handed_out_stale)
        return wrong("a frame was handed out while a TLB, an IOMMU or a trace led to it");
    if (answer == MACHINE_AWAY || answer == -EXO_ETIMEDOUT)
        answer = 0; /* the answer was given before it waited */
    bad = check_calls(replied, args[0] & ~EXO_REPLY_FLAGS, answer);
    if (!bad)
        bad = check_after_devices(is_call && rc >= 0, number, args, rc);
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

static void unbind_all(struct space *space, uint64_t va, uint64_t npages)
{
    for (uint64_t done = 0; done < npages;) {
        int64_t n = space_unbind(space, va + done * PAGE_SIZE, npages - done, false);

        done += n > 0 ? (uint64_t)n : 1;
    }
}

static void unbind_pages(struct space *space)
{
    static const uint64_t at[] = {SMALL_VA1, SMALL_VA3, SMALL_VA4};

    for (unsigned i = 0; i < ARRAY_LEN(at); i++)
        unbind_all(space, at[i], small.with & SMALL_LARGE ? EXO_LARGE_PAGES : 3);
    if (small.with & SMALL_LARGE)
        space_alloc_run(space, 0, 0, EXO_ALLOC_MORE | (space->run.large ? EXO_ALLOC_LARGE : EXO_ALLOC_CONTIG),
                        NULL);
}

static bool own_left;

/* What devices and traces of the first environment hold, piece by piece. */
static void release_own(void)
{
    for (unsigned i = 0; i < MACHINE_LPIS; i++)
        irq_unbind(SMALL_LPI + i, root.env);
    if (!list_empty(&root.env->domains)) {
        domain_end_step(list_entry(root.env->domains.next, struct domain, in_env));
        own_left = true;
    }
    for (unsigned i = 0; i < ncpus; i++)
        own_left |= cpus[i].trace.owner && !ring_release_step(&cpus[i]);
}

static void unbind_own(void)
{
    own_left = false;
    release_own();
    for (struct list *s = root.env->spaces.next; s != &root.env->spaces; s = s->next)
        unbind_pages(list_entry(s, struct space, in_env));
}

/* As a call by somebody who may. */
static void destroy_piece(void *arg)
{
    (void)arg;
    world_enter();
    own_left = true;
    if (children())
        env_destroy_step(list_entry(root.env->children.next, struct env, in_parent));
    else
        unbind_own();
    world_leave();
    local_leave();
}

static bool device_frames(void)
{
    bool found = false;

    for (pfn_t pfn = first(); pfn < end(); pfn++)
        found |= is_kind(pfn, EXO_FRAME_IOTABLE);
    return found;
}

/* Pages that ended environments paid for and that vcpus of the first one, which live on, have as theirs, or a part of. */
static bool is_pinned(pfn_t pfn)
{
    for (const struct list *at = root.env->vcpus.next; at != &root.env->vcpus; at = at->next)
        if (frame_head(list_entry(at, struct vcpu, in_env)->page_pfn) == frame_head(pfn))
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
        small_on(0);
        machine_try(destroy_piece, NULL);
        for (unsigned cpu = 0; cpu < ncpus && machine.end != MACHINE_STOPPED; cpu++)
            small_interrupt(cpu);
        if (machine.end == MACHINE_STOPPED)
            return machine.console;
        if (!own_left)
            break;
    }
    if (own_left)
        return wrong("an environment is not destroyed after %u steps", TEARDOWN_STEPS);
    if (device_frames() && !dma_is_deaf())
        return wrong("all environments are gone, and devices have frames");
    if (account->reserved != pinned())
        return wrong("all environments are gone: %lu frames are reserved, and %lu pinned",
                     (unsigned long)account->reserved, (unsigned long)pinned());
    if (exo_free_frames() + account->used + account->reserved != all_frames)
        return wrong("all environments are gone: %lu frames are free and %lu init's, of %lu",
                     (unsigned long)exo_free_frames(), (unsigned long)(account->used + account->reserved),
                     (unsigned long)all_frames);
    return NULL;
}
