/*
 * Text that grows, and lists of texts. A zeroed struct is empty and valid.
 */
#ifndef SH_STR_H
#define SH_STR_H

#include <stdbool.h>
#include <stddef.h>

/* A piece of text that somebody else owns; not terminated. */
struct span {
    const char *text;
    size_t len;
};

struct str {
    char *text; /* terminated when not NULL */
    size_t len;
    size_t size;
};

void str_putc(struct str *str, char c);
void str_put(struct str *str, const char *text, size_t len);
void str_puts(struct str *str, const char *text);
/* Appends text in single quotes, so that a shell reads exactly text back. */
void str_put_quoted(struct str *str, const char *text);
void str_insert(struct str *str, size_t at, const char *text, size_t len);
void str_erase(struct str *str, size_t at, size_t len);
void str_clear(struct str *str);
/* The text, terminated; valid until the next change. */
const char *str_text(const struct str *str);
/* Hands the text over to the caller, who frees it; str is empty afterwards. */
char *str_take(struct str *str);
void str_free(struct str *str);

/* A list owns its texts; item[len] is NULL, so that it serves as argv. */
struct list {
    char **item;
    size_t len;
    size_t size;
};

void list_push(struct list *list, char *owned);
void list_sort(struct list *list, size_t from);
/* Moves everything in from to the end of list. */
void list_move(struct list *list, struct list *from);
void list_free(struct list *list);

#endif
