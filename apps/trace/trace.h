/* trace's parts. */
#ifndef APPS_TRACE_H
#define APPS_TRACE_H

#include <stdio.h>

#include "exo/abi.h"

/* The CPUs' rings: equal parts of one run of pages. */
struct rings {
    exo_handle_t cap;
    uint64_t va;
    uint32_t ncpus;
    uint64_t npages; /* of each */
};

static inline const struct exo_trace *ring_of(const struct rings *rings, uint32_t cpu)
{
    return (const struct exo_trace *)(uintptr_t)(rings->va + cpu * rings->npages * PAGE_SIZE);
}

/* Writes what the rings hold as text, for boards/tools/trace2json (docs/tracing.md has the format). */
void text_write(FILE *out, const struct rings *rings);

#endif
