/* What crews do with devices: the UART's line, which is raised all the time; QEMU's edu, which sends messages and writes
 * memory when it is told to; domains of streams that no device uses; traces and slots.  Each is held by one at a time, and
 * most who hold something are ended so. */
#include "pci.h"
#include "stress.h"

#define SCRATCH_VA 0x2700000000ull
#define SCRATCH(place, n) (SCRATCH_VA + ((place)*16 + (n)) * PAGE_SIZE)
#define IOVA 0x1000000ull
#define EDU_BUFFER 0x40000u
#define EDU_BUFFER_BYTES 2048u
#define EDU_DATA 0xed0ed0ed0ed0ed0eull /* what the device writes: nobody else's mark */
#define EDU_RUN 1u
#define EDU_WRITES 2u /* from the device to memory */
#define FIRST_STREAM 0x1000u
#define LINE_BIT 4u  /* FIRED */
#define UART_IMSC 14 /* 0x38 */
#define UART_TX 0x20u

static struct device edu;
static uint32_t uart_line;
static bool have_edu;

static void put64(unsigned at, uint64_t value)
{
    *(volatile uint64_t *)(edu.regs + at) = value;
}

static bool edu_busy(void)
{
    return *(volatile uint64_t *)(edu.regs + EDU_ORDER) & EDU_RUN;
}

static void edu_order(uint64_t from, uint64_t to, uint64_t order)
{
    put64(EDU_FROM, from);
    put64(EDU_TO, to);
    put64(EDU_BYTES, EDU_BUFFER_BYTES);
    put64(EDU_ORDER, order);
}

/* The device's own memory gets a pattern that must not show up where it is not told to write. */
static void edu_fill(void)
{
    int64_t domain = exo_dma_open(EXO_FIRST_DMA, edu.requester);
    uint64_t *words = (uint64_t *)SCRATCH_VA;
    uint64_t end = after_ms(PATIENCE_MS);

    if (domain < 0 || exo_page_alloc(EXO_SELF_SPACE, SCRATCH_VA, 1, EXO_WANT_ANY, RW) != 1 ||
        exo_dma_bind((uint64_t)domain, IOVA, EXO_SELF_SPACE, SCRATCH_VA, 1, EXO_PROT_READ) != 1)
        wrong("edu has no domain", (uint64_t)-domain, 0);
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
        words[i] = EDU_DATA;
    edu_order(IOVA, EDU_BUFFER, EDU_RUN);
    while (edu_busy())
        if (now() > end)
            wrong("edu does not read", 0, 0);
    while (exo_dma_close((uint64_t)domain) > 0)
        ;
    exo_cap_drop((uint64_t)domain);
    exo_page_unmap(EXO_SELF_SPACE, SCRATCH_VA, 1, 0);
}

void device_begin(void)
{
    uart_line = tree_line("arm,pl011");
    uart[UART_IMSC] = UART_TX; /* from the first letter on: nobody clears it */
    print("# devices: the UART");
    have_edu = pci_find(&edu, PCI_EDU);
    if (have_edu)
        print(machine->dma_streams ? ", edu behind an IOMMU" : ", edu");
    print("\n");
    if (have_edu && machine->dma_streams)
        edu_fill();
}

/* ---- what a crew is given ------------------------------------------------------------------------------------------------- */

static exo_handle_t part(exo_handle_t env, exo_handle_t cap, uint64_t first, int64_t *rc)
{
    int64_t handle = *rc < 0 ? *rc : exo_cap_grant(env, cap, EXO_RIGHT_USE, first, 1);

    *rc = handle < 0 ? handle : 0;
    return handle < 0 ? 0 : (exo_handle_t)handle;
}

int64_t device_furnish(struct crew *crew, unsigned env, exo_handle_t handle, exo_handle_t space)
{
    int64_t rc =
        exo_cap_grant(handle, EXO_FIRST_TRACE, EXO_RIGHT_READ | (env % 4 ? 0 : EXO_RIGHT_MANAGE), 0, 0);

    crew->trace = rc < 0 ? 0 : (exo_handle_t)rc;
    rc = rc < 0 ? rc : 0;
    crew->line = part(handle, EXO_FIRST_IRQ, uart_line, &rc);
    crew->stream_number = FIRST_STREAM + env;
    if (machine->dma_streams)
        crew->stream = part(handle, EXO_FIRST_DMA, crew->stream_number, &rc);
    if (!have_edu || rc)
        return rc;
    crew->message = part(handle, EXO_FIRST_IRQ, machine->msi_first, &rc);
    crew->edu = part(handle, EXO_FIRST_DMA, edu.requester, &rc);
    if (rc == 0)
        rc = exo_mmio_map(EXO_FIRST_MMIO, space, (uint64_t)edu.config, edu.config_at, 1, RW);
    if (rc >= 0)
        rc = exo_mmio_map(EXO_FIRST_MMIO, space, (uint64_t)edu.regs, edu.regs_at, 1, RW);
    return rc < 0 ? rc : 0;
}

/* ---- lines ------------------------------------------------------------------------------------------------------------------ */

static void comes(const char *missing)
{
    uint64_t end = after_ms(PATIENCE_MS);

    while (exo_wait(FIRED, end) != FIRED) /* whoever is asked for memory wakes, too */
        if (now() > end)
            wrong(missing, my_page()->events, my_page()->cpu);
    forget(FIRED);
}

static void line(const struct me *me)
{
    exo_handle_t irq = me->crew->line;

    forget(FIRED);
    if (exo_irq_bind(irq, uart_line, me->crew->vcpu + me->place, LINE_BIT))
        return;
    doing(me, LINE);
    for (uint64_t i = roll(me->dice, 300); i; i--) {
        comes("B5 the line is raised, and does not interrupt");
        __atomic_fetch_add(&line_events, 1, __ATOMIC_RELAXED);
        if (roll(me->dice, 32) == 0)
            pause_a_little(me);
        if (exo_irq_ack(irq, uart_line))
            wrong("a line is not acknowledged", uart_line, 0);
    }
    if (roll(me->dice, 2))
        exo_wait(POKE, after_ms(200)); /* most do not live to see that */
    if (exo_irq_bind(irq, uart_line, 0, 0))
        wrong("a line is not unbound", uart_line, 0);
}

/* The device writes a page of ours, or, if we end before, nobody's. */
static void edu_write(const struct me *me, exo_handle_t domain)
{
    uint64_t va = SCRATCH(me->place, 0), end = after_ms(PATIENCE_MS);
    const volatile uint64_t *words = (const volatile uint64_t *)va;

    if (exo_page_alloc(EXO_SELF_SPACE, va, 1, EXO_WANT_ANY, RW) != 1)
        return;
    if (exo_dma_bind(domain, IOVA, EXO_SELF_SPACE, va, 1, RW) == 1) {
        while (edu_busy() && now() < end) /* somebody's who has ended */
            exo_yield(0);
        edu_order(EDU_BUFFER, IOVA, EDU_RUN | EDU_WRITES);
        while (edu_busy() && now() < end)
            exo_wait(POKE, after_ms(5));
        if (words[0] != EDU_DATA || words[EDU_BUFFER_BYTES / 8 - 1] != EDU_DATA)
            wrong("K18 a device does not reach what is bound for it", words[0], now() < end);
        __atomic_fetch_add(&device_writes, 1, __ATOMIC_RELAXED);
        if (exo_dma_unbind(domain, IOVA, 1) != 1)
            wrong("a device's page is not unbound", 0, 0);
    }
    exo_page_unmap(EXO_SELF_SPACE, va, 1, 0);
}

static void messages(const struct me *me)
{
    for (uint64_t i = roll(me->dice, 50); i; i--) {
        put32(edu.regs, EDU_RAISE, 1);
        put32(edu.regs, EDU_LOWER, 1);
        comes("B5 a message does not interrupt");
        __atomic_fetch_add(&message_events, 1, __ATOMIC_RELAXED);
        if (exo_irq_ack(me->crew->message, machine->msi_first))
            wrong("a line of messages is not acknowledged", 0, 0);
    }
}

static void with_edu(const struct me *me)
{
    exo_handle_t irq = me->crew->message;
    int64_t domain = 0, word;

    if (!irq)
        return;
    forget(FIRED);
    word = exo_msi_bind(irq, machine->msi_first, me->crew->edu, edu.requester, 0, me->crew->vcpu + me->place,
                        LINE_BIT);
    if (word < 0)
        return;
    doing(me, MESSAGE);
    if (machine->dma_streams)
        domain = exo_dma_open(me->crew->edu, edu.requester);
    if (domain >= 0) {
        pci_msi(&edu, (uint32_t)word);
        messages(me);
    }
    if (domain > 0 && roll(me->dice, 2))
        edu_write(me, (exo_handle_t)domain);
    if (exo_irq_bind(irq, machine->msi_first, 0, 0))
        wrong("a line of messages is not unbound", 0, 0);
    while (domain > 0 && exo_dma_close((uint64_t)domain) > 0)
        ;
    if (domain > 0)
        exo_cap_drop((uint64_t)domain);
}

/* ---- what no device uses ------------------------------------------------------------------------------------------------- */

static void stream(const struct me *me)
{
    int64_t domain;
    uint64_t va = SCRATCH(me->place, 1), n = 1 + roll(me->dice, 4);

    if (!me->crew->stream)
        return;
    doing(me, DOMAIN);
    domain = exo_dma_open(me->crew->stream, me->crew->stream_number);
    if (domain < 0)
        return;
    if (exo_page_alloc(EXO_SELF_SPACE, va, n, EXO_WANT_ANY, RW) == (int64_t)n) {
        for (uint64_t i = 0; i < 8; i++)
            exo_dma_bind((uint64_t)domain, IOVA + roll(me->dice, 1 << 20) * PAGE_SIZE, EXO_SELF_SPACE, va, n,
                         RW);
        pause_a_little(me);
        exo_dma_bind((uint64_t)domain, IOVA, EXO_SELF_SPACE, va, n, RW);
        exo_page_unmap(EXO_SELF_SPACE, va, n, 0); /* pinned */
        exo_dma_unbind((uint64_t)domain, IOVA, n);
    }
    exo_page_unmap(EXO_SELF_SPACE, va, n, 0);
    if (roll(me->dice, 2))
        exo_wait(POKE, after_ms(20));
    while (exo_dma_close((uint64_t)domain) > 0)
        ;
    exo_cap_drop((uint64_t)domain);
}

static void trace(const struct me *me)
{
    uint64_t cpu = roll(me->dice, machine->ncpus), va = SCRATCH(me->place, 5), end = after_ms(PATIENCE_MS);
    exo_handle_t cap = me->crew->trace;
    int64_t rc = 1;

    doing(me, TRACING);
    if (exo_page_alloc(EXO_SELF_SPACE, va, 4, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG) == 4 &&
        exo_trace_bind(cap, cpu, EXO_SELF_SPACE, va, 4) == 4) {
        for (uint64_t i = 1 + roll(me->dice, 3); i; i--) {
            exo_trace_control(cap, cpu, EXO_TRACE_ON);
            pause_a_little(me);
            exo_yield(0);
            exo_trace_control(cap, cpu, EXO_TRACE_OFF);
        }
        if (roll(me->dice, 2))
            exo_trace_control(cap, cpu, EXO_TRACE_ON);
        if (roll(me->dice, 2))
            exo_wait(POKE, after_ms(10));
        while ((rc = exo_trace_control(cap, cpu, EXO_TRACE_RELEASE)) > 0)
            if (now() > end)
                wrong("a trace ring is not released", cpu, (uint64_t)rc);
    }
    exo_page_alloc(EXO_SELF_SPACE, va, 0, EXO_WANT_ANY, RW | EXO_ALLOC_CONTIG | EXO_ALLOC_MORE);
    exo_page_unmap(EXO_SELF_SPACE, va, 4, 0);
}

static void slots(const struct me *me)
{
    uint64_t slot = roll(me->dice, machine->slots);
    exo_handle_t slice = me->crew->slice[me->place];

    if (!slice || exo_slice_bind(slice, slot, me->crew->vcpu + me->place))
        return;
    doing(me, OWNING);
    for (uint64_t i = 0; i < 4; i++)
        pause_a_little(me);
    if (roll(me->dice, 2))
        exo_slice_release(slice, slot);
}

void device(const struct me *me)
{
    static void (*const kinds[])(const struct me *me) = {line, with_edu, stream, trace, slots};

    for (;;) {
        kinds[roll(me->dice, sizeof(kinds) / sizeof(kinds[0]))](me);
        did(me);
        doing(me, WAITING);
        if (roll(me->dice, 4) == 0)
            exo_wait(POKE, after_ms(2));
        forget(POKE);
    }
}
