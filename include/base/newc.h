/* Reading `newc` cpio archives (magic 070701), as initial RAM disks use them.
 *
 * An iterator over memory: every offset and size is checked by subtraction before use, each step moves
 * forward, and nothing is allocated.
 *
 *     struct newc_reader r = newc_open(base, len);
 *     struct newc_entry e;
 *     int rc;
 *     while ((rc = newc_next(&r, &e)) > 0)
 *         use(&e);
 *     if (rc < 0)
 *         complain(newc_strerror(rc), r.at);
 *
 * Format: cpio(5).  A record is a header of 110 bytes (6 of magic, then 13 fields of 8 hexadecimal digits), the
 * name with its NUL, padding to 4, the data, padding to 4.  The name TRAILER!!! ends the archive.
 * Names may carry more than one NUL at the end (a way to align the data that follows). */
#ifndef BASE_NEWC_H
#define BASE_NEWC_H

#include "base/range.h"
#include "base/types.h"

#define NEWC_HEADER_BYTES 110u
#define NEWC_NAME_MAX 8192u /* bytes of a name field, its NULs included */

enum newc_error {
    NEWC_ETRUNCATED = -1, /* a header, name or content reaches past the end of the archive */
    NEWC_EMAGIC = -2,     /* a record does not start with 070701 */
    NEWC_EDIGIT = -3,     /* a header field is not hexadecimal */
    NEWC_ENAME = -4,      /* a name is empty, too long or not terminated */
    NEWC_EEND = -5,       /* the archive ends without its trailer */
};

enum newc_mode { NEWC_MODE_TYPE = 0170000, NEWC_MODE_DIR = 0040000, NEWC_MODE_FILE = 0100000 };

struct newc_reader {
    const uint8_t *base;
    uint64_t len;
    uint64_t at; /* offset of the next record; after an error: of the bad one */
};

struct newc_entry {
    const char *name; /* NUL-terminated, without a leading "./" or "/" */
    const uint8_t *data;
    uint64_t offset; /* of the data in the archive */
    uint32_t size;   /* bytes of data */
    uint32_t mode;   /* file type and permissions */
};

static inline struct newc_reader newc_open(const void *base, uint64_t len)
{
    return (struct newc_reader){.base = base, .len = len, .at = 0};
}

static inline const char *newc_strerror(int error)
{
    switch (error) {
    case NEWC_ETRUNCATED:
        return "a record reaches past the end of the archive";
    case NEWC_EMAGIC:
        return "a record does not start with the newc magic 070701";
    case NEWC_EDIGIT:
        return "a header field is not a hexadecimal number";
    case NEWC_ENAME:
        return "a name is empty, too long or not terminated";
    case NEWC_EEND:
        return "the archive ends without its trailer";
    default:
        return "no error";
    }
}

static inline int newc_hex(const uint8_t *digits, uint32_t *out)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 8; i++) {
        uint8_t c = digits[i];
        uint32_t digit;

        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20u) - 'a' + 10;
        else
            return NEWC_EDIGIT;
        value = value << 4 | digit;
    }
    *out = value;
    return 0;
}

static inline const char *newc_plain_name(const char *name)
{
    if (name[0] == '.' && name[1] == '/')
        name += 2;
    while (*name == '/')
        name++;
    return name;
}

static inline bool newc_is_trailer(const char *name)
{
    const char *trailer = "TRAILER!!!";
    unsigned i = 0;

    while (trailer[i] && name[i] == trailer[i])
        i++;
    return trailer[i] == 0 && name[i] == 0;
}

/* The record at r->at: 1 and *e filled, 0 at the trailer, or an enum newc_error. */
static inline int newc_next(struct newc_reader *r, struct newc_entry *e)
{
    static const char magic[] = "070701";
    const uint8_t *h = r->base + r->at;
    uint32_t name_bytes;
    uint64_t data_at, data_end;

    if (r->at >= r->len)
        return NEWC_EEND;
    if (!range_fits(r->at, NEWC_HEADER_BYTES, r->len))
        return NEWC_ETRUNCATED;
    for (unsigned i = 0; i < 6; i++)
        if (h[i] != (uint8_t)magic[i])
            return NEWC_EMAGIC;
    if (newc_hex(h + 6 + 8 * 1, &e->mode) || newc_hex(h + 6 + 8 * 6, &e->size) ||
        newc_hex(h + 6 + 8 * 11, &name_bytes))
        return NEWC_EDIGIT;
    if (name_bytes < 2 || name_bytes > NEWC_NAME_MAX)
        return NEWC_ENAME;
    if (!range_fits(r->at + NEWC_HEADER_BYTES, name_bytes, r->len))
        return NEWC_ETRUNCATED;
    e->name = (const char *)h + NEWC_HEADER_BYTES;
    if (e->name[name_bytes - 1] != 0)
        return NEWC_ENAME;
    if (newc_is_trailer(e->name))
        return 0;
    data_at = align_up(r->at + NEWC_HEADER_BYTES + name_bytes, 4);
    if (!range_fits(data_at, e->size, r->len))
        return NEWC_ETRUNCATED;
    data_end = align_up(data_at + e->size, 4);
    e->name = newc_plain_name(e->name);
    e->data = r->base + data_at;
    e->offset = data_at;
    r->at = data_end;
    return 1;
}

#endif
