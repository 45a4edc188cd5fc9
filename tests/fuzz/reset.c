/* For libFuzzer, which runs all inputs in one process: the variables of the kernel, of its machine, and of the helpers around
 * them lie in two sections of their own (boards/mk/fuzz.mk), which are put back before each input.  Code that the sanitizer
 * does not look at, since the gaps that it leaves between variables are copied, too. */
#include <stdint.h>
#include <stdlib.h>

#include "exo_machine.h"
#include "fuzz.h"

extern uint8_t __start_fuzz_data[], __stop_fuzz_data[], __start_fuzz_bss[], __stop_fuzz_bss[];

static uint8_t *data_before, *bss_before;

__attribute__((no_sanitize("address", "undefined"))) static void copy(uint8_t *to, const uint8_t *from,
                                                                      const uint8_t *end)
{
    volatile uint64_t *words = (volatile uint64_t *)to;

    for (const uint64_t *at = (const uint64_t *)from; at < (const uint64_t *)end; at++)
        *words++ = *at;
}

void fuzz_reset(void)
{
    const size_t data = (size_t)(__stop_fuzz_data - __start_fuzz_data);
    const size_t bss = (size_t)(__stop_fuzz_bss - __start_fuzz_bss);

    if (!data_before) {
        data_before = malloc(data + 8);
        bss_before = malloc(bss + 8);
        copy(data_before, __start_fuzz_data, __start_fuzz_data + data / 8 * 8);
        copy(bss_before, __start_fuzz_bss, __start_fuzz_bss + bss / 8 * 8);
        return;
    }
    if (machine.memory >= 0)
        exo_unboot();
    copy(__start_fuzz_data, data_before, data_before + data / 8 * 8);
    copy(__start_fuzz_bss, bss_before, bss_before + bss / 8 * 8);
}
