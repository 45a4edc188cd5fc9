/* Virtio over PCI for test programs: a device's register blocks, its life, one split queue (Virtual I/O Device 1.2,
 * 2.7, 3.1, 4.1).  Polled. */
#ifndef TESTS_COMMON_VIRTIO_H
#define TESTS_COMMON_VIRTIO_H

#include "pci.h"

#define VIRTIO_VENDOR 0x1af4u
#define VIRTIO_MODERN(type) (0x1040u + (type)) /* PCI device number */
#define VIRTIO_RNG 4u
#define VIRTIO_F_VERSION_1 (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1ull << 33)
#define VIRTQ_SIZE 8u /* descriptors, as few as any device has; all three parts fit in a page */

enum virtio_block { VIRTIO_COMMON = 1, VIRTIO_NOTIFY, VIRTIO_ISR, VIRTIO_DEVICE, VIRTIO_NBLOCKS };

enum virtio_common { /* 4.1.4.3 */
                     VIRTIO_DEVICE_FEATURE_SELECT = 0x00,
                     VIRTIO_DEVICE_FEATURE = 0x04,
                     VIRTIO_DRIVER_FEATURE_SELECT = 0x08,
                     VIRTIO_DRIVER_FEATURE = 0x0c,
                     VIRTIO_MSIX_CONFIG = 0x10,
                     VIRTIO_STATUS = 0x14,
                     VIRTIO_QUEUE_SELECT = 0x16,
                     VIRTIO_QUEUE_SIZE = 0x18,
                     VIRTIO_QUEUE_MSIX = 0x1a,
                     VIRTIO_QUEUE_ENABLE = 0x1c,
                     VIRTIO_QUEUE_NOTIFY = 0x1e,
                     VIRTIO_QUEUE_DESC = 0x20,
                     VIRTIO_QUEUE_DRIVER = 0x28,
                     VIRTIO_QUEUE_DEVICE = 0x30,
};
#define VIRTIO_ACKNOWLEDGE 1u
#define VIRTIO_DRIVER 2u
#define VIRTIO_DRIVER_OK 4u
#define VIRTIO_FEATURES_OK 8u

struct virtio {
    mmio_t block[VIRTIO_NBLOCKS];
    uint32_t notify_multiplier;
};

struct virtq {
    struct virtq_desc {
        uint64_t address;
        uint32_t len;
        uint16_t flags, next;
    } desc[VIRTQ_SIZE];
    struct {
        uint16_t flags, idx, ring[VIRTQ_SIZE];
    } avail;
    uint8_t pad[1024 - 16 * VIRTQ_SIZE - 4 - 2 * VIRTQ_SIZE];
    struct {
        uint16_t flags, idx;
        struct {
            uint32_t id, len;
        } ring[VIRTQ_SIZE];
    } used; /* the device's */
};
#define VIRTQ_DESC_WRITE 2u /* by the device */
_Static_assert(offsetof(struct virtq, used) == 1024, "aligned, and behind the driver's parts");
_Static_assert(sizeof(struct virtq) <= PAGE_SIZE, "a queue is one page");

/* Finds the register blocks.  map: binds a BAR's registers and returns their address; 0: it cannot. */
static inline bool virtio_find(const struct pci *pci, unsigned fn, const struct pci_bar bars[PCI_BARS],
                               uint64_t (*map)(uint64_t pa, uint64_t bytes), struct virtio *out)
{
    uint64_t va[PCI_BARS] = {0};

    *out = (struct virtio){0};
    for (unsigned cap = 0; (cap = pci_capability(pci, fn, PCI_CAP_VENDOR, cap)) != 0;) {
        unsigned type = pci_read8(pci, fn, cap + 3), bar = pci_read8(pci, fn, cap + 4);
        uint32_t offset = pci_read32(pci, fn, cap + 8);

        if (type == 0 || type >= VIRTIO_NBLOCKS || bar >= PCI_BARS || offset >= bars[bar].bytes)
            continue;
        if (!va[bar])
            va[bar] = map(bars[bar].base, bars[bar].bytes);
        if (!va[bar])
            return false;
        out->block[type].base = va[bar] + offset;
        if (type == VIRTIO_NOTIFY)
            out->notify_multiplier = pci_read32(pci, fn, cap + 16);
    }
    return out->block[VIRTIO_COMMON].base && out->block[VIRTIO_NOTIFY].base;
}

static inline void virtio_reset(const struct virtio *v)
{
    mmio_write8(v->block[VIRTIO_COMMON], VIRTIO_STATUS, 0);
    while (mmio_read8(v->block[VIRTIO_COMMON], VIRTIO_STATUS))
        ;
}

static inline uint64_t virtio_features(const struct virtio *v)
{
    mmio_t common = v->block[VIRTIO_COMMON];
    uint64_t features;

    mmio_write32(common, VIRTIO_DEVICE_FEATURE_SELECT, 1);
    features = (uint64_t)mmio_read32(common, VIRTIO_DEVICE_FEATURE) << 32;
    mmio_write32(common, VIRTIO_DEVICE_FEATURE_SELECT, 0);
    return features | mmio_read32(common, VIRTIO_DEVICE_FEATURE);
}

/* Resets it and agrees on what both know of these features. */
static inline bool virtio_begin(const struct virtio *v, uint64_t features)
{
    mmio_t common = v->block[VIRTIO_COMMON];
    uint8_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER;

    virtio_reset(v);
    mmio_write8(common, VIRTIO_STATUS, status);
    features &= virtio_features(v);
    for (unsigned half = 0; half < 2; half++) {
        mmio_write32(common, VIRTIO_DRIVER_FEATURE_SELECT, half);
        mmio_write32(common, VIRTIO_DRIVER_FEATURE, (uint32_t)(features >> 32 * half));
    }
    status |= VIRTIO_FEATURES_OK;
    mmio_write8(common, VIRTIO_STATUS, status);
    return mmio_read8(common, VIRTIO_STATUS) & VIRTIO_FEATURES_OK;
}

static inline void virtio_write64(mmio_t m, uint32_t offset, uint64_t value)
{
    mmio_write32(m, offset, (uint32_t)value);
    mmio_write32(m, offset + 4, (uint32_t)(value >> 32));
}

/* The queue lies, zeroed, at this address of the device's.  (queue_msix stays as it is: none after a reset.) */
static inline bool virtio_queue(const struct virtio *v, uint16_t number, uint64_t address)
{
    mmio_t common = v->block[VIRTIO_COMMON];

    mmio_write16(common, VIRTIO_QUEUE_SELECT, number);
    if (mmio_read16(common, VIRTIO_QUEUE_SIZE) < VIRTQ_SIZE)
        return false;
    mmio_write16(common, VIRTIO_QUEUE_SIZE, VIRTQ_SIZE);
    virtio_write64(common, VIRTIO_QUEUE_DESC, address + offsetof(struct virtq, desc));
    virtio_write64(common, VIRTIO_QUEUE_DRIVER, address + offsetof(struct virtq, avail));
    virtio_write64(common, VIRTIO_QUEUE_DEVICE, address + offsetof(struct virtq, used));
    mmio_write16(common, VIRTIO_QUEUE_ENABLE, 1);
    return true;
}

static inline void virtio_go(const struct virtio *v)
{
    mmio_write8(v->block[VIRTIO_COMMON], VIRTIO_STATUS,
                VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
}

static inline void virtio_kick(const struct virtio *v, uint16_t number)
{
    uint16_t offset;

    mmio_fence();
    mmio_write16(v->block[VIRTIO_COMMON], VIRTIO_QUEUE_SELECT, number);
    offset = mmio_read16(v->block[VIRTIO_COMMON], VIRTIO_QUEUE_NOTIFY);
    mmio_write16(v->block[VIRTIO_NOTIFY], offset * v->notify_multiplier, number);
}

/* Hands the device descriptor n: a buffer that it may write. */
static inline void virtq_offer(struct virtq *q, unsigned n, uint64_t address, uint32_t len)
{
    q->desc[n % VIRTQ_SIZE] = (struct virtq_desc){.address = address, .len = len, .flags = VIRTQ_DESC_WRITE};
    q->avail.ring[q->avail.idx % VIRTQ_SIZE] = (uint16_t)(n % VIRTQ_SIZE);
    mmio_fence();
    __atomic_store_n(&q->avail.idx, (uint16_t)(q->avail.idx + 1), __ATOMIC_RELEASE);
}

/* How many buffers the device has given back, modulo 2^16. */
static inline uint16_t virtq_done(const struct virtq *q)
{
    return __atomic_load_n(&q->used.idx, __ATOMIC_ACQUIRE);
}

#endif
