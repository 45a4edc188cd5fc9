/* Bundles: the archive as it is read, as the file server shows it, and as the kernel boots from it.  K20: every record lies
 * inside the archive; K9. */
#include <string.h>

#include "audit.h"
#include "base/newc.h"
#include "counted_memory.h"
#include "exo_machine.h"
#include "fuzz.h"
#include "libos/fs/serve.h"
#include "os/proc.h"

#define SERVER_BYTES (1u << 20)

/* ---- around the file server ------------------------------------------------------------------------------------------ */

void os_reply(struct os_server *server, struct os_peer *peer, int64_t result, const struct os_words *w)
{
    (void)server;
    (void)peer;
    (void)result;
    (void)w;
    abort(); /* nobody asked */
}

bool os_proc_find(uint32_t pid, struct os_proc_entry *out)
{
    (void)pid;
    (void)out;
    return false;
}

struct os_peer *os_peer_make(struct os_server *server, uint32_t pid)
{
    (void)server;
    (void)pid;
    return NULL;
}

static void serve(const uint8_t *data, size_t size)
{
    struct counted_memory mem = {.until_failure = -1};
    struct fs_server fs;
    uint64_t at = 0;
    unsigned skipped;

    FUZZ_ASSERT(fs_server_init(&fs, &counted_ops, &mem, SERVER_BYTES, 7) == 0);
    fs_server_add_bundle(&fs, data, size, &at, &skipped);
    FUZZ_ASSERT(at <= size + 3); /* the padding behind the last record may be left out */
    ramfs_fini(&fs.ram);
    FUZZ_ASSERT(mem.bytes == 0);
}

/* ---- the archive -------------------------------------------------------------------------------------------------------- */

static void walk(const uint8_t *data, size_t size)
{
    struct newc_reader reader = newc_open(data, size);
    struct newc_entry e;
    uint64_t before = 0;
    uint8_t sum = 0;
    int rc;

    while ((rc = newc_next(&reader, &e)) > 0) {
        FUZZ_ASSERT(reader.at > before && e.offset <= size && e.size <= size - e.offset);
        FUZZ_ASSERT(e.data == data + e.offset);
        FUZZ_ASSERT(strlen(e.name) < NEWC_NAME_MAX && e.name[0] != '/');
        for (uint32_t i = 0; i < e.size; i++)
            sum ^= e.data[i];
        before = reader.at;
    }
    FUZZ_ASSERT(strcmp(newc_strerror(rc), "no error") != 0 || rc == 0);
    __asm__ volatile("" ::"r"(sum));
}

static void boot(const uint8_t *data, size_t size)
{
    struct exo_tree tree = {.memory = {{RAM_BASE, 4 << 20}}, .nmemory = 1, .initrd = {BUNDLE_BASE, size}};

    exo_image_make(&exo_image, 4 << 20);
    memcpy(exo_image.bundle, data, size);
    exo_image.bundle_len = size;
    exo_tree_make(&exo_image, &tree);
    exo_image_load(&exo_image);
    machine_boot(RAM_BASE, IMAGE_LEN, TREE_BASE);
    if (machine.end == MACHINE_STOPPED) {
        FUZZ_ASSERT(strstr(machine.console, "corbel: ") && !strstr(machine.console, "panic"));
        return;
    }
    FUZZ_ASSERT(machine.end == MACHINE_RUNS);
    struct audit_note *notes = calloc(system_info->nframes, sizeof(*notes));

    FUZZ_ASSERT(!exo_audit(notes));
    free(notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (size == 0 || size > sizeof(exo_image.bundle))
        return 0;
    copy = fuzz_copy(data, size);
    fuzz_reset();
    walk(copy, size);
    serve(copy, size);
    free(copy);
    boot(data, size);
    return 0;
}
