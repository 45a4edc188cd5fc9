/* Environments from beginning to end: exits, trees of them, accounts; interrupts. */
#include "bare.h"

static void exits(uint64_t status)
{
    exo_env_exit(status);
}

static void returns(uint64_t arg)
{
    (void)arg;
}

static void check_exit(void)
{
    struct peer peer = peer_run(0, exits, 42);

    check("K1 exit ends an environment", peer_ended(&peer, 1000));
    check("P1 its status can be asked for",
          peer_status(&peer, EXO_ENV_REASON) == EXO_END_EXIT && peer_status(&peer, EXO_ENV_CODE) == 42);
    check_is("what it used is still charged", peer_status(&peer, EXO_ENV_USED) > 10, 1);
    check_is("there is no such field", peer_status(&peer, EXO_NENV_FIELDS), -EXO_EINVAL);
    check_is("it cannot be started again", exo_vcpu_start(peer.vcpu, 0), -EXO_ESTATE);
    check("nor be given anything", exo_cap_grant(peer.env, EXO_SELF_SPACE, EXO_RIGHT_USE, 0, 0) < 0);
    check("nor get a vcpu", exo_vcpu_create(peer.env, 0, EXO_SELF_SPACE, EXO_FIRST_VCPU_VA) < 0);
    destroy(peer.env);
    check_is("K21 its handle is dead then", exo_env_status(peer.env, EXO_ENV_STATE), -EXO_EDEAD);
    check_is("K21 its space's too", exo_page_unmap(peer.space, SPARE, 1, 0), -EXO_EDEAD);
    check_is("K21 its vcpu's too", exo_vcpu_start(peer.vcpu, 0), -EXO_EDEAD);
    exo_page_unmap(EXO_SELF_SPACE, (uint64_t)peer_page(&peer), 1, 0);
    exo_cap_drop(peer.env);
    exo_cap_drop(peer.space);
    exo_cap_drop(peer.vcpu);
}

static void check_cycles(void)
{
    uint64_t before = free_frames();
    bool ended = true;

    for (unsigned i = 0; i < 300; i++) {
        struct peer peer = peer_run(0, returns, 0);

        ended &= peer_ended(&peer, 1000);
        peer_end(&peer);
    }
    check("K1 300 environments begin and end", ended);
    check_is("P4 and leave no frame behind", (int64_t)free_frames(), (int64_t)before);
    for (unsigned i = 0; i < 600; i++) { /* more than there are 8-bit ASIDs */
        int64_t space = exo_space_create();

        exo_page_alloc((uint64_t)space, SPARE, 1, EXO_WANT_ANY, EXO_PROT_READ);
        while (exo_space_destroy((uint64_t)space) > 0)
            ;
        exo_cap_drop((uint64_t)space);
    }
    check_is("K11 600 spaces come and go", (int64_t)free_frames(), (int64_t)before);
}

/* ---- trees of environments --------------------------------------------------------------------------------- */

static volatile uint64_t depth_reached;
static volatile int64_t depth_result;

/* Makes a child, and that one a child, as far as it goes: bare environments, never run. */
static void check_tree(void)
{
    uint64_t before = free_frames();
    exo_handle_t root = 0;
    int64_t both = exo_env_create(200, 0, 0);

    root = (exo_handle_t)both;
    check("an environment can be made", both > 0);
    check_is("K20 not with more frames than one has", exo_env_create(1ull << 40, 0, 0), -EXO_EQUOTA);
    check_is("K20 nor with a limit that wraps", exo_env_create(UINT64_MAX, 0, 0), -EXO_EQUOTA);
    check("nor with none", exo_env_create(0, 0, 0) < 0 && exo_env_create(2, 0, 0) < 0);
    destroy(root);
    exo_cap_drop((exo_handle_t)(both >> 32));
    exo_cap_drop(root);
    check_is("K8 all of it comes back", (int64_t)free_frames(), (int64_t)before);
    check_is("one cannot destroy oneself's ancestors: here oneself", exo_space_destroy(EXO_SELF_SPACE),
             -EXO_EBUSY);
}

static void nests(uint64_t depth)
{
    int64_t both = exo_env_create(30, 0, 0);

    depth_reached = depth;
    depth_result = both;
    while (both > 0) { /* children side by side, until the account is used up */
        depth_reached++;
        both = exo_env_create(30, 0, 0);
    }
    depth_result = both;
    exo_env_exit(5);
}

static void check_children(void)
{
    uint64_t before = free_frames();
    struct peer peer;

    if (peer_try(&peer, 0, 2000)) {
        check("a large peer can be made", false);
        return;
    }
    peer_start(&peer, nests, 0);
    peer_ended(&peer, 5000);
    check("it made children until its account was used up",
          depth_reached > 20 && (depth_result == -EXO_EQUOTA || depth_result == -EXO_EFULL));
    peer_end(&peer);
    check_is("K8 its children ended with it, and nothing is left", (int64_t)free_frames(), (int64_t)before);
}

/* ---- accounts ------------------------------------------------------------------------------------------------- */

static volatile int64_t hog_result;
static volatile uint64_t hog_pages;

static void hog(uint64_t stride)
{
    uint64_t va = SPARE;

    hog_pages = 0;
    while ((hog_result =
                exo_page_alloc(EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, EXO_PROT_READ | EXO_PROT_WRITE)) == 1) {
        *(volatile uint64_t *)va = va;
        hog_pages++;
        va += stride;
    }
    exo_env_exit(1);
}

static void hog_case(const char *what, uint64_t stride, uint64_t least)
{
    uint64_t before = free_frames();
    struct peer peer = peer_run(0, hog, stride);

    peer_ended(&peer, 5000);
    check_is(what, hog_result, -EXO_EQUOTA);
    check("it got what its limit allowed", hog_pages >= least && hog_pages < PEER_FRAMES);
    check("its account was never above its limit", peer_status(&peer, EXO_ENV_USED) <= PEER_FRAMES);
    peer_end(&peer);
    check_is("K8 all of it comes back", (int64_t)free_frames(), (int64_t)before);
}

void check_life(void)
{
    check_exit();
    check_cycles();
    check_tree();
    check_children();
    hog_case("out of memory inside the limit, page by page: EXO_EQUOTA", PAGE_SIZE, 10);
    hog_case("out of memory by page tables", 0x40000000, 3);
}

/* ---- interrupts: the PL011's own transmit interrupt --------------------------------------------------------------- */

enum { UARTIMSC = 0x38 / 4, UARTRIS = 0x3c / 4, UARTICR = 0x44 / 4, TX = 1 << 5, LINE = 33 };

static volatile int64_t thief_result[3];

static void irq_thief(uint64_t arg)
{
    (void)arg;
    thief_result[0] = exo_irq_bind(EXO_FIRST_IRQ, LINE, 3, 5);
    thief_result[1] = exo_irq_ack(EXO_FIRST_IRQ, LINE);
    thief_result[2] = exo_mmio_map(EXO_FIRST_MMIO, EXO_SELF_SPACE, SPARE, uart_at, 1, EXO_PROT_READ);
}

void check_irq(void)
{
    struct peer peer = peer_run(0, irq_thief, 0);
    unsigned arrived = 0;

    peer_ended(&peer, 1000);
    check("K18 without a capability no interrupt and no device", thief_result[0] == -EXO_EHANDLE &&
                                                                     thief_result[1] == -EXO_EHANDLE &&
                                                                     thief_result[2] == -EXO_EHANDLE);
    peer_end(&peer);
    uart[UARTICR] = TX;
    check_is("an interrupt line is bound", exo_irq_bind(EXO_FIRST_IRQ, LINE, EXO_FIRST_VCPU, 5), 0);
    check_is("and not twice", exo_irq_bind(EXO_FIRST_IRQ, LINE, EXO_FIRST_VCPU, 6), -EXO_EBUSY);
    check_is("not to the kernel's own bit", exo_irq_bind(EXO_FIRST_IRQ, LINE + 1, EXO_FIRST_VCPU, 63),
             -EXO_EINVAL);
    check("the kernel's timer is not handed out", exo_irq_bind(EXO_FIRST_IRQ, 27, EXO_FIRST_VCPU, 6) < 0);
    check("K20 nor lines that do not exist",
          exo_irq_bind(EXO_FIRST_IRQ, 1020, EXO_FIRST_VCPU, 6) < 0 &&
              exo_irq_bind(EXO_FIRST_IRQ, 1ull << 32 | LINE, EXO_FIRST_VCPU, 6) < 0);
    uart[UARTIMSC] = TX;
    for (unsigned i = 0; i < 8; i++) {
        print("#\n");
        if (exo_wait(1 << 5, after_ms(1000)) != 1 << 5)
            break;
        events_take(1 << 5);
        uart[UARTICR] = TX;
        arrived++;
        exo_irq_ack(EXO_FIRST_IRQ, LINE);
    }
    uart[UARTIMSC] = 0;
    check_is("B5 interrupts arrive, one for each acknowledgement", arrived, 8);
    check_is("the line is unbound", exo_irq_bind(EXO_FIRST_IRQ, LINE, 0, 0), 0);
    check_is("and cannot be acknowledged then", exo_irq_ack(EXO_FIRST_IRQ, LINE), -EXO_ESTATE);
    events_take(1 << 5);
}
