#include "msi.h"

static struct msi_device devices[MSI_DEVICES];

static uint64_t event_bit(uint32_t event)
{
    return 1ull << event % 64;
}

static struct msi_device *device_find(uint32_t id)
{
    for (unsigned i = 0; i < MSI_DEVICES; i++)
        if (devices[i].nlines && devices[i].id == id)
            return &devices[i];
    return NULL;
}

static int device_new(uint32_t id, struct account *payer, struct msi_device **out)
{
    unsigned i = 0;
    pfn_t table;
    int rc;

    while (i < MSI_DEVICES && devices[i].nlines)
        i++;
    if (i == MSI_DEVICES)
        return -EXO_EFULL;
    rc = frame_alloc(payer, EXO_FRAME_IOTABLE, NULL, &table);
    if (rc)
        return rc;
    devices[i] = (struct msi_device){.id = id, .table = table};
    arch_msi_device(id, pfn_to_paddr(table), true);
    *out = &devices[i];
    return 0;
}

static int event_take(struct irq *irq, uint32_t id, uint32_t event, struct account *payer)
{
    struct msi_device *device = device_find(id);
    int rc = 0;

    if (device && device->events[event / 64] & event_bit(event))
        return -EXO_EBUSY;
    if (!device)
        rc = device_new(id, payer, &device);
    if (rc)
        return rc;
    device->events[event / 64] |= event_bit(event);
    device->nlines++;
    irq->device = (uint8_t)(device - devices);
    irq->event = (uint8_t)event;
    return 0;
}

int64_t msi_bind(uint32_t line, uint64_t device, uint64_t event, struct vcpu *vcpu, unsigned bit)
{
    const struct arch_msi *msi = arch_msi();
    struct irq *irq;
    int rc = 0;

    _Static_assert(EXO_MSI_EVENTS - 1 <= UINT8_MAX && MSI_DEVICES - 1 <= UINT8_MAX, "fit in struct irq");
    if (msi->nlines == 0)
        return -EXO_EUNSUPPORTED;
    if (!msi_raises(line) || event >= EXO_MSI_EVENTS)
        return -EXO_EINVAL;
    if (device >= msi->ndevices)
        return -EXO_ERANGE;
    irq = irq_of(line);
    if (irq->vcpu)
        return -EXO_EBUSY;
    if (msi->by_device)
        rc = event_take(irq, (uint32_t)device, (uint32_t)event, &vcpu->env->owner.account);
    if (rc)
        return rc;
    arch_msi_map(line, (uint32_t)device, (uint32_t)event, vcpu->cpu);
    irq_attach(irq, vcpu, bit);
    return msi->by_device ? (int64_t)event : (int64_t)line;
}

void msi_released(const struct irq *irq)
{
    struct msi_device *device = &devices[irq->device];

    if (!arch_msi()->by_device || !msi_raises(irq->line))
        return;
    arch_msi_unmap(irq->line);
    device->events[irq->event / 64] &= ~event_bit(irq->event);
    if (--device->nlines)
        return;
    arch_msi_device(device->id, pfn_to_paddr(device->table), false);
    frame_free(device->table);
}

const struct msi_device *msi_device(unsigned n)
{
    return &devices[n];
}
