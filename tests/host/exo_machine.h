/* What the kernel's suites share: a machine with the kernel booted in it, environments to act in, the audit.
 *
 * Each test is a process of its own and boots one machine:
 *
 *     tcase_add_checked_fixture(tc, exo_boot, exo_check);
 *
 * so that the audit runs after every test. */
#ifndef HOST_EXO_MACHINE_H
#define HOST_EXO_MACHINE_H

#include <check.h>

#include "arch/arch.h"
#include "machine.h"
#include "vcpu.h"

/* ---- what to boot ------------------------------------------------------------------------------------------------ */

#define RAM_BASE 0x40000000ull
#define IMAGE_LEN 0x10000ull
#define TREE_BASE (RAM_BASE + 0x100000)
#define BUNDLE_BASE (RAM_BASE + 0x140000)

struct exo_range {
    uint64_t base, len;
};

/* All of it is copied into RAM before the kernel is entered. */
struct exo_image {
    struct exo_range ram[4]; /* what is there; what the tree says is its own matter */
    unsigned nram;
    uint64_t tree_base, bundle_base;
    uint8_t tree[16384];
    size_t tree_len;
    uint8_t bundle[65536];
    size_t bundle_len;
};

struct exo_tree {
    struct exo_range memory[4];
    unsigned nmemory;
    struct exo_range reserved[4]; /* children of /reserved-memory */
    unsigned nreserved;
    struct exo_range memreserve[2]; /* the header's list */
    unsigned nmemreserve;
    struct exo_range initrd;
    bool no_initrd;
    unsigned initrd_cells; /* 0: 2 */
};

void exo_tree_make(struct exo_image *image, const struct exo_tree *tree);
/* A newc archive of one file and a trailer. */
void exo_bundle_make(struct exo_image *image, const char *name, const void *file, size_t file_len);
size_t exo_elf_make(uint8_t *out);
/* A good one: 4 MiB, one memory node, a bundle with bin/init. */
void exo_image_make(struct exo_image *image, uint64_t ram_len);
void exo_image_load(const struct exo_image *image);
/* Boots it in a process of its own, with the audit behind: how that ended, and what stood on the console.
 * A crash of that process fails the test. */
enum machine_end exo_try_boot(const struct exo_image *image, char console[1024]);

/* ---- the machine ------------------------------------------------------------------------------------------------- */

#define USER_PC 0x1000ull
#define UPCALL_ENTRY 0x2000ull

extern struct exo_image exo_image;

void exo_boot(void); /* 4 MiB; init is current and out of its START upcall */
void exo_boot_ram(uint64_t len);
void exo_boot_image(void); /* what exo_image holds; without the audit */
/* The machine's memory is gone, and a process that puts the kernel's variables back (tests/fuzz/reset.c) may boot again. */
void exo_unboot(void);
/* It is later, and the slot that runs then has just begun: who is current stays so. */
void exo_later(uint64_t time);
void exo_check(void); /* the audit; fails the test with its sentence */
uint64_t exo_free_frames(void);
/* A number for everything that a failing call must leave alone. */
uint64_t exo_state(void);

/* A call of the current vcpu. */
#define CALL(name, ...) machine_call(EXO_CALL_##name, (const uint64_t[8]){__VA_ARGS__})
#define CALL0(name) machine_call(EXO_CALL_##name, (const uint64_t[8]){0})
#define CALL_OK(name, ...)                                                                                   \
    ({                                                                                                       \
        int64_t rc_ = CALL(name, __VA_ARGS__);                                                               \
        ck_assert_msg(rc_ >= 0, #name ": %ld %s", (long)rc_, machine.console);                               \
        rc_;                                                                                                 \
    })
#define CALL_FAILS(error, name, ...)                                                                         \
    do {                                                                                                     \
        int64_t rc_ = CALL(name, __VA_ARGS__);                                                               \
        ck_assert_msg(rc_ == -(error), #name ": %ld, not " #error " %s", (long)rc_, machine.console);        \
    } while (0)

/* Unmaps n pages, however many calls it takes. */
void exo_unmap(uint64_t space, uint64_t va, uint64_t n);
/* Allocates a contiguous run, likewise: n or the error. */
int64_t exo_alloc_run(uint64_t space, uint64_t va, uint64_t n, uint64_t want, uint64_t flags);

/* An environment with one vcpu, child of whoever made it. */
struct actor {
    struct env *env;
    struct vcpu *vcpu;
    exo_handle_t env_cap, space_cap, vcpu_cap; /* in its maker's table; init: its own */
};
extern struct actor root;

#define ACTOR_VCPU_VA 0x300000ull
#define RW ((uint64_t)EXO_PROT_READ | EXO_PROT_WRITE)

/* Made by the current vcpu, which stays current; the new one is READY, upcalls unmasked. */
struct actor actor_make(uint64_t limit);
/* Made, not started. */
struct actor actor_new(uint64_t limit);
void actor_start(struct actor *a);
/* Destroys it, all steps; by its maker. */
void actor_destroy(const struct actor *a);
/* Makes it the current one. */
void as(const struct actor *a);
/* Another vcpu of the current one's own environment, its page at va; out of its START upcall, READY. */
struct vcpu *actor_vcpu(uint64_t va, exo_handle_t *handle);
/* Ends the upcall that the current vcpu is in. */
void upcall_done(void);

struct cap *cap_at(const struct env *env, uint64_t handle); /* NULL: none */
uint64_t x(const struct vcpu *vcpu, unsigned n);            /* a register of its user context */
int64_t result(const struct vcpu *vcpu);                    /* x0, signed */

/* A sequence of numbers that is the same for each seed. */
struct dice {
    uint64_t state;
};
uint64_t dice(struct dice *d);
uint64_t dice_below(struct dice *d, uint64_t n);

/* format_text() with these arguments. */
__attribute__((format(printf, 3, 4))) size_t exo_format(char *out, size_t size, const char *text, ...);

/* Runs the suite, as main does: 0 or 1. */
int exo_suite_run(Suite *suite);

#endif
