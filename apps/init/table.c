#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PID_MAX 0x3fffffffu

void table_init(struct table *t, struct os_ptable *page)
{
    memset(t, 0, sizeof(*t));
    memset(page, 0, sizeof(*page));
    t->page = page;
}

/* Readers take a copy between two looks at the generation, which is odd while an entry changes (libos/proc). */
void table_change(struct table *t)
{
    __atomic_fetch_add(&t->page->head.generation, 1, __ATOMIC_SEQ_CST);
}

static uint32_t next_pid(const struct table *t)
{
    uint32_t pid = t->last_pid;

    for (uint32_t tries = 0; tries <= OS_NPROC; tries++) {
        pid = pid >= PID_MAX ? 1 : pid + 1;
        if (pid % OS_NPROC && !t->slots[pid % OS_NPROC])
            return pid;
    }
    return 0;
}

static void fill_entry(struct proc *p, uint32_t pid, const struct proc *parent, const char *name)
{
    struct os_proc_entry *e = p->entry;

    memset(e, 0, sizeof(*e));
    e->ppid = parent ? parent->entry->pid : 0;
    e->pgid = parent && parent->parent ? parent->entry->pgid : pid;
    e->state = OS_PROC_NEW;
    e->job = p->job == p ? pid : p->job->entry->pid;
    strncpy(e->name, name, sizeof(e->name) - 1);
    e->pid = pid;
}

/* Who it descends from, as far as that matters: init itself is nobody's member. */
static void join(struct proc *p, struct proc *parent, bool own)
{
    bool first = !parent || !parent->parent;

    p->parent = parent;
    p->job = first ? p : parent->job;
    p->counted = first ? NULL : parent->owner;
    p->owner = first || own ? p : parent->owner;
    if (first)
        return;
    p->job->members++;
    p->counted->owned++;
}

struct proc *table_limited(const struct proc *parent)
{
    if (parent->owner->owned >= parent->owner->app->processes)
        return parent->owner;
    return parent->job->members >= parent->job->app->processes ? parent->job : NULL;
}

int table_add(struct table *t, struct proc *parent, const char *name, bool own, struct proc **out)
{
    uint32_t pid = next_pid(t);
    struct proc *p = pid ? calloc(1, sizeof(*p)) : NULL;

    if (!p)
        return pid ? -ENOMEM : -EAGAIN;
    list_init(&p->children);
    list_init(&p->sibling);
    list_init(&p->dying);
    join(p, parent, own);
    p->connects = -1;
    p->restart_index = -1;
    p->entry = &t->page->entry[pid % OS_NPROC - 1];
    t->slots[pid % OS_NPROC] = p;
    t->last_pid = pid;
    if (parent)
        list_add_tail(&parent->children, &p->sibling);
    table_change(t);
    fill_entry(p, pid, parent, name);
    t->page->head.count++;
    table_change(t);
    *out = p;
    return 0;
}

static void adopt(struct proc *heir, struct proc *orphan)
{
    list_remove(&orphan->sibling);
    orphan->parent = heir;
    orphan->entry->ppid = heir->entry->pid;
    list_add_tail(&heir->children, &orphan->sibling);
}

void table_adopt(struct table *t, struct proc *p, struct proc *heir)
{
    table_change(t);
    adopt(heir, p);
    table_change(t);
}

/* Those that counted against one that goes count against the job alone, or, where that goes, against nobody: their own
 * children then count against them, whose entry is the template, which allows none. */
static void forget(struct proc *q, const struct proc *gone)
{
    if (q->job == gone) {
        q->job = q;
        q->entry->job = q->entry->pid;
    }
    if (q->owner == gone)
        q->owner = q->job;
    if (q->counted == gone)
        q->counted = NULL;
}

static void leave(struct table *t, struct proc *p)
{
    uint32_t slot = 0;

    if (p->job != p)
        p->job->members--;
    if (p->counted)
        p->counted->owned--;
    if (p->owner != p)
        return;
    for (struct proc *q; (q = table_next(t, &slot)) != NULL;)
        if (q != p)
            forget(q, p);
}

/* Nobody's, but which environment it was and what it was called stays until the slot is used again, for who looks back. */
static void entry_clear(struct os_proc_entry *e)
{
    struct os_proc_entry gone = {.env_id = e->env_id, .start_ticks = e->start_ticks};

    memcpy(gone.name, e->name, sizeof(gone.name));
    *e = gone;
}

void table_remove(struct table *t, struct proc *p, struct proc *heir)
{
    struct list *at, *next;

    table_change(t);
    list_for_each_safe (at, next, &p->children) {
        adopt(heir, list_entry(at, struct proc, sibling));
    }
    leave(t, p);
    list_remove(&p->sibling);
    list_remove(&p->dying);
    t->slots[p->entry->pid % OS_NPROC] = NULL;
    entry_clear(p->entry);
    t->page->head.count--;
    table_change(t);
    free(p);
}

struct proc *table_find(const struct table *t, uint32_t pid)
{
    struct proc *p = t->slots[pid % OS_NPROC];

    return p && p->entry->pid == pid ? p : NULL;
}

void table_set_state(struct table *t, struct proc *p, enum os_proc_state state)
{
    table_change(t);
    p->entry->state = state;
    table_change(t);
}

struct proc *table_next(const struct table *t, uint32_t *slot)
{
    while (++*slot < OS_NPROC)
        if (t->slots[*slot])
            return t->slots[*slot];
    return NULL;
}

static bool group_in_job(const struct table *t, const struct proc *job, uint32_t pgid)
{
    uint32_t slot = 0;

    for (struct proc *q; (q = table_next(t, &slot)) != NULL;)
        if (q->entry->pgid == pgid && q->job == job)
            return true;
    return false;
}

int table_set_group(struct table *t, struct proc *p, uint32_t pgid)
{
    if (pgid != p->entry->pid && !group_in_job(t, p->job, pgid))
        return -EPERM;
    table_change(t);
    p->entry->pgid = pgid;
    table_change(t);
    return 0;
}

static bool descends(const struct proc *p, const struct proc *from)
{
    while (p && p != from)
        p = p->parent;
    return p != NULL;
}

bool table_may_signal(const struct proc *by, const struct proc *to)
{
    if (!to->parent) /* init */
        return false;
    return by == to || descends(to, by) || by->entry->pgid == to->entry->pgid || by->job == to->job;
}

bool table_waits_for(const struct proc *parent, const struct proc *child, int32_t which)
{
    if (which > 0)
        return child->entry->pid == (uint32_t)which;
    if (which == 0)
        return child->entry->pgid == parent->entry->pgid;
    return which == -1 || (int64_t)child->entry->pgid == -(int64_t)which;
}

struct proc *table_waitable(const struct proc *parent, int32_t which, bool *any)
{
    *any = false;
    for (const struct list *at = parent->children.next; at != &parent->children; at = at->next) {
        struct proc *child = list_entry(at, struct proc, sibling);

        if (child->entry->state == OS_PROC_NEW || child->told_of || !table_waits_for(parent, child, which))
            continue;
        *any = true;
        if (child->destroyed)
            return child;
    }
    return NULL;
}
