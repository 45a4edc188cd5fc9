/* The start block: what a new process finds about itself.
 *
 *   +0     struct os_start, one page; pid, ppid, pgid and the grants are filled in by init, the rest by the parent
 *   +4096  what the offsets name: arrays and strings, up to `bytes`
 *
 * It lies at OS_START_VA, private and writable; init (pid 1) has none.  Every offset counts from the block's
 * start, every string ends in 0 inside the block: init has checked that (os_start_check) before the process runs. */
#ifndef OS_START_H
#define OS_START_H

#include "base/types.h"
#include "exo/abi.h"

#define OS_START_MAGIC 0x7472617473736f63ull
#define OS_START_VERSION 1u
#define OS_START_MAX_BYTES (32u * PAGE_SIZE) /* header, arguments and environment together */
#define OS_START_MAX_GRANTS 64u
#define OS_START_MAX_FDS 64u

/* Handles at fixed places in every spawned process. */
enum os_well_known_handles {
    OS_HANDLE_ENV = EXO_SELF_ENV,
    OS_HANDLE_SPACE = EXO_SELF_SPACE,
    OS_HANDLE_VCPU = 3,
    OS_HANDLE_INIT = 4, /* gate to the process server; its badge is this process's pid */
    OS_HANDLE_GRANTS,   /* the first of what the manifest grants */
};

enum os_grant_kind {
    OS_GRANT_NONE,
    OS_GRANT_MMIO,  /* handle: EXO_CAP_MMIO; base, bytes: physical, as in the device tree's `reg` */
    OS_GRANT_IRQ,   /* handle: EXO_CAP_IRQ; base: the line; bytes: 1; flags: trigger, as in the device tree */
    OS_GRANT_SLICE, /* handle: EXO_CAP_SLICE; base: first slot; bytes: number of slots; flags: the CPU */
    OS_GRANT_INFO,  /* handle: EXO_CAP_INFO */
    OS_GRANT_MEMORY, /* no handle: pages that are bound at base; bytes: their length */
    OS_GRANT_DMA, /* handle: EXO_CAP_DMA; base: first stream; bytes: number of streams; flags: 1: no IOMMU checks them, and
                     the process is trusted with that */
    OS_GRANT_TRACE, /* handle: EXO_CAP_TRACE */
};

/* Names: a device's are "<node name>:<index>", for instance "pl011@9000000:0", in the order of `reg` (then, for a
 * PCI host, of `ranges`), of `interrupts`, and of its streams.
 * "bundle": the boot bundle (MEMORY, read-only).  "tree": the device tree (MEMORY).  "log": the log ring (MEMORY). */
#define OS_GRANT_NAME_MAX 23u
struct os_start_grant {
    char name[OS_GRANT_NAME_MAX + 1];
    uint16_t kind;
    uint16_t flags;
    exo_handle_t handle;
    uint64_t base;
    uint64_t bytes;
};

/* A descriptor that the process starts with.  What service and id mean is between libos/fs and the service. */
struct os_start_fd {
    int32_t fd;
    uint32_t flags;
    char service[24]; /* the service that keeps the open file: "fs", "console" */
    uint64_t id;      /* the service's name for it, valid for this pid; 0: what the service gives to anyone */
};

struct os_start {
    uint64_t magic;
    uint32_t version;
    uint32_t bytes; /* of the whole block */
    int32_t pid;    /* by init */
    int32_t ppid;   /* by init */
    int32_t pgid;   /* by init */
    uint32_t argc;
    uint32_t envc;
    uint32_t nfds;
    uint32_t argv; /* offset of uint64_t[argc + 1]: offsets of the strings, then 0 */
    uint32_t envp; /* offset of uint64_t[envc + 1] */
    uint32_t fds;  /* offset of struct os_start_fd[nfds] */
    uint32_t cwd;  /* offset of a string */
    uint32_t path; /* offset of a string: the program's path */
    uint32_t umask;
    uint32_t ngrants;     /* by init */
    uint32_t limit_pages; /* by init: the account's limit */
    uint32_t vcpus;       /* by init: how many it may have by itself; 0: as many as CPUs */
    uint32_t spare;
    struct os_start_grant grants[OS_START_MAX_GRANTS]; /* by init */
    uint8_t reserved[4096 - 80 - OS_START_MAX_GRANTS * 48];
};

_Static_assert(sizeof(struct os_start_grant) == 48, "start block layout");
_Static_assert(sizeof(struct os_start_fd) == 40, "start block layout");
_Static_assert(sizeof(struct os_start) == PAGE_SIZE, "the start block's header is one page");

/* This process's start block (libos/rt); NULL in init. */
const struct os_start *os_start_block(void);

/* The vectors for main(), made in place from the offsets on the first call. */
char **os_start_argv(struct os_start *block);
char **os_start_envp(struct os_start *block);

/* The grant of that name and kind (OS_GRANT_NONE: any); NULL: none.  os_start_grant_kind: the nth of a kind. */
const struct os_start_grant *os_start_grant_find(const struct os_start *block, const char *name,
                                                 enum os_grant_kind kind);
const struct os_start_grant *os_start_grant_nth(const struct os_start *block, enum os_grant_kind kind,
                                                unsigned n);

/* Build a block from its parts into buf (page aligned, cap_bytes long).  Returns its length in bytes, a multiple of
 * PAGE_SIZE, or -E2BIG. */
struct os_start_parts {
    const char *path;
    const char *cwd; /* NULL: "/" */
    char *const *argv;
    char *const *envp; /* NULL: empty */
    const struct os_start_fd *fds;
    uint32_t nfds;
    uint32_t umask;
};
int os_start_build(void *buf, size_t cap_bytes, const struct os_start_parts *parts);

/* Is this block whole: magic, version, every array and string inside, counts within limits?  0 or -EINVAL. */
int os_start_check(const void *buf, size_t bytes);

#endif
