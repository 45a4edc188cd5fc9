#include "table.h" /* first: its parameters have the name of exo_machine.h's variable */

#include "canon.h"

#include <string.h>

#include "cpu.h"
#include "block.h"
#include "dma.h"
#include "exo_small.h"
#include "msi.h"
#include "slice.h"

#define FRAMES_MAX 1024u
#define NOBODY UINT64_MAX
#define LINES_TRIED 3u /* that messages raise */
#define STREAM_TABLES (MACHINE_STREAMS / 64)

bool canon_exact;

static uint64_t form; /* of what was written so far */
static bool loose;
static uint16_t number[FRAMES_MAX]; /* of a frame, from 1 on; 0: not met */
static pfn_t met[FRAMES_MAX];
static unsigned nmet;

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 32;
}

static void put(uint64_t word)
{
    form = mix(form, word);
}

static pfn_t frame_of(const void *object)
{
    return paddr_to_pfn(virt_to_phys(object));
}

/* What stands for a frame that was met; a frame that only a TLB knows is not. */
static uint64_t name_of(pfn_t pfn)
{
    pfn_t i = pfn - system_info->first_frame;

    if (!frame_is_ram(pfn))
        return NOBODY;
    return canon_exact ? i + 1 : number[i];
}

static void put_frame(pfn_t pfn)
{
    pfn_t i = pfn - system_info->first_frame;

    if (pfn == 0 || !frame_is_ram(pfn)) {
        put(NOBODY);
        return;
    }
    if (!number[i]) {
        met[nmet++] = pfn;
        number[i] = (uint16_t)nmet;
    }
    put(name_of(pfn));
}

static void put_object(const void *object)
{
    put_frame(object ? frame_of(object) : 0);
}

/* Differences only, and those that are over are one. */
static void put_time(uint64_t at)
{
    put(at == EXO_FOREVER ? NOBODY : at > machine.time ? at - machine.time : 0);
}

#define PUT_LIST(head, type, member)                                                                         \
    do {                                                                                                     \
        for (const struct list *at_ = (head)->next; at_ != (head); at_ = at_->next)                          \
            put_object(list_entry(at_, type, member));                                                       \
        put(NOBODY);                                                                                         \
    } while (0)

/* ---- objects ------------------------------------------------------------------------------------------------------ */

static void put_cap(const struct cap *cap)
{
    put((uint64_t)cap->type << 8 | cap->rights);
    if (cap->type == EXO_CAP_NONE)
        return;
    if (cap_live(cap)) {
        put(NOBODY);
    } else if (cap->type == EXO_CAP_SLICE) {
        put(cap->object);
    } else {
        put_frame(cap->object);
    }
    put(cap->a);
    put(cap->b);
    put_frame(cap->parent ? frame_of(cap->parent) : 0);
    if (cap->parent)
        put((uint64_t)(cap->parent - (const struct cap *)frame_address(frame_of(cap->parent))));
}

static void put_caps(const struct cap_table *table)
{
    unsigned last = 0;

    put(table->nframes);
    for (unsigned i = 0; i < table->nframes; i++) {
        const struct cap *slots = frame_address(table->frames[i]);

        put_frame(table->frames[i]);
        for (unsigned k = 0; k < CAPS_PER_FRAME; k++) {
            if (slots[k].type == EXO_CAP_NONE)
                continue;
            put(k - last);
            last = k;
            put_cap(&slots[k]);
        }
    }
}

static void put_account(const struct account *a)
{
    put(a->limit);
    put(a->used);
    put(a->reserved);
    put(a->wanted);
    put((uint64_t)a->ended << 1 | (a->reclaim != 0));
}

static void put_revocation(const struct env *env)
{
    const struct env_revocation *v = &env->revocation;
    const struct env_reclaim *r = &env->reclaim;

    if (env->owner.account.wanted != ACCOUNT_STEADY) {
        put_time(v->deadline);
        put(v->steps << 32 | v->taken << 16 | v->victim);
        put(v->done);
    }
    if (!env->owner.account.reclaim)
        return;
    put(frame_entry(r->space)->serial == r->serial ? name_of(r->space) : NOBODY);
    put(r->va);
    put(r->n << 2 | (uint64_t)r->taking << 1 | r->left);
    put_time(r->deadline);
    put(r->at);
    put(r->va_at);
}

static void put_env(const struct env *env)
{
    put_object(env->parent);
    put((uint64_t)env->state << 2 | (uint64_t)env->torn_down << 1 | !list_empty(&env->in_endings));
    put_account(&env->owner.account);
    if (env->torn_down)
        return;
    put_object(env->home);
    put_caps(&env->owner.caps);
    PUT_LIST(&env->children, struct env, in_parent);
    PUT_LIST(&env->spaces, struct space, in_env);
    PUT_LIST(&env->vcpus, struct vcpu, in_env);
    if (!list_empty(&env->in_endings))
        put_object(env->ending_at == &env->vcpus ? NULL : list_entry(env->ending_at, struct vcpu, in_env));
    put(env->watcher.vcpu && frame_is_object(env->watcher.vcpu, EXO_FRAME_VCPU, env->watcher.serial)
            ? env->watcher.bits
            : 0);
    if (env->watcher.vcpu && frame_is_object(env->watcher.vcpu, EXO_FRAME_VCPU, env->watcher.serial))
        put_frame(env->watcher.vcpu);
    put_revocation(env);
    if (small.with & SMALL_DMA)
        PUT_LIST(&env->domains, struct domain, in_env);
}

static void put_space(const struct space *space)
{
    bool known = space_in_tlb(space);

    put_object(space->account);
    put_frame(space->root);
    put((uint64_t)space->pinned << 2 | (uint64_t)space->ending << 1 | known);
    put(space->nvcpus);
    if (space->ending)
        put(space->cursor);
    if (!loose && known) {
        put(space->cpus);
        put(machine.asid_bits < 8 ? space->asid : 0);
    }
    if (!loose && known && tlb_lazy_any(&space->lazy)) {
        put(space->lazy.from);
        put(space->lazy.to);
    }
    put(space->run.left << 1 | space->run.large);
    if (space->run.left) {
        put(space->run.va);
        put_frame(space->run.pfn);
    }
}

/* Of the first environment, for what is bound out of the way: nothing there changes. */
static bool is_busy(const pte_t *entries)
{
    const pte_t *busy = table_walk(root.env->home->root, SMALL_BUSY_VA, 0);

    return busy == entries;
}

/* Entries in their places, as far as there are any. */
static void put_table(pfn_t pfn, const pte_t *entries)
{
    unsigned left = is_busy(entries) ? 0 : frame_entry(pfn)->entries;

    for (unsigned i = 0; i < TABLE_ENTRIES && left; i++) {
        if (!entries[i] || (i == ARCH_TABLE_SLOT && paddr_to_pfn(pte_paddr(entries[i])) == pfn))
            continue;
        left--;
        put(entries[i] & ~PTE_ADDRESS);
        put(i);
        if (pte_memory(entries[i]) == MEMORY_DEVICE)
            put(pte_paddr(entries[i]).v);
        else
            put_frame(paddr_to_pfn(pte_paddr(entries[i])));
    }
}

/* ---- devices ------------------------------------------------------------------------------------------------------ */

static void put_domain(const struct domain *domain)
{
    put_object(domain->account);
    put_frame(domain->root);
    put(domain->stream);
    put((uint64_t)domain->translated << 2 | (uint64_t)domain->attached << 1 | domain->ending);
    put(domain->nbound);
    if (domain->ending)
        put(domain->cursor);
}

/* Which table of streams, or none; what is in it is the domains' to say. */
static bool is_stream_table(pfn_t pfn)
{
    for (uint32_t i = 0; i < STREAM_TABLES; i++)
        if (dma_stream_table(i) == pfn)
            return true;
    return false;
}

static bool is_message_table(pfn_t pfn)
{
    for (unsigned i = 0; i < MSI_DEVICES; i++)
        if (msi_device(i)->nlines && msi_device(i)->table == pfn)
            return true;
    return false;
}

static void put_iotable(pfn_t pfn)
{
    if (dma_domain(pfn))
        put_domain(frame_address(pfn));
    else if (is_stream_table(pfn))
        put(frame_entry(pfn)->refs);
    else if (!is_message_table(pfn))
        put_table(pfn, frame_address(pfn));
}

static void put_streams(void)
{
    for (uint32_t i = 0; i < STREAM_TABLES; i++)
        put_frame(dma_stream_table(i));
    for (uint64_t stream = SMALL_STREAM; stream < SMALL_STREAM + 2u; stream++)
        put_object(dma_stream_domain(stream));
    PUT_LIST(dma_lost(), struct domain, in_env);
}

static void put_page(const struct exo_vcpu_page *page)
{
    put(page->events);
    put(page->upcall_events);
    put(page->upcall_entry);
    put(page->upcall_masked);
}

static void put_notices(const struct notices *n)
{
    put(n->due);
    if (n->due & 1u << EXO_REVOKE_TAKEN)
        put(n->taken);
    if (n->due & 1u << EXO_REVOKE_PAGES) {
        put(name_of((pfn_t)n->pages.space));
        put(n->pages.va);
        put(n->pages.npages);
    }
    if (n->due & 1u << EXO_REVOKE_GONE) {
        put(name_of((pfn_t)n->gone.space));
        put(n->gone.va);
        put(n->gone.npages);
    }
}

static void put_vcpu(const struct vcpu *vcpu)
{
    bool calls = vcpu->state == VCPU_SENDING || vcpu->state == VCPU_CALLING;

    put_object(vcpu->env);
    put_object(vcpu->space);
    put((uint64_t)vcpu->cpu->id << 8 | vcpu->state);
    put_frame(vcpu->page_pfn);
    if (vcpu->page)
        put_page(vcpu->page);
    put(machine_in_upcall(vcpu));
    put(vcpu->state == VCPU_WAITING ? vcpu->wait_mask : 0);
    put_time(deadline_is_set(&vcpu->deadline) ? vcpu->deadline.at : EXO_FOREVER);
    if (calls) {
        put_object(vcpu->peer);
        put(vcpu->interruptible);
    }
    if (vcpu->state == VCPU_SENDING) {
        put(vcpu->gate_badge);
        put(vcpu->send_flags);
        put(vcpu->far);
    }
    PUT_LIST(&vcpu->senders, struct vcpu, queue);
    PUT_LIST(&vcpu->callers, struct vcpu, queue);
    put_notices(&vcpu->notices);
}

static void put_content(pfn_t pfn)
{
    const uint64_t *words = frame_address(pfn);

    put(words[PAGE_SIZE / 8 - 1]);
}

static void put_object_of(pfn_t pfn)
{
    const struct exo_frame *f = frame_entry(pfn);
    void *object = frame_address(pfn);

    put(f->kind);
    put_frame(f->account);
    put(!loose && frame_is_stale(pfn));
    switch (f->kind) {
    case EXO_FRAME_ENV:
        put_env(object);
        break;
    case EXO_FRAME_SPACE:
        put_space(object);
        break;
    case EXO_FRAME_TABLE:
        put_table(pfn, object);
        break;
    case EXO_FRAME_VCPU:
        put_vcpu(object);
        break;
    case EXO_FRAME_IOTABLE:
        put_iotable(pfn);
        break;
    case EXO_FRAME_USER:
        put_frame(frame_head(pfn));
        put(frame_reclaimer(pfn) != NULL);
        put_content(pfn);
        break;
    default:
        break;
    }
}

/* ---- roots -------------------------------------------------------------------------------------------------------- */

static void put_slots(const struct cpu *cpu)
{
    put(cpu->nowned);
    if (!cpu->nowned)
        return;
    if (!loose) {
        put(machine.time / cpu->slot_ticks % CPU_SLOTS);
        put(cpu->info->slot);
    }
    for (unsigned i = 0; i < CPU_SLOTS; i++)
        if (cpu->slots[i].owner) {
            put(i);
            put_object(cpu->slots[i].owner);
        }
}

static void put_trace(const struct cpu *cpu)
{
    const struct cpu_trace *trace = &cpu->trace;

    put_object(trace->owner);
    put((uint64_t)cpu->traced << 2 | (uint64_t)trace->wanted << 1 | machine.cpus[cpu->id].traced);
    put(trace->npages);
    for (uint32_t i = 0; i < trace->npages; i++)
        put_frame(trace->first + i);
}

static void put_cpu(struct cpu *cpu)
{
    const struct machine_cpu *hw = &machine.cpus[cpu->id];

    put_object(cpu->current);
    put_object(cpu->fp_owner);
    put(cpu->evict);
    PUT_LIST(&cpu->ready, struct vcpu, queue);
    PUT_LIST(&cpu->endings, struct env, in_endings);
    put_slots(cpu);
    put_trace(cpu);
    if (loose)
        return;
    put((uint64_t)cpu->overdue << 2 | (uint64_t)cpu->lent << 1 | cpu->borrows);
    PUT_LIST(&cpu->inbox, struct vcpu, in_inbox);
    put_object(cpu->loaded);
    put(hw->root ? name_of((pfn_t)(hw->root >> PAGE_SHIFT)) : 0);
    put(cpu->attention);
    put(cpu->resched);
    put(hw->kicked);
    put_time(hw->timer);
    put_time(cpu->slot_end);
    for (pfn_t at = pool_cached_first(cpu); at; at = frame_entry(at)->next)
        put(canon_exact ? name_of(at) << 1 | frame_is_stale(at) : frame_is_stale(at));
    put(NOBODY);
}

/* Free blocks of each order: how many, and how many of their frames are stale; or which. */
static void put_blocks(void)
{
    for (unsigned order = 0; order < FRAME_ORDERS; order++)
        for (unsigned zone = 0; zone < 2; zone++)
            for (pfn_t at = block_first(zone, order); at; at = frame_entry(at)->next) {
                unsigned stale = 0;

                for (pfn_t i = 0; i < 1u << order; i++)
                    stale += frame_leaf(at + i) == FRAME_WRITTEN && frame_is_stale(at + i);
                put(canon_exact ? name_of(at) : 0);
                put(order << 16 | stale);
            }
}

static void put_line(const struct irq *irq, bool raised, bool enabled)
{
    put_object(irq->vcpu);
    put(irq->bit);
    put((uint64_t)irq->masked << 2 | (uint64_t)raised << 1 | enabled);
}

static void put_lines(void)
{
    put_line(irq_of(SMALL_LINE), machine.irq_raised >> SMALL_LINE & 1, machine.irq_enabled >> SMALL_LINE & 1);
    for (unsigned i = 0; i < LINES_TRIED && small.with & SMALL_MSI; i++) {
        const struct irq *irq = irq_of(SMALL_LPI + i);
        const struct msi_device *device = msi_device(irq->device);

        put_line(irq, machine.lpi_raised >> i & 1, machine.lpi_enabled >> i & 1);
        if (!irq->vcpu)
            continue;
        put((uint64_t)device->id << 8 | irq->event);
        put_frame(device->table);
    }
}

static const struct space *space_of(uint32_t asid)
{
    for (unsigned i = 0; i < nmet; i++) {
        const struct space *space = frame_address(met[i]);

        if (frame_entry(met[i])->kind == EXO_FRAME_SPACE && space_in_tlb(space) && space->asid == asid)
            return space;
    }
    return NULL;
}

static uint64_t sum;

/* Whatever the order in which the model keeps them. */
static void add_translation(unsigned cpu, uint32_t asid, unsigned level, uint64_t va, uint64_t pte)
{
    const struct space *space = space_of(asid);
    uint64_t h = mix(cpu, space ? name_of(frame_of(space)) : asid);

    h = mix(mix(h, level), va);
    h = mix(mix(h, pte & ~PTE_ADDRESS), name_of(paddr_to_pfn(pte_paddr(pte))));
    sum += h;
}

static void add_recent(unsigned cpu, uint32_t asid, uint64_t va)
{
    const struct space *space = space_of(asid);

    if (space)
        sum += mix(mix(mix(77, cpu), name_of(frame_of(space))), va);
}

static void put_tlbs(void)
{
    sum = 0;
    tlb_show(add_translation);
    tlb_show_recent(add_recent);
    put(sum);
}

static const struct domain *domain_of(uint32_t tag)
{
    for (unsigned i = 0; i < nmet; i++) {
        const struct domain *domain =
            frame_entry(met[i])->kind == EXO_FRAME_IOTABLE ? dma_domain(met[i]) : NULL;

        if (domain && domain->tag == tag)
            return domain;
    }
    return NULL;
}

static uint64_t name_of_tag(uint32_t tag)
{
    const struct domain *domain = domain_of(tag);

    return domain ? name_of(frame_of(domain)) : NOBODY;
}

static void add_device_translation(uint32_t tag, unsigned level, uint64_t iova, uint64_t pte)
{
    uint64_t h = mix(mix(mix(99, name_of_tag(tag)), level), iova);

    sum += mix(mix(h, pte & ~PTE_ADDRESS), name_of(paddr_to_pfn(pte_paddr(pte))));
}

static void add_stream(uint64_t stream, uint32_t tag)
{
    sum += mix(mix(111, stream), name_of_tag(tag));
}

static void put_iommu(void)
{
    uint64_t stream, address;

    sum = 0;
    iommu_show(add_device_translation);
    iommu_show_streams(add_stream);
    put(sum);
    if (iommu_last(&stream, &address))
        put(mix(stream, address));
}

static uint64_t write_down(void)
{
    form = 1;
    nmet = 0;
    memset(number, 0, system_info->nframes * sizeof(number[0]));
    put_object(root.env);
    for (unsigned i = 0; i < ncpus; i++)
        put_cpu(&cpus[i]);
    put_lines();
    if (small.with & SMALL_DMA)
        put_streams();
    for (unsigned i = 0; i < nmet; i++)
        put_object_of(met[i]);
    if (!loose) {
        put_blocks();
        put_tlbs();
        if (small.with & SMALL_DMA)
            put_iommu();
    }
    return form;
}

uint64_t canon_state(void)
{
    loose = false;
    return write_down();
}

uint64_t canon_meaning(void)
{
    loose = true;
    return write_down();
}
