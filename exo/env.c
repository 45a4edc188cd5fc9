#include "env.h"

#include "cpu.h"
#include "panic.h"

void (*env_tell)(pfn_t vcpu, uint32_t serial, uint64_t bits);
enum env_ending (*env_vcpus_end)(struct env *env);
bool (*env_runs_on)(const struct env *env, const struct cpu *cpu);
void (*env_vcpu_free)(struct env *env);

pfn_t env_frame(const struct env *env)
{
    return paddr_to_pfn(virt_to_phys(env));
}

struct env *env_of(const struct cap *cap)
{
    return frame_address(cap->object);
}

static int insert_own(struct env *env, enum exo_cap_type type, const void *object, unsigned rights)
{
    pfn_t pfn = paddr_to_pfn(virt_to_phys(object));
    struct cap model = {
        .type = (uint8_t)type, .rights = (uint8_t)rights, .object = pfn, .serial = frame_entry(pfn)->serial};
    int64_t rc = cap_insert(&env->owner, &model, NULL);

    return rc < 0 ? (int)rc : 0;
}

/* Handles 1 and 2, the home space, in that order: a fresh table hands slots out from 1 up. */
static int env_furnish(struct env *env)
{
    int rc = space_new(&env->owner.account, &env->home);

    if (rc)
        return rc;
    list_add_tail(&env->spaces, &env->home->in_env);
    rc = insert_own(env, EXO_CAP_ENV, env, EXO_RIGHTS_ALL);
    return rc ? rc : insert_own(env, EXO_CAP_SPACE, env->home, EXO_RIGHTS_ALL);
}

static void env_init(struct env *env, struct env *parent)
{
    env->parent = parent;
    env->depth = parent ? parent->depth + 1 : 0;
    list_init(&env->children);
    list_init(&env->spaces);
    list_init(&env->domains);
    list_init(&env->vcpus);
    list_init(&env->in_endings);
    if (parent)
        list_add_tail(&parent->children, &env->in_parent);
}

int env_new(struct env *parent, uint64_t limit, struct env **out)
{
    struct env *env;
    pfn_t pfn;
    int rc;

    if (parent->depth + 1 == ENV_DEPTH_MAX)
        return -EXO_EFULL;
    rc = frame_alloc(&parent->owner.account, EXO_FRAME_ENV, NULL, &pfn);
    if (rc)
        return rc;
    env = frame_address(pfn);
    rc = account_open(&env->owner.account, &parent->owner.account, limit);
    if (rc) {
        frame_free(pfn);
        return rc;
    }
    env_init(env, parent);
    rc = env_furnish(env);
    if (rc) { /* two or three objects: as many steps */
        while (!env_destroy_step(env))
            ;
        return rc;
    }
    *out = env;
    return 0;
}

int env_new_first(pfn_t pfn, uint64_t limit, struct env **out)
{
    struct env *env = frame_address(pfn);

    account_open(&env->owner.account, NULL, limit);
    frame_adopt(pfn, EXO_FRAME_ENV, &env->owner.account);
    env_init(env, NULL);
    *out = env;
    return env_furnish(env);
}

/* Other CPUs that run it are told to let go. */
static void evict(struct env *env)
{
    for (unsigned i = 0; i < ncpus; i++)
        if (&cpus[i] != cpu_this() && env_runs_on(env, &cpus[i])) {
            cpus[i].evict = true;
            cpu_attend(&cpus[i]);
            arch_cpu_kick(&cpus[i]);
        }
}

/* One piece; the environment waits behind the others for its next. */
static void ending_step(struct env *env)
{
    struct cpu *cpu = cpu_this();
    enum env_ending left;

    list_remove(&env->in_endings);
    left = env_vcpus_end(env);
    if (left != ENDING_DONE)
        list_add_tail(&cpu->endings, &env->in_endings);
    if (list_empty(&cpu->endings))
        return;
    cpu->resched = 1; /* so that the timer is set for the next */
    if (left != ENDING_WAITS)
        cpu_attend(cpu);
}

void env_endings_step(void)
{
    ending_step(list_entry(cpu_this()->endings.next, struct env, in_endings));
}

void env_end(struct env *env, enum exo_end_reason reason, uint64_t code, uint64_t pc, uint64_t address)
{
    if (env->state == EXO_ENV_ENDED)
        return;
    env->state = EXO_ENV_ENDED;
    env->reason = reason;
    env->code = code;
    env->pc = pc;
    env->address = address;
    env->owner.account.wanted = ACCOUNT_STEADY;
    env->owner.account.reclaim = 0;
    env->ending_at = env->vcpus.next;
    evict(env);
    ending_step(env);
    if (!env->parent)
        boot_fail("the first program ended (reason %u, status %lu, pc 0x%lx, address 0x%lx)", reason, code,
                  pc, address);
    if (env->watcher.vcpu)
        env_tell(env->watcher.vcpu, env->watcher.serial, env->watcher.bits);
}

static struct env *first_child(struct env *env)
{
    return list_entry(env->children.next, struct env, in_parent);
}

/* One thing that the environment itself still holds; its vcpus only after all of their peers were told. */
static void release_one(struct env *env)
{
    if (!list_empty(&env->in_endings)) {
        ending_step(env);
        return;
    }
    if (!list_empty(&env->domains)) {
        domain_end_step(list_entry(env->domains.next, struct domain, in_env));
        return;
    }
    if (!list_empty(&env->vcpus)) {
        env_vcpu_free(env);
        return;
    }
    if (!list_empty(&env->spaces)) {
        space_end_step(list_entry(env->spaces.next, struct space, in_env));
        return;
    }
    if (cap_table_end(&env->owner)) {
        frame_entry(env_frame(env))->serial++; /* capabilities to it answer EXO_EDEAD from now on */
        list_remove(&env->in_parent);
        env->torn_down = true;
        account_end(&env->owner.account);
    }
}

bool env_destroy_step(struct env *env)
{
    struct env *leaf = env;
    struct env *parent = env->parent;
    pfn_t pfn = env_frame(env);
    uint32_t serial = frame_entry(pfn)->serial;

    env_end(env, EXO_END_STOP, 0, 0, 0);
    while (!list_empty(&leaf->children))
        leaf = first_child(leaf);
    if (leaf != env)
        env_end(leaf, EXO_END_STOP, 0, 0, 0);
    ASSERT(parent);
    release_one(leaf);
    return !frame_is_object(pfn, EXO_FRAME_ENV, serial);
}
