#include "edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complete.h"

#define CONTROL(letter) ((letter)&0x1f)

enum { KEY_ESCAPE = 27, KEY_DELETE = 127 };
enum { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_CSI, ESCAPE_SS3 };
enum { COLUMNS_DEFAULT = 80, COLUMNS_LEAST = 20 };

void edit_init(struct edit *edit, struct shell *sh)
{
    *edit = (struct edit){.sh = sh, .shown = sh->history.lines.len};
}

void edit_free(struct edit *edit)
{
    str_free(&edit->line);
    str_free(&edit->newest);
    list_free(&edit->offers);
}

/* Characters: UTF-8, of which a byte 10xxxxxx is never the first. */

/* Whether the line ends inside a character, of which more bytes will come. */
static bool ends_inside_character(const struct str *line)
{
    size_t start = line->len;
    unsigned char first;

    while (start && ((unsigned char)line->text[start - 1] & 0xc0) == 0x80)
        start--;
    if (!start)
        return false;
    first = (unsigned char)line->text[start - 1];
    return line->len - start < (size_t)(first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0);
}

static bool continues_character(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t before(const struct edit *edit, size_t at)
{
    if (at)
        at--;
    while (at && continues_character(edit->line.text[at]))
        at--;
    return at;
}

static size_t after(const struct edit *edit, size_t at)
{
    if (at < edit->line.len)
        at++;
    while (at < edit->line.len && continues_character(edit->line.text[at]))
        at++;
    return at;
}

static size_t columns_between(const char *text, size_t from, size_t to)
{
    size_t columns = 0;

    for (; from < to; from++)
        columns += !continues_character(text[from]);
    return columns;
}

/* Changes */

static void insert(struct edit *edit, const char *text, size_t len)
{
    str_insert(&edit->line, edit->at, text, len);
    edit->at += len;
}

static void erase(struct edit *edit, size_t from, size_t to)
{
    str_erase(&edit->line, from, to - from);
    edit->at = from;
}

static void erase_word(struct edit *edit)
{
    size_t from = edit->at;

    while (from && edit->line.text[from - 1] == ' ')
        from--;
    while (from && edit->line.text[from - 1] != ' ')
        from--;
    erase(edit, from, edit->at);
}

static void set_line(struct edit *edit, const char *text)
{
    str_clear(&edit->line);
    str_puts(&edit->line, text);
    edit->at = edit->line.len;
}

static void show_history(struct edit *edit, size_t index)
{
    const struct list *lines = &edit->sh->history.lines;

    if (edit->shown == lines->len) {
        str_clear(&edit->newest);
        str_put(&edit->newest, str_text(&edit->line), edit->line.len);
    }
    edit->shown = index;
    set_line(edit, index == lines->len ? str_text(&edit->newest) : lines->item[index]);
}

static void older(struct edit *edit)
{
    if (edit->shown > 0)
        show_history(edit, edit->shown - 1);
}

static void newer(struct edit *edit)
{
    if (edit->shown < edit->sh->history.lines.len)
        show_history(edit, edit->shown + 1);
}

static void complete(struct edit *edit)
{
    struct str addition = {0};

    complete_word(edit->sh, str_text(&edit->line), edit->at, &addition, &edit->offers);
    insert(edit, str_text(&addition), addition.len);
    str_free(&addition);
}

/* Keys */

static void move_key(struct edit *edit, char key)
{
    switch (key) {
    case 'A':
        older(edit);
        break;
    case 'B':
        newer(edit);
        break;
    case 'C':
        edit->at = after(edit, edit->at);
        break;
    case 'D':
        edit->at = before(edit, edit->at);
        break;
    case 'H':
        edit->at = 0;
        break;
    case 'F':
        edit->at = edit->line.len;
        break;
    }
}

/* ESC [ number ~ */
static void numbered_key(struct edit *edit, int number)
{
    if (number == 1 || number == 7)
        move_key(edit, 'H');
    else if (number == 4 || number == 8)
        move_key(edit, 'F');
    else if (number == 3)
        erase(edit, edit->at, after(edit, edit->at));
}

/* A sequence ends with a byte from @ to ~; numbers and ; before it are parameters. */
static void escape_key(struct edit *edit, unsigned char key)
{
    if (edit->escape == ESCAPE_BEGUN) {
        edit->number = 0;
        edit->escape = key == '[' ? ESCAPE_CSI : key == 'O' ? ESCAPE_SS3 : ESCAPE_NONE;
        return;
    }
    if (key >= '0' && key <= '9' && edit->number < 100) {
        edit->number = edit->number * 10 + key - '0';
        return;
    }
    if (key < '@')
        return;
    edit->escape = ESCAPE_NONE;
    if (key == '~')
        numbered_key(edit, edit->number);
    else
        move_key(edit, (char)key);
}

static enum edit_result end_or_delete(struct edit *edit)
{
    if (!edit->line.len)
        return EDIT_END;
    erase(edit, edit->at, after(edit, edit->at));
    return EDIT_MORE;
}

static void control_key(struct edit *edit, unsigned char key)
{
    switch (key) {
    case CONTROL('A'):
        move_key(edit, 'H');
        break;
    case CONTROL('E'):
        move_key(edit, 'F');
        break;
    case CONTROL('B'):
        move_key(edit, 'D');
        break;
    case CONTROL('F'):
        move_key(edit, 'C');
        break;
    case CONTROL('P'):
        older(edit);
        break;
    case CONTROL('N'):
        newer(edit);
        break;
    case CONTROL('H'):
    case KEY_DELETE:
        erase(edit, before(edit, edit->at), edit->at);
        break;
    case CONTROL('K'):
        erase(edit, edit->at, edit->line.len);
        break;
    case CONTROL('U'):
        erase(edit, 0, edit->at);
        break;
    case CONTROL('W'):
        erase_word(edit);
        break;
    case CONTROL('L'):
        edit->clear_screen = true;
        break;
    case '\t':
        complete(edit);
        break;
    case KEY_ESCAPE:
        edit->escape = ESCAPE_BEGUN;
        break;
    }
}

enum edit_result edit_key(struct edit *edit, unsigned char key)
{
    char typed = (char)key;

    if (key == CONTROL('C'))
        return EDIT_CANCELLED;
    if (key == '\r' || key == '\n')
        return EDIT_LINE;
    if (edit->escape)
        escape_key(edit, key);
    else if (key == CONTROL('D'))
        return end_or_delete(edit);
    else if (key < ' ' || key == KEY_DELETE)
        control_key(edit, key);
    else
        insert(edit, &typed, 1);
    return EDIT_MORE;
}

/* The screen */

static void put(struct str *out, const char *text)
{
    str_puts(out, text);
}

static void send(struct str *out)
{
    size_t sent = 0;

    while (sent < out->len) {
        ssize_t put_bytes = write(STDOUT_FILENO, out->text + sent, out->len - sent);

        if (put_bytes < 0 && errno != EINTR)
            break;
        if (put_bytes > 0)
            sent += (size_t)put_bytes;
    }
    str_clear(out);
}

static size_t screen_columns(const struct shell *sh)
{
    const char *set = vars_get(&sh->vars, "COLUMNS");
    long columns = set ? strtol(set, NULL, 10) : 0;

    return columns >= COLUMNS_LEAST && columns < 10000 ? (size_t)columns : COLUMNS_DEFAULT;
}

/* A line that does not fit is shown in part, from *from to *to, such that the cursor is in it. */
static void visible_part(const struct edit *edit, size_t room, size_t *from, size_t *to)
{
    *from = 0;
    while (columns_between(str_text(&edit->line), *from, edit->at) > room)
        *from = after(edit, *from);
    *to = *from;
    for (size_t columns = 0; *to < edit->line.len && columns < room; columns++)
        *to = after(edit, *to);
}

static void draw(const struct edit *edit, const char *prompt, struct str *out)
{
    size_t columns = screen_columns(edit->sh), used = columns_between(prompt, 0, strlen(prompt)) + 1;
    size_t room = columns > used + 8 ? columns - used : 8, from, to, back;
    char move[24];

    visible_part(edit, room, &from, &to);
    put(out, "\r");
    put(out, prompt);
    str_put(out, str_text(&edit->line) + from, to - from);
    put(out, "\x1b[K");
    back = columns_between(str_text(&edit->line), edit->at, to);
    if (back) {
        snprintf(move, sizeof(move), "\x1b[%zuD", back);
        put(out, move);
    }
}

static void draw_offers(struct edit *edit, struct str *out)
{
    if (!edit->offers.len)
        return;
    put(out, "\n");
    for (size_t i = 0; i < edit->offers.len; i++) {
        put(out, edit->offers.item[i]);
        put(out, i + 1 < edit->offers.len ? "  " : "\n");
    }
    list_free(&edit->offers);
}

/* After a key: as little as possible, so that plain typing is only echoed. */
static void redraw(struct edit *edit, const char *prompt, size_t old_len, size_t old_at, struct str *out)
{
    bool appended = edit->line.len == old_len + 1 && old_at == old_len && edit->at == edit->line.len;
    bool fits = strlen(prompt) + edit->line.len + 1 < screen_columns(edit->sh);

    if (edit->clear_screen)
        put(out, "\x1b[H\x1b[2J");
    edit->clear_screen = false;
    if (appended && fits && !edit->offers.len && (unsigned char)edit->line.text[old_at] < 0x80) {
        str_putc(out, edit->line.text[old_at]);
        return;
    }
    draw_offers(edit, out);
    if (!edit->escape && !ends_inside_character(&edit->line))
        draw(edit, prompt, out);
}

static enum edit_result edit_loop(struct edit *edit, const char *prompt, struct str *out)
{
    enum edit_result result = EDIT_MORE;
    unsigned char key;

    put(out, prompt); /* behind what the last program may have left on the line */
    while (result == EDIT_MORE) {
        size_t old_len = edit->line.len, old_at = edit->at;
        ssize_t got;

        send(out);
        got = read(STDIN_FILENO, &key, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return EDIT_END;
        result = edit_key(edit, key);
        if (result == EDIT_MORE)
            redraw(edit, prompt, old_len, old_at, out);
    }
    return result;
}

enum edit_result edit_line(struct shell *sh, const char *prompt, struct str *line)
{
    struct edit edit;
    struct str out = {0};
    enum edit_result result;

    edit_init(&edit, sh);
    result = edit_loop(&edit, prompt, &out);
    if (result == EDIT_LINE) {
        str_putc(&edit.line, '\n');
        str_put(line, edit.line.text, edit.line.len);
    }
    put(&out, result == EDIT_CANCELLED ? "^C\n" : result == EDIT_LINE ? "\n" : "");
    send(&out);
    str_free(&out);
    edit_free(&edit);
    return result;
}
