#include "audit_impl.h"

#include "base/range.h"

static bool is_slot(const struct cap *cap)
{
    pfn_t pfn = frame_of(cap);

    return frame_is(pfn, EXO_FRAME_CAPS) && virt_to_phys(cap).v % sizeof(*cap) == 0 &&
           cap->type != EXO_CAP_NONE;
}

/* Rights and meaning never grow on the way down.  (A gate or event under a vcpu is of another type.) */
static bool no_more_than(const struct cap *cap, const struct cap *parent)
{
    if (cap->type != parent->type)
        return parent->type == EXO_CAP_VCPU && cap->object == parent->object;
    if (cap->rights & ~parent->rights || cap->object != parent->object || cap->serial != parent->serial)
        return false;
    switch (cap->type) {
    case EXO_CAP_GATE:
        return parent->a == 0 || cap->a == parent->a;
    case EXO_CAP_EVENT:
        return !(cap->a & ~parent->a);
    case EXO_CAP_SLICE:
    case EXO_CAP_IRQ:
    case EXO_CAP_MMIO:
    case EXO_CAP_DMA:
        return range_inside(cap->a, cap->b, parent->a, parent->b);
    default:
        return true;
    }
}

static void check_cap(const struct cap *cap, pfn_t pfn)
{
    const struct cap *up = cap;
    uint32_t depth = 0;

    expect(cap->type < EXO_NCAP_TYPES && !(cap->rights & ~EXO_RIGHTS_ALL),
           "a capability of table frame %u: type", pfn);
    if (cap->parent) {
        if (!expect(is_slot(cap->parent), "a capability in frame %u was derived from a free slot", pfn))
            return;
        expect(cap->prev_next && *cap->prev_next == cap, "a capability in frame %u is on no list of siblings",
               pfn);
        expect(no_more_than(cap, cap->parent), "a capability in frame %u exceeds the one that it came from",
               pfn);
    } else {
        expect(!cap->prev_next && !cap->next, "a capability in frame %u came of nothing and has siblings",
               pfn);
    }
    if (cap->next)
        expect(is_slot(cap->next) && cap->next->parent == cap->parent && cap->next->prev_next == &cap->next,
               "siblings of a capability in frame %u", pfn);
    if (cap->child)
        expect(is_slot(cap->child) && cap->child->parent == cap && cap->child->prev_next == &cap->child,
               "what came of a capability in frame %u", pfn);
    while (ok() && up->parent && depth++ <= CHAIN_MAX)
        up = up->parent;
    expect(depth <= CHAIN_MAX, "a capability in frame %u came of itself", pfn);
}

/* A CAPS frame knows its table, and the table knows it. */
void audit_check_caps_frame(pfn_t pfn)
{
    const struct env *env = payer(pfn);
    const struct cap_table *table = &env->owner.caps;
    uint32_t part = frame_look(pfn)->entries;
    const struct cap *slots = frame_address(pfn);

    if (!expect(part < table->nframes && table->frames[part] == pfn, "capability frame %u is in no table",
                pfn))
        return;
    for (unsigned i = 0; i < CAPS_PER_FRAME && ok(); i++)
        if (slots[i].type != EXO_CAP_NONE)
            check_cap(&slots[i], pfn);
    expect(part != 0 || slots[0].type == EXO_CAP_NONE, "capability frame %u: slot 0 is in use", pfn);
}

static const struct cap *slot_at(const struct cap_table *table, uint32_t index)
{
    const struct cap *slots = frame_address(table->frames[index / CAPS_PER_FRAME]);

    return &slots[index % CAPS_PER_FRAME];
}

void audit_check_cap_table(pfn_t pfn, const struct env *env)
{
    const struct cap_table *table = &env->owner.caps;
    uint32_t nslots = table->nframes * CAPS_PER_FRAME, used = 0, nfree = 0;

    for (uint32_t i = table->nframes; i < CAPS_FRAMES; i++)
        expect(!table->frames[i], "env %u: part %u is behind the end of its capability table", pfn, i);
    for (uint32_t i = 0; i < table->nframes; i++)
        if (!expect(frame_is(table->frames[i], EXO_FRAME_CAPS) && payer(table->frames[i]) == env &&
                        frame_look(table->frames[i])->entries == i,
                    "env %u: part %u of its capability table", pfn, i))
            return;
    for (uint32_t i = 1; i < nslots; i++)
        used += slot_at(table, i)->type != EXO_CAP_NONE;
    expect(used == table->nused, "env %u: %u capabilities, counted as %u", pfn, used, table->nused);
    if (env->state == EXO_ENV_ENDED)
        return; /* its free slots do not matter any more */
    for (uint32_t at = table->first_free; at && nfree <= nslots && ok();
         at = (uint32_t)slot_at(table, at)->a) {
        if (!expect(at < nslots && slot_at(table, at)->type == EXO_CAP_NONE, "env %u: free slots", pfn))
            return;
        nfree++;
    }
    expect(nslots == 0 || nfree + used == nslots - 1, "env %u: %u slots, %u used, %u free", pfn, nslots, used,
           nfree);
}
