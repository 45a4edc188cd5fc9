/* The manifest: who may run with what.  A device tree blob, read by libfdt; every property is checked, and an unknown
 * one is an error, since a misspelt right is worse than none.  docs/manifest.md describes it for authors.
 *
 * The strings of a parsed manifest lie in the blob, which must stay where it is. */
#ifndef INIT_MANIFEST_H
#define INIT_MANIFEST_H

#include "base/types.h"

#define MANIFEST_APPS_MAX 64u
#define MANIFEST_SERVICES_MAX 64u
#define MANIFEST_SLICES_MAX 8u
#define MANIFEST_WHY_BYTES 200u
#define MANIFEST_VERSION 1u

/* A string list: count strings, one behind the other. */
struct manifest_list {
    const char *first;
    unsigned count;
};

enum manifest_on_exit { MANIFEST_IGNORE, MANIFEST_RESTART, MANIFEST_POWER_OFF };

struct manifest_slices {
    uint32_t cpu, first, count;
};

struct manifest_app {
    const char *name; /* the node's */
    const char *path; /* of the program, absolute; NULL in the template */
    struct manifest_list args;
    struct manifest_list environment;
    struct manifest_list devices;
    const char *stdio; /* the service behind descriptors 0 to 2; NULL: none */
    uint32_t memory_pages;
    uint32_t processes; /* how many descendants may live at a time */
    uint32_t vcpus;     /* how many it may have by itself; 0: as many as the machine has CPUs */
    uint32_t start;     /* order of starting; 0: not started by init */
    enum manifest_on_exit on_exit;
    uint64_t provides; /* bits: indices of manifest.services */
    uint64_t reaches;
    unsigned nslices;
    struct manifest_slices slices[MANIFEST_SLICES_MAX];
    bool command_line; /* gets `-c <line>` when the boot arguments have corbel.cmd=<line> */
    bool terminal;     /* may send the terminal's signals to any process group */
    bool info;         /* may map the kernel's tables */
    bool trace;        /* may trace the CPUs */
    bool bundle;       /* finds the boot bundle mapped */
    bool tree;         /* finds the device tree mapped */
    bool dma_trusted;  /* its devices may reach all memory, where no IOMMU checks them */
    bool gave_up;      /* it cannot be started, or ended too often: by init */
};

struct manifest {
    struct manifest_app template; /* what programs without a node of their own get */
    unsigned napps;
    struct manifest_app apps[MANIFEST_APPS_MAX];
    unsigned nservices;
    const char *services[MANIFEST_SERVICES_MAX];
};

/* 0, or -1 and a sentence: "manifest: /console: ...". */
int manifest_parse(const void *blob, size_t bytes, struct manifest *out, char why[MANIFEST_WHY_BYTES]);

/* The entry for a program that somebody else than init starts: one with this path that init does not start itself, or
 * else the template. */
const struct manifest_app *manifest_for_path(const struct manifest *m, const char *path);

/* A service's index, or -1. */
int manifest_service(const struct manifest *m, const char *name);
/* The application that offers it. */
const struct manifest_app *manifest_provider(const struct manifest *m, int service);

/* The nth string of a list; n < count. */
const char *manifest_string(const struct manifest_list *list, unsigned n);

#endif
