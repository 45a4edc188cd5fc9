/* The invariants of the kernel's objects (docs/testing.md lists them), counted afresh: every frame's table entry, and
 * every object that a frame's kind leads to.  For tests and debug builds: it looks at everything, and takes as long as
 * that takes.  May be called whenever the kernel is between two calls. */
#ifndef EXO_AUDIT_H
#define EXO_AUDIT_H

#include "arch/arch.h"

/* Scratch, one for each entry of the frame table: system_info->nframes of them. */
struct audit_note {
    uint32_t refs;   /* bindings and pins found */
    uint32_t frames; /* ENV: frames charged to it */
    uint32_t marked; /* ENV: frames that are being reclaimed for it */
    uint64_t limits; /* ENV: of its children */
    /* ENV: its spaces, vcpus and children found; VCPU: its lines and slots; SPACE: vcpus in it */
    uint32_t objects;
    uint16_t seen; /* FREE: in how many free blocks; TABLE, IOTABLE: in how many tables */
    uint32_t tags; /* ENV: its domains with one */
};

/* The first violation, as a sentence that lasts until the next audit; NULL: there is none. */
const char *exo_audit(struct audit_note *notes);

/* Where the machine can show what its CPUs' TLBs hold (the host's model), it is asked through this. level 0: a page. */
typedef void audit_see(unsigned cpu, uint32_t asid, unsigned level, uint64_t va, pte_t pte);
extern void (*audit_translations)(audit_see *see);
/* The same for what its IOMMU holds, by tag. */
typedef void audit_see_device(uint32_t tag, unsigned level, uint64_t iova, pte_t pte);
extern void (*audit_device_translations)(audit_see_device *see);

#endif
