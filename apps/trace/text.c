/* A trace as lines of text, which a serial line carries: names, then each CPU's records, packed and in base64. */
#include <inttypes.h>

#include "os/proc.h"
#include "os/exo.h"
#include "trace.h"

#define LINE_BYTES 576u /* a multiple of 3; 768 letters */

struct packer {
    FILE *out;
    uint8_t bytes[LINE_BYTES];
    size_t n;
    uint32_t crc;
};

static uint32_t crc32_byte(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (unsigned i = 0; i < 8; i++)
        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    return crc;
}

static void flush_line(struct packer *p)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[LINE_BYTES / 3 * 4 + 1];
    size_t len = 0;

    if (p->n == 0)
        return;
    for (size_t i = 0; i < p->n; i += 3) {
        uint32_t word = (uint32_t)p->bytes[i] << 16 | (i + 1 < p->n ? (uint32_t)p->bytes[i + 1] << 8 : 0) |
                        (i + 2 < p->n ? p->bytes[i + 2] : 0);

        line[len++] = letters[word >> 18];
        line[len++] = letters[word >> 12 & 63];
        line[len++] = i + 1 < p->n ? letters[word >> 6 & 63] : '=';
        line[len++] = i + 2 < p->n ? letters[word & 63] : '=';
    }
    line[len] = '\0';
    fprintf(p->out, "~r %s\n", line);
    p->n = 0;
}

static void put_byte(struct packer *p, uint8_t byte)
{
    p->bytes[p->n++] = byte;
    p->crc = crc32_byte(p->crc, byte);
    if (p->n == LINE_BYTES)
        flush_line(p);
}

/* Seven bits a byte, low ones first; the top bit says that more follow. */
static void put_number(struct packer *p, uint64_t n)
{
    for (; n >> 7; n >>= 7)
        put_byte(p, (uint8_t)(n | 0x80));
    put_byte(p, (uint8_t)n);
}

enum { HAS_B = 0x20, HAS_A = 0x40, HAS_VCPU = 0x80 }; /* above the event's number */

static void put_record(struct packer *p, const struct exo_trace_record *r, uint64_t since, uint32_t last_vcpu)
{
    put_byte(p, (uint8_t)(r->event | (r->vcpu != last_vcpu ? HAS_VCPU : 0) | (r->a ? HAS_A : 0) |
                          (r->b ? HAS_B : 0)));
    put_number(p, r->time - since);
    put_number(p, r->what);
    if (r->vcpu != last_vcpu)
        put_number(p, r->vcpu);
    if (r->a)
        put_number(p, r->a);
    if (r->b)
        put_number(p, r->b);
}

static void write_ring(struct packer *p, const struct exo_trace *ring, uint32_t cpu)
{
    uint64_t first = ring->written > ring->nrecords ? ring->written - ring->nrecords : 0;
    uint64_t since = 0;
    uint32_t vcpu = 0;

    fprintf(p->out, "~cpu %" PRIu32 " written %" PRIu64 " kept %" PRIu64 "\n", cpu, ring->written,
            ring->written - first);
    for (uint64_t i = first; i < ring->written; i++) {
        const struct exo_trace_record *r = &ring->record[i % ring->nrecords];

        put_record(p, r, since, vcpu);
        since = r->time;
        vcpu = r->vcpu;
    }
    flush_line(p);
}

/* Which program an environment was, also of those that are gone. */
static void write_names(FILE *out)
{
    for (uint32_t slot = 1; slot < OS_NPROC; slot++) {
        struct os_proc_entry e;

        os_proc_slot(slot, &e);
        if (e.env_id)
            fprintf(out, "~name %" PRIu32 " %" PRIu64 " %s\n", e.env_id, e.start_ticks, e.name);
    }
}

void text_write(FILE *out, const struct rings *rings)
{
    static struct packer p;

    p = (struct packer){.out = out, .crc = UINT32_MAX};
    fprintf(out, "~trace 1 hz %" PRIu64 " cpus %" PRIu32 "\n", os_system()->counter_hz, rings->ncpus);
    write_names(out);
    for (uint32_t cpu = 0; cpu < rings->ncpus; cpu++)
        write_ring(&p, ring_of(rings, cpu), cpu);
    fprintf(out, "~end %08" PRIx32 "\n", ~p.crc);
}
