#include "vars.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "parse.h"

/* Where the variable is, or where it would go. */
static struct var **find(struct vars *vars, const char *name)
{
    struct var **at = &vars->first;

    while (*at && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    return at;
}

static struct var *find_or_add(struct vars *vars, const char *name)
{
    struct var **at = find(vars, name), *var = *at;

    if (var && strcmp(var->name, name) == 0)
        return var;
    var = xmalloc(sizeof(*var));
    *var = (struct var){.next = *at, .name = xstrdup(name)};
    *at = var;
    return var;
}

void vars_import(struct vars *vars, char *const *environment)
{
    for (; environment && *environment; environment++) {
        size_t len = strcspn(*environment, "=");
        char *name;

        if (!(*environment)[len] || !name_valid(*environment, len))
            continue;
        name = xstrndup(*environment, len);
        vars_set(vars, name, *environment + len + 1);
        vars_export(vars, name);
        free(name);
    }
}

const char *vars_get(const struct vars *vars, const char *name)
{
    for (const struct var *var = vars->first; var; var = var->next)
        if (strcmp(var->name, name) == 0)
            return var->value;
    return NULL;
}

void vars_set(struct vars *vars, const char *name, const char *value)
{
    struct var *var = find_or_add(vars, name);
    char *copy = xstrdup(value);

    free(var->value);
    var->value = copy;
}

static void var_free(struct var *var)
{
    free(var->name);
    free(var->value);
    free(var);
}

void vars_unset(struct vars *vars, const char *name)
{
    struct var **at = find(vars, name), *var = *at;

    if (!var || strcmp(var->name, name) != 0)
        return;
    *at = var->next;
    var_free(var);
}

void vars_export(struct vars *vars, const char *name)
{
    find_or_add(vars, name)->exported = true;
}

static bool is_overridden(const struct list *over, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < over->len; i++)
        if (strncmp(over->item[i], name, len) == 0 && over->item[i][len] == '=')
            return true;
    return false;
}

void vars_environment(const struct vars *vars, const struct list *over, struct list *out)
{
    for (const struct var *var = vars->first; var; var = var->next) {
        struct str text = {0};

        if (!var->exported || !var->value || is_overridden(over, var->name))
            continue;
        str_puts(&text, var->name);
        str_putc(&text, '=');
        str_puts(&text, var->value);
        list_push(out, str_take(&text));
    }
    for (size_t i = 0; i < over->len; i++)
        list_push(out, xstrdup(over->item[i]));
}

void vars_free(struct vars *vars)
{
    while (vars->first) {
        struct var *next = vars->first->next;

        var_free(vars->first);
        vars->first = next;
    }
}
