/* exoinfo's views of the kernel's tables. */
#ifndef APPS_EXOINFO_H
#define APPS_EXOINFO_H

#include "os/exo.h"
#include "os/proc.h"

/* ---- frames.c ------------------------------------------------------------------------------------------- */

struct payer {
    uint32_t env;
    uint32_t frames[EXO_NFRAME_KINDS];
};

/* All frames, counted one by one. */
struct census {
    uint64_t kinds[EXO_NFRAME_KINDS];
    struct payer payers[OS_NPROC];
    size_t npayers;
    char *map; /* a letter for each per_letter frames; NULL: there is none */
    uint64_t per_letter;
};

/* Counts the table's frames. per_letter: of the map; 0: no map.
 * False, after a word about it: the counts are not those that the kernel keeps, or there is no memory for the map. */
bool census_take(struct census *census, const struct exo_frame *frames, uint64_t per_letter);
void census_print_kinds(const struct census *census);
void census_print_payers(const struct census *census);
void census_print_map(const struct census *census);

/* How many frames a letter stands for where nobody says: so many that the map fits a screen or two. */
uint64_t census_map_scale(void);

/* "7 cat", or what else is known of the environment that the kernel calls so. */
const char *env_name(uint32_t env, char buf[48]);

/* ---- objects.c ------------------------------------------------------------------------------------------ */

/* cpus: EXO_INFO_CPU.  Exit statuses. */
int spaces_print(const struct exo_frame *frames);
int vcpus_print(const struct exo_frame *frames, const void *cpus);
void locks_print(const void *cpus);

/* ---- cpus.c --------------------------------------------------------------------------------------------- */

/* "0 to 3, 8": the bits that are set; "-": none is. */
#define SET_BYTES 256
const char *set_name(uint64_t set, char buf[SET_BYTES]);

void cpus_print_counters(const void *cpus);
/* CPUs of which nobody owns a slot share a line. */
void cpus_print_slices(const void *cpus);
/* Those that are somebody's, or were. */
void lines_print(const struct exo_line *lines);
/* Nothing, where nothing was written. */
void cpu_print_log(const struct exo_log *log, unsigned number);

#endif
