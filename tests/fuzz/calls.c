/* Call sequences on the kernel, with the audit as judge.  T2; K5, K14, K20 to K22, K24, K27 to K30 as far as the audit and the
 * models of TLB and IOMMU see them.
 *
 * Byte 0: what the machine is like; the rest: a record for each step (tests/host/exo_fuzz.h). */
#include <string.h>

#include "exo_fuzz.h"
#include "fuzz.h"

#define RAM_BYTES (4u << 20)
#define AUDIT_EVERY 16u
#define RECORDS_MAX 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exo_fuzz how = {.ram = RAM_BYTES, .steps = UINT64_MAX, .audit_every = AUDIT_EVERY};

    if (size == 0)
        return 0;
    fuzz_reset();
    how.ncpus = 1 + (data[0] & 3);
    how.iommu = data[0] & 4;
    how.trace = data[0] & 8;
    how.msi = (enum machine_msi)((data[0] >> 4) % 3);
    exo_fuzz("this input", (struct exo_numbers){.bytes = data + 1, .left = size - 1}, &how);
    return 0;
}

/* ---- for libFuzzer: changes that keep to records ---------------------------------------------------------------- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak)); /* libFuzzer has it */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t out_max, unsigned seed);

static uint8_t *record(uint8_t *data, size_t n)
{
    return data + 1 + n * EXO_FUZZ_RECORD;
}

static size_t records(size_t size)
{
    return size ? (size - 1) / EXO_FUZZ_RECORD : 0;
}

/* The record is another's copy, or its own with changes. */
static void change(uint8_t *data, size_t n, struct dice *d)
{
    uint8_t *to = record(data, dice_below(d, n));

    if (dice_below(d, 6) == 0) {
        memmove(to, record(data, dice_below(d, n)), EXO_FUZZ_RECORD);
        return;
    }
    LLVMFuzzerMutate(to, EXO_FUZZ_RECORD, EXO_FUZZ_RECORD);
}

static size_t insert(uint8_t *data, size_t n, struct dice *d)
{
    size_t at = dice_below(d, n + 1);
    uint8_t *to = record(data, at);

    memmove(to + EXO_FUZZ_RECORD, to, (n - at) * EXO_FUZZ_RECORD);
    if (n && dice_below(d, 2))
        memmove(to, record(data, dice_below(d, n + 1)), EXO_FUZZ_RECORD);
    else
        for (unsigned i = 0; i < EXO_FUZZ_RECORD; i++)
            to[i] = (uint8_t)dice(d);
    return n + 1;
}

static size_t take_out(uint8_t *data, size_t n, struct dice *d)
{
    size_t at = dice_below(d, n), many = 1 + dice_below(d, min_u64(n - at, 4));

    memmove(record(data, at), record(data, at + many), (n - at - many) * EXO_FUZZ_RECORD);
    return n - many;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    struct dice d = {seed};
    size_t n = records(size), most = records(max) < RECORDS_MAX ? records(max) : RECORDS_MAX;

    if (size == 0)
        data[0] = 0;
    for (uint64_t times = 1 + dice_below(&d, 4); times; times--)
        switch (dice_below(&d, 8)) {
        case 0:
            data[0] = (uint8_t)dice(&d);
            break;
        case 1:
        case 2:
        case 3:
            n = n < most ? insert(data, n, &d) : n;
            break;
        case 4:
            n = n ? take_out(data, n, &d) : n;
            break;
        default:
            if (n)
                change(data, n, &d);
        }
    return 1 + n * EXO_FUZZ_RECORD;
}

/* The one's beginning and the other's end. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t out_max, unsigned seed)
{
    struct dice d = {seed};
    size_t most = records(out_max) < RECORDS_MAX ? records(out_max) : RECORDS_MAX;
    size_t head = dice_below(&d, records(a_size) + 1), tail = dice_below(&d, records(b_size) + 1);

    head = head < most ? head : most;
    tail = tail < most - head ? tail : most - head;
    out[0] = a_size ? a[0] : 0;
    if (head)
        memcpy(record(out, 0), a + 1, head * EXO_FUZZ_RECORD);
    if (tail)
        memcpy(record(out, head), b + 1 + (records(b_size) - tail) * EXO_FUZZ_RECORD, tail * EXO_FUZZ_RECORD);
    return 1 + (head + tail) * EXO_FUZZ_RECORD;
}
