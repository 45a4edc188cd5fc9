/* The line discipline: what comes from the terminal, reads, writes, changes of mode, and how much room there is, by the input's
 * bytes.  P8, K24: no byte is put without room for it, none is read that was not there. */
#include "libos/tty/ldisc.h"

#include <errno.h>
#include <string.h>

#include "fuzz.h"

#define ROOM_MAX 4096u

static struct ldisc ld;
static size_t room_now;

static void put(void *ctx, uint8_t byte)
{
    (void)ctx;
    (void)byte;
    FUZZ_ASSERT(room_now > 0);
    room_now--;
}

static size_t room(void *ctx)
{
    (void)ctx;
    return room_now;
}

static void note(void *ctx, enum ldisc_signal sig)
{
    (void)ctx;
    FUZZ_ASSERT(sig >= LDISC_INTR && sig <= LDISC_SUSP);
}

static void type(struct fuzz_bytes *in)
{
    for (uint64_t n = fuzz_take(in, 1); n && in->left; n--)
        if (ldisc_ready(&ld))
            ldisc_input(&ld, (uint8_t)fuzz_take(in, 1));
}

static void read_and_give_back(struct fuzz_bytes *in)
{
    size_t len = fuzz_take(in, 1);
    uint8_t *buf = malloc(len + 1);
    int64_t n = ldisc_read(&ld, buf, len, fuzz_take(in, 1) & 1);

    FUZZ_ASSERT(n == -EAGAIN || (n >= 0 && (size_t)n <= len));
    if (n >= 0 && fuzz_take(in, 1) & 1)
        FUZZ_ASSERT(ldisc_unread(&ld, buf, (size_t)n)); /* what was just taken has room */
    free(buf);
}

static void write_some(struct fuzz_bytes *in)
{
    size_t len = fuzz_take(in, 1);
    uint8_t *buf;

    len = len < in->left ? len : in->left;
    buf = fuzz_copy(in->at, len);
    FUZZ_ASSERT(ldisc_write(&ld, buf, len) <= len);
    in->at += len;
    in->left -= len;
    free(buf);
}

static void set(struct fuzz_bytes *in)
{
    struct tty_attr attr = ld.attr;
    uint8_t *bytes = (uint8_t *)&attr;

    for (unsigned n = 4; n && in->left; n--) {
        size_t at = fuzz_take(in, 1) % sizeof(attr);

        bytes[at] = (uint8_t)fuzz_take(in, 1);
    }
    ldisc_set_attr(&ld, &attr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ldisc_ops ops = {put, room, note};
    struct fuzz_bytes in = {data, size};

    room_now = ROOM_MAX;
    ldisc_init(&ld, &ops, NULL);
    while (in.left) {
        switch (fuzz_take(&in, 1) % 8) {
        case 0:
            room_now = fuzz_take(&in, 2) % ROOM_MAX;
            break;
        case 1:
            set(&in);
            break;
        case 2:
            ldisc_flush(&ld);
            break;
        case 3:
            read_and_give_back(&in);
            break;
        case 4:
            write_some(&in);
            break;
        default:
            type(&in);
        }
        ldisc_read_limit(&ld);
        FUZZ_ASSERT(ld.done - ld.first <= LDISC_RING && ld.last - ld.first <= LDISC_RING);
    }
    return 0;
}
