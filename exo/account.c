#include "account.h"

#include "frame_pool.h"
#include "lock.h"

pfn_t account_frame(const struct account *account)
{
    return paddr_to_pfn(virt_to_phys(account));
}

uint64_t account_allows(const struct account *account)
{
    return min_u64(account->limit, account->wanted);
}

uint64_t account_in_use(const struct account *account)
{
    return __atomic_load_n(&account->used, __ATOMIC_RELAXED) +
           __atomic_load_n(&account->reserved, __ATOMIC_RELAXED);
}

static bool account_has_room(const struct account *account, uint64_t n)
{
    uint64_t top = account_allows(account), in_use = account_in_use(account);

    return n == 0 || (in_use <= top && n <= top - in_use);
}

int account_charge(struct account *account, uint64_t n)
{
    uint64_t top = account_allows(account); /* it and `reserved` grow in world mode only */
    uint64_t reserved = __atomic_load_n(&account->reserved, __ATOMIC_RELAXED);
    uint64_t used = __atomic_load_n(&account->used, __ATOMIC_RELAXED);

    do {
        if (n > top || used + reserved > top - n)
            return -EXO_EQUOTA;
    } while (!__atomic_compare_exchange_n(&account->used, &used, used + n, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return 0;
}

void account_refund(struct account *account, uint64_t n)
{
    uint64_t before = __atomic_fetch_sub(&account->used, n, __ATOMIC_RELAXED);

    ASSERT(before >= n);
}

/* n frames less in an ended account: its limit shrinks with what it gives back, and so on up as far as its ancestors have
 * ended too.  With its last frame it goes itself; its ENV frame is charged to its parent, which may go in turn.  (Their
 * depth is bounded: env.h.) */
static void ended_refund(struct account *account, uint64_t n)
{
    lock_take(lock_shared(EXO_LOCK_ACCOUNTS));
    for (;;) {
        struct account *parent = account->parent;

        account_refund(account, n);
        for (struct account *a = account; a->ended; a = a->parent) {
            a->limit -= n;
            __atomic_fetch_sub(&a->parent->reserved, n, __ATOMIC_RELAXED);
        }
        if (account->used || account->reserved)
            break;
        pool_put(account_frame(account));
        account = parent;
        n = 1;
        if (!account->ended) {
            account_refund(account, 1);
            break;
        }
    }
    lock_drop(lock_shared(EXO_LOCK_ACCOUNTS));
}

void account_uncharge(struct account *account, uint64_t n)
{
    if (account->ended)
        ended_refund(account, n);
    else
        account_refund(account, n);
}

int account_open(struct account *account, struct account *parent, uint64_t limit)
{
    if (parent) {
        if (!account_has_room(parent, limit))
            return -EXO_EQUOTA;
        parent->reserved += limit;
    }
    *account = (struct account){.limit = limit, .parent = parent, .wanted = ACCOUNT_STEADY};
    return 0;
}

int account_raise(struct account *account, uint64_t limit)
{
    ASSERT(limit >= account->limit);
    if (!account_has_room(account->parent, limit - account->limit))
        return -EXO_EQUOTA;
    account->parent->reserved += limit - account->limit;
    account->limit = limit;
    account->wanted = ACCOUNT_STEADY;
    return 0;
}

uint64_t account_lower(struct account *account, uint64_t limit)
{
    uint64_t now = max_u64(limit, account_in_use(account));

    ASSERT(limit <= account->limit);
    account->parent->reserved -= account->limit - now;
    account->limit = now;
    account->wanted = now > limit ? limit : ACCOUNT_STEADY;
    return now - limit;
}

bool account_covers(const struct account *account, const struct account *of)
{
    while (of && of != account)
        of = of->parent;
    return of != NULL;
}

void account_end(struct account *account)
{
    uint64_t unused = account->limit - account->used - account->reserved;

    ASSERT(!account->ended && account->parent);
    account->ended = true;
    account->used += unused; /* and gives them back, as if it had had them */
    ended_refund(account, unused);
}
