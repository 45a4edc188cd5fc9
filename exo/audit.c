#include "audit_impl.h"

void (*audit_translations)(audit_see *see);
void (*audit_device_translations)(audit_see_device *see);

struct audit_note *audit_notes;
char audit_sentence[200];

static void each_frame(enum exo_frame_kind kind, void (*check)(pfn_t pfn))
{
    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++)
        if (kind_of(pfn) == kind)
            check(pfn);
}

static void check_refs(void)
{
    for (pfn_t pfn = system_info->first_frame; ok() && pfn <= last_frame(); pfn++) {
        const struct exo_frame *f = frame_look(pfn);

        expect(f->refs == note(pfn)->refs, "frame %u of kind %u: %u bindings, counted as %u", pfn, f->kind,
               note(pfn)->refs, f->refs);
        expect(f->kind != EXO_FRAME_USER || frame_look(frame_head(pfn))->refs > 0 || note(pfn)->seen == 1,
               "frame %u is a user's and nobody binds it", pfn);
        expect(f->kind != EXO_FRAME_TABLE || note(pfn)->seen == 1, "table %u is in no space", pfn);
        expect(f->kind != EXO_FRAME_IOTABLE || note(pfn)->seen == 1, "I/O table %u is no device's", pfn);
    }
}

const char *exo_audit(struct audit_note *scratch)
{
    audit_notes = scratch;
    audit_sentence[0] = 0;
    for (uint32_t i = 0; i < system_info->nframes; i++)
        audit_notes[i] = (struct audit_note){0};
    audit_check_frames();
    each_frame(EXO_FRAME_ENV, audit_check_env);
    each_frame(EXO_FRAME_SPACE, audit_check_space);
    audit_check_dma();
    each_frame(EXO_FRAME_CAPS, audit_check_caps_frame);
    each_frame(EXO_FRAME_VCPU, audit_check_vcpu);
    if (ok()) {
        for (unsigned i = 0; i < ncpus; i++)
            audit_check_slots(&cpus[i]);
        audit_check_lines();
        for (unsigned i = 0; i < ncpus; i++)
            audit_check_ring(&cpus[i]);
        each_frame(EXO_FRAME_SPACE, audit_check_visitors);
        each_frame(EXO_FRAME_SPACE, audit_check_asid);
        for (unsigned i = 0; i < ncpus; i++)
            audit_check_cpu(&cpus[i]);
        check_refs();
        each_frame(EXO_FRAME_ENV, audit_check_account);
    }
    if (ok() && audit_translations)
        audit_translations(audit_check_translation);
    if (ok() && audit_device_translations)
        audit_device_translations(audit_check_device_translation);
    return ok() ? NULL : audit_sentence;
}
