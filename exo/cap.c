#include "cap.h"

#include "panic.h"

#define GENERATION_MASK (EXO_HANDLE_MAX >> EXO_HANDLE_INDEX_BITS)
#define STEP 64u /* capabilities that one piece of work touches */

_Static_assert(CAPS_FRAMES *CAPS_PER_FRAME == CAP_INDEX_MASK + 1, "indices cover the table");

/* A slot's own frame tells whose it is, and which part of the table. */
static struct cap_table *table_of(const struct cap *cap, uint32_t *index)
{
    pfn_t pfn = paddr_to_pfn(virt_to_phys(cap));
    const struct exo_frame *frame = frame_entry(pfn);
    struct cap_owner *owner = frame_address(frame->account);

    *index = frame->entries * CAPS_PER_FRAME + (uint32_t)(cap - (struct cap *)frame_address(pfn));
    return &owner->caps;
}

int cap_live(const struct cap *cap)
{
    return cap_live_as(cap, cap->type);
}

int cap_find_any(struct cap_owner *owner, uint64_t handle, struct cap **out)
{
    struct cap *cap = cap_named(owner, handle);

    if (!cap || cap->type == EXO_CAP_NONE)
        return -EXO_EHANDLE;
    *out = cap;
    return 0;
}

int cap_find(struct cap_owner *owner, uint64_t handle, enum exo_cap_type type, unsigned rights,
             struct cap **out)
{
    return cap_find_inline(owner, handle, type, rights, out);
}

static int table_grow(struct cap_owner *owner)
{
    struct cap_table *table = &owner->caps;
    uint32_t base = table->nframes * CAPS_PER_FRAME;
    pfn_t pfn;
    int rc;

    if (table->nframes == CAPS_FRAMES)
        return -EXO_EFULL;
    rc = frame_alloc(&owner->account, EXO_FRAME_CAPS, NULL, &pfn);
    if (rc)
        return rc;
    frame_entry(pfn)->entries = (uint16_t)table->nframes; /* which part of the table it is */
    table->frames[table->nframes++] = pfn;
    for (uint32_t i = CAPS_PER_FRAME; i-- > 0;) {
        if (base + i == 0)
            continue; /* handle 0 names nothing */
        cap_slot(table, base + i)->a = table->first_free;
        table->first_free = base + i;
    }
    return 0;
}

static void child_link(struct cap *cap, struct cap *parent)
{
    cap->parent = parent;
    cap->next = parent ? parent->child : NULL;
    cap->prev_next = parent ? &parent->child : NULL;
    if (cap->next)
        cap->next->prev_next = &cap->next;
    if (parent)
        parent->child = cap;
}

static void child_unlink(struct cap *cap)
{
    if (!cap->prev_next)
        return;
    *cap->prev_next = cap->next;
    if (cap->next)
        cap->next->prev_next = cap->prev_next;
}

int64_t cap_insert(struct cap_owner *owner, const struct cap *model, struct cap *parent)
{
    struct cap_table *table = &owner->caps;
    int rc = table->first_free ? 0 : table_grow(owner);
    uint32_t index = table->first_free;
    uint32_t generation;
    struct cap *cap;

    if (rc)
        return rc;
    cap = cap_slot(table, index);
    table->first_free = (uint32_t)cap->a;
    generation = cap->generation;
    *cap = *model;
    cap->generation = generation;
    cap->child = NULL;
    child_link(cap, parent);
    table->nused++;
    return (int64_t)((uint64_t)generation << EXO_HANDLE_INDEX_BITS | index);
}

static bool cap_remove_some(struct cap *cap, unsigned *budget)
{
    struct cap_table *table;
    uint32_t index, generation = (cap->generation + 1) & GENERATION_MASK;

    for (; cap->child; (*budget)--) {
        struct cap *orphan = cap->child;

        if (*budget == 0)
            return false;
        child_unlink(orphan);
        child_link(orphan, cap->parent);
    }
    child_unlink(cap);
    table = table_of(cap, &index);
    *cap = (struct cap){.generation = generation, .a = table->first_free};
    table->first_free = index;
    table->nused--;
    return true;
}

bool cap_remove(struct cap *cap)
{
    unsigned budget = STEP;

    return cap_remove_some(cap, &budget);
}

bool cap_revoke(struct cap *cap)
{
    unsigned budget = STEP;

    /* What came of a child that goes hangs on cap itself from then on, and so goes in its turn: each step counts, however
     * deep the tree. */
    while (cap->child && budget) {
        budget--;
        cap_remove_some(cap->child, &budget);
    }
    return cap->child == NULL;
}

bool cap_table_end(struct cap_owner *owner)
{
    struct cap_table *table = &owner->caps;
    unsigned budget = STEP;
    struct cap *slots;

    if (table->nframes == 0)
        return true;
    slots = frame_address(table->frames[table->nframes - 1]);
    for (unsigned i = 0; i < CAPS_PER_FRAME; i++)
        if (slots[i].type != EXO_CAP_NONE && !cap_remove_some(&slots[i], &budget))
            return false;
    frame_free(table->frames[--table->nframes]);
    table->frames[table->nframes] = 0;
    table->first_free = 0; /* nothing is inserted into a table that ends */
    return table->nframes == 0;
}
