#include "audit_impl.h"

#include "msi.h"

/* ---- slots, lines --------------------------------------------------------------------------------------- */

void audit_check_slots(const struct cpu *cpu)
{
    uint32_t owned = 0;

    for (unsigned i = 0; i < CPU_SLOTS && ok(); i++) {
        const struct vcpu *owner = cpu->slots[i].owner;

        if (!owner) {
            expect(cpu->info->slot_env[i] == 0, "slot %u: told as owned", i);
            continue;
        }
        owned++;
        if (expect(is_object(owner, EXO_FRAME_VCPU), "slot %u: owned by nobody", i)) {
            note(frame_of(owner))->objects++;
            expect(cpu->info->slot_env[i] == frame_of(owner->env), "slot %u: told as another's", i);
        }
    }
    expect(owned == cpu->nowned, "%u slots have owners, counted as %u", owned, cpu->nowned);
}

/* One vcpu at most has a line, and it is open from acknowledgement to delivery alone. */
static void check_line(const struct irq *irq)
{
    if (irq->vcpu && expect(is_object(irq->vcpu, EXO_FRAME_VCPU), "line %u: bound to nobody", irq->line)) {
        note(frame_of(irq->vcpu))->objects++;
        expect(on_list(&irq->vcpu->lines, &irq->in_vcpu), "line %u: its vcpu does not know it", irq->line);
        expect(arch_irq_enabled(irq->line) == !irq->masked, "line %u: open before its acknowledgement",
               irq->line);
    } else if (arch_irq_usable(irq->line) || msi_raises(irq->line)) {
        expect(!arch_irq_enabled(irq->line), "line %u: open and nobody's", irq->line);
    }
}

static uint32_t msi_events(const struct msi_device *device)
{
    uint32_t n = 0;

    for (uint32_t event = 0; event < EXO_MSI_EVENTS; event++)
        n += device->events[event / 64] >> event % 64 & 1;
    return n;
}

static uint32_t msi_lines_of(unsigned device)
{
    uint32_t n = 0;

    for (uint32_t row = 0; row < irq_rows(); row++) {
        const struct irq *irq = irq_row(row);

        n += irq->vcpu && msi_raises(irq->line) && irq->device == device &&
             msi_device(device)->events[irq->event / 64] >> irq->event % 64 & 1;
    }
    return n;
}

static void check_msi_device(unsigned n)
{
    const struct msi_device *device = msi_device(n);

    if (device->nlines == 0)
        return;
    expect(msi_events(device) == device->nlines && msi_lines_of(n) == device->nlines,
           "device %u: its events are not its lines", device->id);
    if (expect(frame_is(device->table, EXO_FRAME_IOTABLE),
               "device %u: the controller's table is in a frame of another kind", device->id))
        note(device->table)->seen++;
}

void audit_check_lines(void)
{
    for (uint32_t row = 0; row < irq_rows() && ok(); row++)
        check_line(irq_row(row));
    for (unsigned n = 0; n < MSI_DEVICES && ok() && arch_msi()->by_device; n++)
        check_msi_device(n);
}

/* ---- CPUs ----------------------------------------------------------------------------------------------- */

static uint32_t check_heap(const struct deadline *d, const struct deadline *parent)
{
    uint32_t left, right;

    if (!d || !ok())
        return 0;
    if (!expect(is_object(container_of(d, struct vcpu, deadline), EXO_FRAME_VCPU), "deadlines: of nobody"))
        return 0;
    expect(d->parent == parent && (!parent || parent->at <= d->at), "deadlines: order");
    left = check_heap(d->left, d);
    right = check_heap(d->right, d);
    expect((d->left ? d->left->rank : 0) >= (d->right ? d->right->rank : 0) &&
               d->rank == (d->right ? d->right->rank : 0) + 1,
           "deadlines: ranks");
    return left + right + 1;
}

/* Audited in world mode other CPUs may be in the kernel, on their way from local mode or into it: what holds only where
 * one leaves it is not looked at then. */
static bool between_entries(void)
{
    return !cpu_this()->world;
}

/* Between two entries nobody is in the kernel. */
static void check_locks(const struct cpu *cpu)
{
    expect((!between_entries() || cpu->lock.next == cpu->lock.served) &&
               cpu->inbox_lock.next == cpu->inbox_lock.served && (!cpu->world || cpu == cpu_this()),
           "CPU %u's locks are held by nobody in the kernel", cpu->id);
}

static void check_inbox(const struct cpu *cpu)
{
    uint32_t n = list_length(&cpu->inbox);

    for (const struct list *at = cpu->inbox.next; at != &cpu->inbox && ok(); at = at->next) {
        const struct vcpu *vcpu = list_entry(at, struct vcpu, in_inbox);

        if (!expect(is_object(vcpu, EXO_FRAME_VCPU) && vcpu->cpu == cpu,
                    "CPU %u's inbox holds a note about no vcpu of its own", cpu->id))
            return;
    }
    expect(n == 0 || cpu->attention || !between_entries(), "CPU %u has %u notes, and does not know", cpu->id,
           n);
}

/* What a CPU is to do before it goes back to user mode: it has been told where that cannot wait. */
static void check_duties(const struct cpu *cpu)
{
    const struct vcpu *current = cpu->current;

    for (const struct list *at = cpu->endings.next; at != &cpu->endings && ok(); at = at->next) {
        const struct env *env = list_entry(at, struct env, in_endings);

        expect(is_object(env, EXO_FRAME_ENV) && env->state == EXO_ENV_ENDED,
               "CPU %u ends an environment that is not ending", cpu->id);
    }
    if (!between_entries())
        return;
    expect(!cpu->evict || cpu->attention, "CPU %u is to let go, and does not know", cpu->id);
    expect(!cpu->overdue || cpu->attention, "CPU %u has left deadlines, and does not know", cpu->id);
    expect(!current || cpu->loaded == current->space || cpu->evict || cpu->attention,
           "CPU %u runs vcpu %u in another space", cpu->id, current ? frame_of(current) : 0);
    expect(current || cpu->evict || cpu->attention || !(cpu->info->running.vcpu | cpu->info->running.env),
           "CPU %u idles, and is shown to run", cpu->id);
}

void audit_check_cpu(const struct cpu *cpu)
{
    uint32_t running = 0, ready = 0, timed = 0, fp_owners = 0;

    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++) {
        const struct vcpu *vcpu = frame_address(pfn);

        if (kind_of(pfn) != EXO_FRAME_VCPU || vcpu->cpu != cpu)
            continue;
        running += vcpu->state == VCPU_RUNNING;
        ready += vcpu->state == VCPU_READY;
        timed += deadline_is_set(&vcpu->deadline);
        fp_owners += vcpu->fp_owner;
        expect(vcpu->sound != cpu->epoch || (!vcpu_ended(vcpu) && space_has_asid(cpu, vcpu->space)),
               "vcpu %u could not go on at once", pfn);
        expect(note(pfn)->objects == vcpu->nslots + vcpu->nirqs, "vcpu %u: lines and slots", pfn);
    }
    expect(running == (cpu->current != NULL), "%u vcpus run on CPU %u", running, cpu->id);
    expect(list_length(&cpu->ready) == ready, "%u vcpus are ready, the list holds %u", ready,
           list_length(&cpu->ready));
    expect(check_heap(cpu->deadlines.first, NULL) == timed,
           "deadlines: not all that are set are in the heap");
    expect(!cpu->loaded || (is_object(cpu->loaded, EXO_FRAME_SPACE) && space_has_asid(cpu, cpu->loaded)),
           "the space in CPU %u's MMU is gone, or does not know", cpu->id);
    expect(!cpu->fp_owner || (is_object(cpu->fp_owner, EXO_FRAME_VCPU) && cpu->fp_owner->cpu == cpu),
           "the owner of CPU %u's FP registers is gone, or another CPU's", cpu->id);
    expect(fp_owners == (cpu->fp_owner ? 1 : 0) && (!fp_owners || cpu->fp_owner->fp_owner),
           "who owns CPU %u's FP registers is not the one who is said to", cpu->id);
    check_locks(cpu);
    check_inbox(cpu);
    check_duties(cpu);
}

/* ---- trace rings ---------------------------------------------------------------------------------------- */

/* A trace ring's pages are pinned, and its owner has not been taken down. */
void audit_check_ring(const struct cpu *cpu)
{
    const struct cpu_trace *trace = &cpu->trace;

    if (!expect((trace->npages == 0) == (trace->owner == NULL), "cpu %u: a trace ring without an owner",
                cpu->id))
        return;
    expect(!trace->owner || (is_object(trace->owner, EXO_FRAME_ENV) && !trace->owner->torn_down),
           "cpu %u: the owner of its trace ring is gone", cpu->id);
    expect(!cpu->traced || (trace->npages && trace->ring == frame_address(trace->first) &&
                            trace->next < trace->nrecords &&
                            sizeof(*trace->ring) + trace->nrecords * sizeof(trace->ring->record[0]) <=
                                trace->npages * PAGE_SIZE),
           "cpu %u: traces beyond its ring", cpu->id);
    for (pfn_t pfn = trace->first; ok() && pfn - trace->first < trace->npages; pfn++)
        if (expect(frame_is(pfn, EXO_FRAME_USER), "cpu %u: frame %u of its trace ring is not a user's",
                   cpu->id, pfn))
            note(frame_head(pfn))->refs++;
}
