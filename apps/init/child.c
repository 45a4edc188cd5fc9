/* One process's kernel objects: environment, space, the pages that every process starts with, vcpu, first handles. */
#include <errno.h>
#include <string.h>

#include "init.h"
#include "os/layout.h"
#include "os/proc.h"
#include "os/time.h"

#define READ_WRITE (EXO_PROT_READ | EXO_PROT_WRITE)

static void drop(exo_handle_t *handle)
{
    while (*handle && exo_cap_drop(*handle) > 0) {
    }
    *handle = 0;
}

static int handle_of(int64_t result, exo_handle_t *out)
{
    if (result < 0)
        return (int)os_from_exo(result);
    *out = (exo_handle_t)result;
    return 0;
}

int64_t child_grant(const struct proc *to, exo_handle_t cap, unsigned rights, uint64_t a, uint64_t b)
{
    return os_from_exo(exo_cap_grant(to->env, cap, rights, a, b));
}

void child_signal(const struct proc *p, uint64_t bits)
{
    (void)exo_signal(p->event, bits);
}

int64_t child_limit(struct init *in, struct proc *p, uint64_t frames, uint64_t deadline)
{
    int64_t left = exo_env_limit(p->env, frames, deadline);

    if (left == -EXO_ESTATE) /* it has ended, and we have not heard of it yet */
        return -ESRCH;
    if (left < 0)
        return os_from_exo(left);
    table_change(&in->table);
    p->entry->limit_pages = (uint32_t)frames;
    table_change(&in->table);
    return left;
}

static int make_env(struct init *in, struct proc *p)
{
    int64_t made = exo_env_create(p->app->memory_pages, in->exit_event, 1ull << in->exit_bits[p->exit_class]);

    if (made < 0)
        return (int)os_from_exo(made);
    p->env = (exo_handle_t)(made & UINT32_MAX);
    p->space = (exo_handle_t)(made >> 32);
    return 0;
}

static int make_pages(struct proc *p)
{
    uint64_t stack = OS_UPCALL_STACK_TOP - (uint64_t)OS_UPCALL_STACK_PAGES * PAGE_SIZE;
    int rc = (int)exo_info_map(EXO_FIRST_INFO, EXO_INFO_SYSTEM, 0, p->space, OS_SYSTEM_VA);

    if (!rc)
        rc = os_page_map(p->space, OS_PTABLE_VA, EXO_SELF_SPACE, OS_PTABLE_VA, OS_PTABLE_PAGES, EXO_PROT_READ,
                         NULL);
    if (!rc)
        rc = os_page_alloc(p->space, OS_VCPU_VA, 1, READ_WRITE, NULL);
    if (!rc)
        rc = os_page_alloc(p->space, stack, OS_UPCALL_STACK_PAGES, READ_WRITE, NULL);
    return (int)os_from_exo(rc);
}

static int expect(int64_t handle, exo_handle_t wanted)
{
    if (handle < 0)
        return (int)handle;
    return handle == wanted ? 0 : -EPROTO;
}

/* Where the slices are; else, what init starts, servers above all, is on the first CPU, and other processes take the
 * CPUs in turn. */
static uint32_t cpu_for(const struct proc *p)
{
    if (p->app->nslices)
        return p->app->slices[0].cpu;
    return p->app->start ? 0 : p->entry->pid % (uint32_t)max_u64(os_system()->ncpus, 1);
}

/* On the first CPU where the kernel has no other. */
static int make_main_vcpu(struct proc *p)
{
    uint32_t cpu = cpu_for(p);
    int64_t vcpu = exo_vcpu_create(p->env, cpu, p->space, OS_VCPU_VA);

    if (vcpu == -EXO_EUNSUPPORTED && cpu)
        vcpu = exo_vcpu_create(p->env, 0, p->space, OS_VCPU_VA);
    return handle_of(vcpu, &p->vcpu);
}

/* The vcpu's capability and the gate to us go first, so that their handles are the well-known ones. */
static int make_vcpu(struct proc *p)
{
    exo_handle_t gate = 0;
    int rc = make_main_vcpu(p);

    if (!rc)
        rc = handle_of(exo_event_create(p->vcpu, UINT64_MAX >> 1), &p->event);
    if (!rc)
        rc = expect(child_grant(p, p->vcpu, EXO_RIGHTS_ALL, 0, 0), OS_HANDLE_VCPU);
    if (!rc)
        rc = handle_of(exo_gate_create(EXO_FIRST_VCPU, p->entry->pid), &gate);
    if (!rc)
        rc = expect(child_grant(p, gate, EXO_RIGHT_USE, 0, 0), OS_HANDLE_INIT);
    drop(&gate);
    return rc;
}

int child_make(struct init *in, struct proc *p)
{
    int64_t id;
    int rc = make_env(in, p);

    if (!rc)
        rc = make_pages(p);
    if (!rc)
        rc = make_vcpu(p);
    if (rc)
        return rc;
    id = exo_env_status(p->env, EXO_ENV_ID);
    table_change(&in->table);
    p->entry->env_id = id > 0 ? (uint32_t)id : 0;
    p->entry->limit_pages = p->app->memory_pages;
    p->entry->start_ticks = os_ticks();
    table_change(&in->table);
    return 0;
}

static void fill_start(const struct proc *p, struct os_start *start)
{
    start->pid = (int32_t)p->entry->pid;
    start->ppid = (int32_t)p->entry->ppid;
    start->pgid = (int32_t)p->entry->pgid;
    start->limit_pages = p->app->memory_pages;
    start->vcpus = p->app->vcpus;
    start->ngrants = 0;
    memset(start->grants, 0, sizeof(start->grants));
}

/* The block is copied into the child's own pages first and looked at there: whoever sent it cannot change it any more. */
int child_write_start(struct init *in, struct proc *p, const void *block, size_t bytes)
{
    uint64_t npages = bytes / PAGE_SIZE;
    struct os_start *start = (struct os_start *)(uintptr_t)in->start_va;
    int rc;

    if (bytes == 0 || bytes % PAGE_SIZE || bytes > OS_START_MAX_BYTES)
        return -EINVAL;
    rc = os_page_alloc(p->space, OS_START_VA, npages, READ_WRITE, NULL);
    if (!rc)
        rc = os_page_map(EXO_SELF_SPACE, in->start_va, p->space, OS_START_VA, npages, READ_WRITE, NULL);
    if (rc) {
        (void)os_page_unmap(EXO_SELF_SPACE, in->start_va, npages, NULL);
        return (int)os_from_exo(rc);
    }
    memcpy(start, block, bytes);
    rc = os_start_check(start, bytes);
    if (!rc) {
        fill_start(p, start);
        rc = grants_give(in, p, start);
    }
    (void)os_page_unmap(EXO_SELF_SPACE, in->start_va, npages, NULL);
    return rc;
}

static int write_vcpu(struct init *in, struct proc *p, uint64_t entry)
{
    struct exo_vcpu_page *vcpu = (struct exo_vcpu_page *)(uintptr_t)in->start_va;
    int rc = os_page_map(EXO_SELF_SPACE, in->start_va, p->space, OS_VCPU_VA, 1, READ_WRITE, NULL);

    if (rc)
        return (int)os_from_exo(rc);
    vcpu->upcall_entry = entry;
    vcpu->upcall_sp = OS_UPCALL_STACK_TOP;
    (void)os_page_unmap(EXO_SELF_SPACE, in->start_va, 1, NULL);
    return 0;
}

/* From here on nobody but the process itself has its space. */
int child_start(struct init *in, struct proc *p, uint64_t entry)
{
    int rc;

    while (exo_cap_revoke(p->space) > 0) {
    }
    rc = write_vcpu(in, p, entry);
    if (!rc)
        rc = (int)os_from_exo(exo_vcpu_start(p->vcpu, OS_START_VA));
    if (rc)
        return rc;
    table_set_state(&in->table, p, OS_PROC_ALIVE);
    return 0;
}

bool child_destroy_step(struct proc *p)
{
    if (p->env && exo_env_destroy(p->env) > 0)
        return false;
    drop(&p->event);
    drop(&p->vcpu);
    drop(&p->space);
    drop(&p->env);
    return true;
}
