#include "libos/tty/ldisc.h"

#include <errno.h>

enum entry {
    ENTRY_END = 1 << 8,
    ENTRY_EOF = 1 << 9
}; /* the line ends behind this byte; no byte, only an end */

enum { BELL = 7, BACKSPACE = 8, DELETE = 127, CTRL = 0x40, COLUMNS_ERASED_MAX = 160 };

_Static_assert(3 * COLUMNS_ERASED_MAX + 4 <= LDISC_ECHO_MAX, "an erased line fits");

void ldisc_init(struct ldisc *ld, const struct ldisc_ops *ops, void *ctx)
{
    *ld = (struct ldisc){.ops = ops, .ctx = ctx};
    ld->attr = (struct tty_attr){
        .iflag = TTY_ICRNL | TTY_IMAXBEL | TTY_IUTF8 | TTY_BRKINT,
        .oflag = TTY_OPOST | TTY_ONLCR,
        .cflag = TTY_CS8 | TTY_CREAD | TTY_CLOCAL,
        .lflag =
            TTY_ECHO | TTY_ECHOE | TTY_ECHOK | TTY_ECHOCTL | TTY_ECHOKE | TTY_ICANON | TTY_IEXTEN | TTY_ISIG,
        .cc = {[TTY_VINTR] = 'C' - CTRL,
               [TTY_VQUIT] = '\\' - CTRL,
               [TTY_VERASE] = DELETE,
               [TTY_VKILL] = 'U' - CTRL,
               [TTY_VEOF] = 'D' - CTRL,
               [TTY_VMIN] = 1,
               [TTY_VSTART] = 'Q' - CTRL,
               [TTY_VSTOP] = 'S' - CTRL,
               [TTY_VSUSP] = 'Z' - CTRL,
               [TTY_VWERASE] = 'W' - CTRL,
               [TTY_VLNEXT] = 'V' - CTRL},
        .ispeed = 115200,
        .ospeed = 115200,
    };
}

static bool has(const struct ldisc *ld, uint32_t lflag)
{
    return (ld->attr.lflag & lflag) != 0;
}

static bool is_cc(const struct ldisc *ld, uint8_t byte, enum tty_cc which)
{
    return byte != 0 && byte == ld->attr.cc[which];
}

/* ---- output -------------------------------------------------------------------------------------------------- */

static uint32_t column_after(const struct ldisc *ld, uint32_t column, uint8_t byte)
{
    if (byte == '\t')
        return (column | 7) + 1;
    if (byte == '\r')
        return 0;
    if (byte == BACKSPACE)
        return column > 0 ? column - 1 : 0;
    if (byte < ' ' || byte == DELETE)
        return column;
    if (ld->attr.iflag & TTY_IUTF8 && (byte & 0xc0) == 0x80)
        return column;
    return column + 1;
}

static void put(struct ldisc *ld, uint8_t byte)
{
    ld->column = column_after(ld, ld->column, byte);
    ld->ops->put(ld->ctx, byte);
}

/* At most two bytes. */
static void put_processed(struct ldisc *ld, uint8_t byte)
{
    uint32_t flags = ld->attr.oflag;
    if (!(flags & TTY_OPOST)) {
        put(ld, byte);
        return;
    }
    if (byte == '\r' && flags & TTY_ONOCR && ld->column == 0)
        return;
    if (byte == '\r' && flags & TTY_OCRNL)
        byte = '\n';
    if (byte == '\n' && flags & TTY_ONLCR)
        put(ld, '\r');
    if (byte == '\n' && flags & TTY_ONLRET)
        ld->column = 0;
    put(ld, byte);
}

size_t ldisc_write(struct ldisc *ld, const uint8_t *buf, size_t len)
{
    size_t room = ld->ops->room(ld->ctx), done = 0;
    size_t budget = room > LDISC_ECHO_MAX ? (room - LDISC_ECHO_MAX) / 2 : 0;
    while (done < len && done < budget)
        put_processed(ld, buf[done++]);
    return done;
}

/* ---- echo ---------------------------------------------------------------------------------------------------- */

static bool shown_by_caret(const struct ldisc *ld, uint8_t byte)
{
    return has(ld, TTY_ECHOCTL) && (byte < ' ' || byte == DELETE) && byte != '\t' && byte != '\n';
}

static void echo(struct ldisc *ld, uint8_t byte)
{
    if (byte == '\n' ? !has(ld, TTY_ECHO) && !(has(ld, TTY_ECHONL) && has(ld, TTY_ICANON))
                     : !has(ld, TTY_ECHO))
        return;
    if (!shown_by_caret(ld, byte)) {
        put_processed(ld, byte);
        return;
    }
    put(ld, '^');
    put(ld, byte ^ CTRL);
}

/* The column behind the line under work up to entry `end`, counted from where the line began. */
static uint32_t line_column_at(const struct ldisc *ld, uint32_t end)
{
    uint32_t column = ld->line_column;
    for (uint32_t at = ld->done; at != end; at++) {
        uint8_t byte = (uint8_t)ld->ring[at % LDISC_RING];
        column = shown_by_caret(ld, byte) ? column + 2 : column_after(ld, column, byte);
    }
    return column;
}

static void echo_erased(struct ldisc *ld, uint32_t columns)
{
    if (columns > COLUMNS_ERASED_MAX) { /* a new line is kinder than a page of backspaces */
        put_processed(ld, '\n');
        ld->line_column = ld->column;
        return;
    }
    while (columns-- > 0) {
        put(ld, BACKSPACE);
        put(ld, ' ');
        put(ld, BACKSPACE);
    }
}

/* ---- editing ------------------------------------------------------------------------------------------------- */

static uint32_t used(const struct ldisc *ld)
{
    return ld->last - ld->first;
}

static void push(struct ldisc *ld, uint16_t entry)
{
    ld->ring[ld->last++ % LDISC_RING] = entry;
}

static bool last_is_utf8_rest(const struct ldisc *ld)
{
    return ld->attr.iflag & TTY_IUTF8 && (ld->ring[(ld->last - 1) % LDISC_RING] & 0xc0) == 0x80;
}

static void drop_character(struct ldisc *ld)
{
    while (ld->last != ld->done && last_is_utf8_rest(ld))
        ld->last--;
    if (ld->last != ld->done)
        ld->last--;
}

static bool last_is_blank(const struct ldisc *ld)
{
    uint8_t byte = (uint8_t)ld->ring[(ld->last - 1) % LDISC_RING];
    return byte == ' ' || byte == '\t';
}

static void drop_word(struct ldisc *ld)
{
    while (ld->last != ld->done && last_is_blank(ld))
        drop_character(ld);
    while (ld->last != ld->done && !last_is_blank(ld))
        drop_character(ld);
}

/* Shorten the line under work, and the terminal's view of it. */
static void erase(struct ldisc *ld, void (*drop)(struct ldisc *ld), bool shown)
{
    uint32_t before = line_column_at(ld, ld->last);
    drop(ld);
    uint32_t after = line_column_at(ld, ld->last);
    if (has(ld, TTY_ECHO) && shown && before > after)
        echo_erased(ld, before - after);
}

static void drop_line(struct ldisc *ld)
{
    ld->last = ld->done;
}

static void erase_line(struct ldisc *ld, uint8_t byte)
{
    erase(ld, drop_line, has(ld, TTY_ECHOKE));
    if (has(ld, TTY_ECHOKE))
        return;
    echo(ld, byte);
    if (has(ld, TTY_ECHOK) && has(ld, TTY_ECHO))
        put_processed(ld, '\n');
}

static void line_end(struct ldisc *ld, uint16_t entry)
{
    push(ld, entry);
    ld->done = ld->last;
}

/* Add a byte to the line under work; its last place is kept for the end of the line. */
static void line_add(struct ldisc *ld, uint8_t byte)
{
    if (used(ld) >= LDISC_LINE_MAX - 1) {
        if (ld->attr.iflag & TTY_IMAXBEL)
            put(ld, BELL);
        return;
    }
    if (ld->last == ld->done)
        ld->line_column = ld->column;
    push(ld, byte);
    echo(ld, byte);
}

static bool edit(struct ldisc *ld, uint8_t byte)
{
    bool extended = has(ld, TTY_IEXTEN);
    if (is_cc(ld, byte, TTY_VERASE) || (byte == BACKSPACE && is_cc(ld, DELETE, TTY_VERASE)))
        erase(ld, drop_character, has(ld, TTY_ECHOE));
    else if (is_cc(ld, byte, TTY_VKILL))
        erase_line(ld, byte);
    else if (extended && is_cc(ld, byte, TTY_VWERASE))
        erase(ld, drop_word, has(ld, TTY_ECHOE));
    else if (extended && is_cc(ld, byte, TTY_VLNEXT))
        ld->literal = true;
    else if (is_cc(ld, byte, TTY_VEOF))
        line_end(ld, ENTRY_EOF);
    else
        return false;
    return true;
}

static void input_canonical(struct ldisc *ld, uint8_t byte)
{
    if (edit(ld, byte))
        return;
    if (byte == '\n' || is_cc(ld, byte, TTY_VEOL)) {
        echo(ld, byte);
        line_end(ld, byte | ENTRY_END);
        return;
    }
    line_add(ld, byte);
}

static void input_raw(struct ldisc *ld, uint8_t byte)
{
    echo(ld, byte);
    line_end(ld, byte == '\n' ? byte | ENTRY_END : byte); /* the end counts when canonical mode is back */
}

/* ---- input --------------------------------------------------------------------------------------------------- */

static bool input_signal(struct ldisc *ld, uint8_t byte)
{
    enum ldisc_signal sig;
    if (!has(ld, TTY_ISIG))
        return false;
    if (is_cc(ld, byte, TTY_VINTR))
        sig = LDISC_INTR;
    else if (is_cc(ld, byte, TTY_VQUIT))
        sig = LDISC_QUIT;
    else if (is_cc(ld, byte, TTY_VSUSP))
        sig = LDISC_SUSP;
    else
        return false;
    if (!has(ld, TTY_NOFLSH))
        ldisc_flush(ld);
    echo(ld, byte);
    ld->ops->signal(ld->ctx, sig);
    return true;
}

bool ldisc_ready(const struct ldisc *ld)
{
    bool line_only = has(ld, TTY_ICANON) && ld->done == ld->first;
    return ld->ops->room(ld->ctx) >= LDISC_ECHO_MAX && (used(ld) < LDISC_LINE_MAX - 1 || line_only);
}

/* By POSIX's input modes; false: the byte is to be ignored. */
static bool input_map(const struct ldisc *ld, uint8_t *byte)
{
    uint32_t flags = ld->attr.iflag;
    if (flags & TTY_ISTRIP)
        *byte &= 0x7f;
    if (*byte == '\r' && flags & TTY_IGNCR)
        return false;
    if (*byte == '\r' && flags & TTY_ICRNL)
        *byte = '\n';
    else if (*byte == '\n' && flags & TTY_INLCR)
        *byte = '\r';
    return true;
}

void ldisc_input(struct ldisc *ld, uint8_t byte)
{
    if (ld->literal) {
        ld->literal = false;
        line_add(ld, byte);
        return;
    }
    if (!input_map(ld, &byte) || input_signal(ld, byte))
        return;
    if (has(ld, TTY_ICANON))
        input_canonical(ld, byte);
    else
        input_raw(ld, byte);
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

static int64_t read_line(struct ldisc *ld, uint8_t *buf, size_t len)
{
    size_t n = 0;
    if (ld->first == ld->done)
        return -EAGAIN;
    while (n < len && ld->first != ld->done) {
        uint16_t entry = ld->ring[ld->first++ % LDISC_RING];
        if (entry & ENTRY_EOF)
            return (int64_t)n;
        buf[n++] = (uint8_t)entry;
        if (entry & ENTRY_END)
            return (int64_t)n;
    }
    if (n > 0 && ld->first != ld->done && ld->ring[ld->first % LDISC_RING] & ENTRY_EOF)
        ld->first++; /* it ended these bytes, and is no end of file of its own */
    return (int64_t)n;
}

/* The bytes alone count; an end of file typed in canonical mode means nothing here. */
static size_t read_bytes(struct ldisc *ld, uint8_t *buf, size_t len)
{
    size_t n = 0;
    while (n < len && ld->first != ld->done) {
        uint16_t entry = ld->ring[ld->first++ % LDISC_RING];
        if (!(entry & ENTRY_EOF))
            buf[n++] = (uint8_t)entry;
    }
    return n;
}

int64_t ldisc_read(struct ldisc *ld, uint8_t *buf, size_t len, bool expired)
{
    uint32_t min = ld->attr.cc[TTY_VMIN], time = ld->attr.cc[TTY_VTIME];
    if (len == 0)
        return 0;
    if (has(ld, TTY_ICANON))
        return read_line(ld, buf, len);
    if (min == 0 && time == 0)
        expired = true;
    if (!expired && ld->done - ld->first < (min == 0 ? 1 : min_u64(min, len)))
        return -EAGAIN;
    size_t n = read_bytes(ld, buf, len);
    return n == 0 && min > 0 ? -EAGAIN : (int64_t)n;
}

uint32_t ldisc_read_limit(const struct ldisc *ld)
{
    bool counts = ld->attr.cc[TTY_VMIN] == 0 || ld->first != ld->done;
    return has(ld, TTY_ICANON) || !counts ? 0 : ld->attr.cc[TTY_VTIME];
}

bool ldisc_unread(struct ldisc *ld, const uint8_t *buf, size_t len)
{
    if (len + 1 > LDISC_RING - used(ld))
        return false;
    if (has(ld, TTY_ICANON) && (len == 0 || buf[len - 1] != '\n'))
        ld->ring[--ld->first % LDISC_RING] = ENTRY_EOF;
    for (size_t i = len; i > 0; i--)
        ld->ring[--ld->first % LDISC_RING] =
            (uint16_t)(buf[i - 1] | (i == len && buf[i - 1] == '\n' ? ENTRY_END : 0));
    return true;
}

void ldisc_set_attr(struct ldisc *ld, const struct tty_attr *attr)
{
    bool was_canonical = has(ld, TTY_ICANON);
    ld->attr = *attr;
    if (was_canonical && !has(ld, TTY_ICANON)) {
        ld->done = ld->last;
        ld->literal = false;
    }
}

void ldisc_flush(struct ldisc *ld)
{
    ld->first = ld->done = ld->last;
    ld->literal = false;
}
