/* What the files of the audit share: the notes and the sentence, what every part asks of frames, objects and lists, and the
 * parts' checks, which exo_audit() calls in its order.
 *
 *     expect(holds, format, ...)  the first that does not hold is the sentence; what is found later is not told: ok()
 *     note(pfn)                   what was counted at a frame so far, for a later check to compare
 */
#ifndef EXO_AUDIT_IMPL_H
#define EXO_AUDIT_IMPL_H

#include "audit.h"
#include "env.h"
#include "log.h"

#define CHAIN_MAX (CAPS_FRAMES * CAPS_PER_FRAME) /* steps after which a list must have ended */

extern struct audit_note *audit_notes;
extern char audit_sentence[200]; /* empty: no violation yet */

/* Keeps the first violation. */
__attribute__((format(printf, 2, 3))) static inline bool expect(bool holds, const char *format, ...)
{
    va_list args;

    if (!holds && !audit_sentence[0]) {
        va_start(args, format);
        format_text(audit_sentence, sizeof(audit_sentence), format, args);
        va_end(args);
    }
    return holds;
}

static inline bool ok(void)
{
    return audit_sentence[0] == 0;
}

static inline struct audit_note *note(pfn_t pfn)
{
    return &audit_notes[pfn - system_info->first_frame];
}

static inline pfn_t last_frame(void)
{
    return system_info->first_frame + system_info->nframes - 1;
}

static inline unsigned kind_of(pfn_t pfn)
{
    return frame_look(pfn)->kind;
}

static inline pfn_t frame_of(const void *object)
{
    return paddr_to_pfn(virt_to_phys(object));
}

/* Is there an object of this kind at this very address? */
static inline bool is_object(const void *object, enum exo_frame_kind kind)
{
    uint64_t pa = virt_to_phys(object).v;

    return !(pa & PAGE_MASK) && pa >> PAGE_SHIFT <= last_frame() && frame_is_ram((pfn_t)(pa >> PAGE_SHIFT)) &&
           kind_of((pfn_t)(pa >> PAGE_SHIFT)) == kind;
}

/* An account is a frame of kind ENV's first bytes. */
static inline const struct env *payer(pfn_t pfn)
{
    return frame_address(frame_look(pfn)->account);
}

static inline bool on_list(const struct list *head, const struct list *node)
{
    const struct list *at = head->next;

    for (uint32_t i = 0; at != head && i < CHAIN_MAX; i++, at = at->next) {
        if (!expect(at->next->prev == at && at->prev->next == at, "a list's links disagree"))
            return false;
        if (at == node)
            return true;
    }
    return false;
}

static inline uint32_t list_length(const struct list *head)
{
    uint32_t n = 0;

    for (const struct list *at = head->next; at != head && n < CHAIN_MAX; at = at->next)
        n++;
    return n;
}

/* audit_frames.c: all frames, free ones and large pages too. */
void audit_check_frames(void);

/* audit_spaces.c: a space; once all is counted, the vcpus in it, and its ASID; what a TLB holds. */
void audit_check_space(pfn_t pfn);
void audit_check_visitors(pfn_t pfn);
void audit_check_asid(pfn_t pfn);
audit_see audit_check_translation;

/* audit_dma.c: all domains and streams; what an IOMMU holds. */
void audit_check_dma(void);
audit_see_device audit_check_device_translation;

/* audit_caps.c: a frame of slots; an environment's table of them. */
void audit_check_caps_frame(pfn_t pfn);
void audit_check_cap_table(pfn_t pfn, const struct env *env);

/* audit_envs.c: an environment, and its table of capabilities; a vcpu; once all is counted, an account. */
void audit_check_env(pfn_t pfn);
void audit_check_vcpu(pfn_t pfn);
void audit_check_account(pfn_t pfn);

/* audit_cpus.c: who has a CPU's slots, interrupt lines, a trace ring; once these are counted, a CPU. */
void audit_check_slots(const struct cpu *cpu);
void audit_check_lines(void);
void audit_check_ring(const struct cpu *cpu);
void audit_check_cpu(const struct cpu *cpu);

#endif
