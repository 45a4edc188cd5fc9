#include "str.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

static void str_reserve(struct str *str, size_t more)
{
    size_t need = str->len + more + 1;

    if (need <= str->size)
        return;
    str->size = need > 2 * str->size ? need + 16 : 2 * str->size;
    str->text = xrealloc(str->text, str->size);
}

void str_insert(struct str *str, size_t at, const char *text, size_t len)
{
    str_reserve(str, len);
    memmove(str->text + at + len, str->text + at, str->len - at);
    if (len)
        memcpy(str->text + at, text, len);
    str->len += len;
    str->text[str->len] = '\0';
}

void str_put(struct str *str, const char *text, size_t len)
{
    str_insert(str, str->len, text, len);
}

void str_puts(struct str *str, const char *text)
{
    str_put(str, text, strlen(text));
}

void str_putc(struct str *str, char c)
{
    str_put(str, &c, 1);
}

void str_put_quoted(struct str *str, const char *text)
{
    str_putc(str, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            str_puts(str, "'\\''");
        else
            str_putc(str, *text);
    }
    str_putc(str, '\'');
}

void str_erase(struct str *str, size_t at, size_t len)
{
    if (!len)
        return;
    memmove(str->text + at, str->text + at + len, str->len - at - len);
    str->len -= len;
    str->text[str->len] = '\0';
}

void str_clear(struct str *str)
{
    str_erase(str, 0, str->len);
}

const char *str_text(const struct str *str)
{
    return str->text ? str->text : "";
}

char *str_take(struct str *str)
{
    char *text = str->text ? str->text : xstrdup("");

    *str = (struct str){0};
    return text;
}

void str_free(struct str *str)
{
    free(str->text);
    *str = (struct str){0};
}

void list_push(struct list *list, char *owned)
{
    if (list->len + 2 > list->size) {
        list->size = 2 * list->size + 8;
        list->item = xrealloc(list->item, list->size * sizeof(*list->item));
    }
    list->item[list->len++] = owned;
    list->item[list->len] = NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void list_sort(struct list *list, size_t from)
{
    if (list->len > from)
        qsort(list->item + from, list->len - from, sizeof(*list->item), by_text);
}

void list_move(struct list *list, struct list *from)
{
    for (size_t i = 0; i < from->len; i++)
        list_push(list, from->item[i]);
    free(from->item);
    *from = (struct list){0};
}

void list_free(struct list *list)
{
    for (size_t i = 0; i < list->len; i++)
        free(list->item[i]);
    free(list->item);
    *list = (struct list){0};
}
