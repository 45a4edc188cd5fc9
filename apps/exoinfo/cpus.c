/* CPUs: counters, slices, log rings. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "exoinfo.h"
#include "os/time.h"

void cpu_print_counters(const struct exo_cpu_info *cpu, unsigned number)
{
    printf("cpu %u: calls %" PRIu64 ", interrupts %" PRIu64 ", switches %" PRIu64 ", upcalls %" PRIu64
           ", idle %" PRIu64 " ms\n",
           number, cpu->calls, cpu->interrupts, cpu->switches, cpu->upcalls,
           os_ticks_to_ns(cpu->idle_ticks) / 1000000);
}

static uint32_t nslots(const struct exo_cpu_info *cpu)
{
    uint64_t slots = os_system()->slots;

    return (uint32_t)min_u64(slots, ARRAY_LEN(cpu->slot_env));
}

/* All slots of the owner whose first slot this is; their number. */
static uint32_t print_owner(const struct exo_cpu_info *cpu, uint32_t first)
{
    uint32_t env = cpu->slot_env[first], n = nslots(cpu), owned = 0;
    const char *comma = "";
    char name[48];

    printf("  %-24s ", env_name(env, name));
    for (uint32_t slot = first, end; slot < n; slot = end + 1) {
        for (end = slot; end < n && cpu->slot_env[end] == env;)
            end++;
        if (end == slot)
            continue;
        printf(end - slot == 1 ? "%s%" PRIu32 : "%s%" PRIu32 " to %" PRIu32, comma, slot, end - 1);
        comma = ", ";
        owned += end - slot;
    }
    printf("\n");
    return owned;
}

static bool is_first_of_owner(const struct exo_cpu_info *cpu, uint32_t slot)
{
    for (uint32_t i = 0; i < slot; i++)
        if (cpu->slot_env[i] == cpu->slot_env[slot])
            return false;
    return cpu->slot_env[slot] != 0;
}

void cpu_print_slices(const struct exo_cpu_info *cpu, unsigned number)
{
    uint32_t n = nslots(cpu), owned = 0;

    printf("cpu %u, slots by owner:\n", number);
    for (uint32_t slot = 0; slot < n; slot++)
        if (is_first_of_owner(cpu, slot))
            owned += print_owner(cpu, slot);
    printf("  %" PRIu32 " of %" PRIu32 " slots go to whoever is ready\n\n", n - owned, n);
}

/* Every program may write there, so only what prints is printed. */
void cpu_print_log(const struct exo_log *log, unsigned number)
{
    uint64_t size = os_system()->log_bytes - sizeof(*log), written = log->written;
    uint64_t lost = written > size ? written - size : 0;
    char c = '\n';

    printf("cpu %u, log: %" PRIu64 " bytes, the first %" PRIu64 " of them overwritten\n", number, written,
           lost);
    for (uint64_t i = lost; i < written; i++) {
        c = log->text[i % size];
        putchar(isprint((unsigned char)c) || c == '\n' ? c : '?');
    }
    printf(c == '\n' ? "\n" : "\n\n");
}
