/* Device trees, as init reads devices out of one that the kernel has found sound: K18, K24. */
#include <libfdt.h>
#include <string.h>

#include "apps/init/devtree.h"
#include "base/fdtwalk.h"
#include "fuzz.h"

static int see(void *ctx, const struct device *device)
{
    (void)ctx;
    FUZZ_ASSERT(strlen(device->name) < 1u << 16);
    FUZZ_ASSERT(device->nwindows <= DEVICE_WINDOWS_MAX && device->nlines <= DEVICE_LINES_MAX &&
                device->nstreams <= DEVICE_STREAMS_MAX);
    for (unsigned i = 0; i < device->nwindows; i++)
        FUZZ_ASSERT(device->windows[i].bytes - 1 <= UINT64_MAX - device->windows[i].base);
    return 0;
}

/* As the kernel judges (exo/tree.c). */
static bool is_sound(const uint8_t *blob, size_t size)
{
    return size >= FDT_V1_SIZE && fdt_check_header(blob) == 0 && fdt_version(blob) >= FDTWALK_VERSION_MIN &&
           fdt_totalsize(blob) <= size &&
           fdtwalk_ok(blob + fdt_off_dt_struct(blob), fdt_totalsize(blob) - fdt_off_dt_struct(blob)) &&
           fdt_check_full(blob, size) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"stdout", "/soc/uart@1000", "arm,pl011", "pci-host-ecam-generic"};
    uint8_t *copy = fuzz_copy(data, size);

    if (is_sound(copy, size)) {
        for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            char why[DEVTREE_WHY_BYTES] = "";
            int rc = devtree_each(copy, names[i], see, NULL, why);

            FUZZ_ASSERT(rc == 0 || (rc == -1 && strlen(why) > 0 && strlen(why) < sizeof(why)));
        }
        const char *command = devtree_command(devtree_bootargs(copy));

        FUZZ_ASSERT(!command || strlen(command) < size);
    }
    free(copy);
    return 0;
}
