/* Message-signalled interrupts: a device raises a line by writing a word to the controller's doorbell.
 *
 * Such a line is bound by msi_bind and is like any other from then on.  Where the controller knows who writes (an
 * ITS), the word is an event of the device, and the kernel keeps which (device, event) is which line: a device whose
 * number no capability of the caller covers raises nothing of the caller's.  The events of a device are one page of
 * the controller's (kind IOTABLE), charged to the environment that binds the first of them, until the last one goes.
 * Where the controller does not (GICv2m), the word is the line's number, and whoever can make a device write can
 * raise any of these lines. */
#ifndef EXO_MSI_H
#define EXO_MSI_H

#include "irq.h"

/* Is it a line that messages raise? */
static inline bool msi_raises(uint32_t line)
{
    const struct arch_msi *msi = arch_msi();

    return line >= msi->first && line - msi->first < msi->nlines;
}

/* The word for the device to write: 0 or more.
 * -EXO_EUNSUPPORTED: the machine has no messages; -EXO_EINVAL: not a line that messages raise, no such event;
 * -EXO_ERANGE: a device beyond the controller's tables; -EXO_EBUSY: the line or the device's event is bound;
 * -EXO_EFULL: MSI_DEVICES have events; -EXO_EQUOTA, -EXO_ENOMEM: of the vcpu's environment. */
int64_t msi_bind(uint32_t line, uint64_t device, uint64_t event, struct vcpu *vcpu, unsigned bit);
/* For irq.c: a line, masked, is nobody's any more. */
void msi_released(const struct irq *irq);

/* For the audit: the devices that have events. */
#define MSI_DEVICES 64u
struct msi_device {
    uint32_t id;
    uint32_t nlines; /* 0: the entry is free */
    pfn_t table;
    uint64_t events[EXO_MSI_EVENTS / 64]; /* a bit each: bound */
};
const struct msi_device *msi_device(unsigned n);

#endif
