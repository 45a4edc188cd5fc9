#include "expand.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arith.h"
#include "pattern.h"
#include "scan.h"
#include "subshell.h"

/*
 * The field under construction is kept as a pattern: a character that was quoted and would mean
 * something in a pattern carries a backslash. So quoting survives until globbing has been done.
 */
struct expander {
    struct shell *sh;
    struct list *out;
    struct str field;
    bool splitting; /* into fields; else everything becomes one text */
    bool begun;     /* the field exists, even if it is empty */
    bool wildcard;  /* the field holds an unquoted * ? [ */
    bool failed;
    int in_braces; /* > 0: in the word of ${x:-word}, whose blanks split as a value's do */
};

static void expand_span(struct expander *ex, const char *p, const char *end, bool quoted);

static void fail(struct expander *ex)
{
    ex->failed = true;
}

/* Fields */

static void emit(struct expander *ex, char c, bool quoted)
{
    if (quoted && strchr("\\*?[]-!^", c))
        str_putc(&ex->field, '\\');
    else if (strchr("*?[", c))
        ex->wildcard = true;
    str_putc(&ex->field, c);
    ex->begun = true;
}

static void emit_text(struct expander *ex, const char *text, bool quoted)
{
    for (; *text; text++)
        emit(ex, *text, quoted || *text == '\\');
}

static void end_field(struct expander *ex)
{
    if (ex->begun && (!ex->wildcard || !pattern_paths(str_text(&ex->field), ex->out)))
        list_push(ex->out, pattern_unescape(str_text(&ex->field), ex->field.len));
    str_clear(&ex->field);
    ex->begun = false;
    ex->wildcard = false;
}

static const char *separators(const struct shell *sh)
{
    const char *ifs = vars_get(&sh->vars, "IFS");

    return ifs ? ifs : " \t\n";
}

/* A value put in without quotes: characters of $IFS end the field; blanks among them fold. */
static void emit_split(struct expander *ex, const char *text)
{
    const char *ifs = separators(ex->sh);

    for (; *text; text++) {
        if (!strchr(ifs, *text)) {
            emit(ex, *text, *text == '\\');
        } else {
            if (!isspace((unsigned char)*text))
                ex->begun = true;
            end_field(ex);
        }
    }
}

static void emit_value(struct expander *ex, const char *text, bool quoted)
{
    if (!quoted && ex->splitting)
        emit_split(ex, text);
    else
        emit_text(ex, text, quoted);
}

/* Parameters */

static void emit_params_joined(struct expander *ex, bool quoted)
{
    const struct list *params = &ex->sh->params;
    const char *ifs = separators(ex->sh);
    char between[2] = {*ifs, '\0'};

    for (size_t i = 0; i < params->len; i++) {
        if (i)
            emit_text(ex, between, true);
        emit_value(ex, params->item[i], quoted);
    }
}

/* "$@": a field each, the first and last joined to what stands beside them. */
static void emit_params(struct expander *ex, bool quoted)
{
    const struct list *params = &ex->sh->params;

    for (size_t i = 0; i < params->len; i++) {
        if (i)
            end_field(ex);
        if (quoted)
            ex->begun = true;
        emit_value(ex, params->item[i], quoted);
    }
}

static void emit_all_params(struct expander *ex, char which, bool quoted)
{
    if (!ex->splitting || (which == '*' && quoted))
        emit_params_joined(ex, quoted);
    else
        emit_params(ex, quoted);
}

static char *number_text(long long number)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%lld", number);
    return xstrdup(digits);
}

static char *flags_text(const struct shell *sh)
{
    char flags[5];

    snprintf(flags, sizeof(flags), "%s%s%s%s", sh->opt_errexit ? "e" : "", sh->interactive ? "i" : "",
             sh->opt_nounset ? "u" : "", sh->opt_xtrace ? "x" : "");
    return xstrdup(flags);
}

static char *joined_params(const struct shell *sh)
{
    const char *ifs = separators(sh);
    struct str text = {0};

    for (size_t i = 0; i < sh->params.len; i++) {
        if (i && *ifs)
            str_putc(&text, *ifs);
        str_puts(&text, sh->params.item[i]);
    }
    return sh->params.len ? str_take(&text) : NULL;
}

static char *numbered_param(const struct shell *sh, const char *digits)
{
    unsigned long index;

    errno = 0;
    index = strtoul(digits, NULL, 10);
    if (index == 0)
        return xstrdup(sh->name);
    if (errno || index > sh->params.len)
        return NULL;
    return xstrdup(sh->params.item[index - 1]);
}

/* The value as a new text, or NULL when it is not set. */
static char *param_value(struct shell *sh, const char *name)
{
    const char *value;

    switch (name[0]) {
    case '?':
        return number_text(sh->status);
    case '$':
        return number_text(getpid());
    case '!':
        return sh->last_background_pid ? number_text(sh->last_background_pid) : NULL;
    case '#':
        return number_text((long long)sh->params.len);
    case '-':
        return flags_text(sh);
    case '@':
    case '*':
        return joined_params(sh);
    default:
        if (isdigit((unsigned char)name[0]))
            return numbered_param(sh, name);
        value = vars_get(&sh->vars, name);
        return value ? xstrdup(value) : NULL;
    }
}

static bool is_special(char c)
{
    return c && (strchr("?$!#-@*", c) || isdigit((unsigned char)c));
}

/* The length of the parameter name at p; without braces a number is one digit. */
static size_t param_name_len(const char *p, const char *end, bool braced)
{
    const char *q = p;

    if (p == end)
        return 0;
    if (isdigit((unsigned char)*p)) {
        do
            q++;
        while (braced && q < end && isdigit((unsigned char)*q));
    } else if (is_special(*p)) {
        q++;
    } else {
        while (q < end && name_valid(p, (size_t)(q - p) + 1))
            q++;
    }
    return (size_t)(q - p);
}

static void emit_param(struct expander *ex, const char *name, bool quoted)
{
    char *value;

    if (name[0] == '@' || name[0] == '*') {
        emit_all_params(ex, name[0], quoted);
        return;
    }
    value = param_value(ex->sh, name);
    if (value) {
        emit_value(ex, value, quoted);
        free(value);
    } else if (ex->sh->opt_nounset) {
        shell_error(ex->sh, "%s: parameter not set", name);
        fail(ex);
    }
}

/* ${name OP word} */

struct braced {
    struct expander *ex;
    char *name;
    char *value; /* NULL: not set, or empty and the operator has a colon */
    const char *word;
    const char *end;
    bool quoted;
};

/* The word as one text, or as a pattern. NULL: failed. */
static char *braced_word(struct braced *b, bool pattern)
{
    struct expander sub = {.sh = b->ex->sh};
    char *text = NULL;

    expand_span(&sub, b->word, b->end, false);
    if (sub.failed)
        fail(b->ex);
    else if (pattern)
        return str_take(&sub.field);
    else
        text = pattern_unescape(str_text(&sub.field), sub.field.len);
    str_free(&sub.field);
    return text;
}

/* The word as it stands there, in the place of the parameter. */
static void braced_substitute(struct braced *b)
{
    b->ex->in_braces++;
    expand_span(b->ex, b->word, b->end, b->quoted);
    b->ex->in_braces--;
}

static void braced_assign(struct braced *b)
{
    char *text;

    if (!name_valid(b->name, strlen(b->name))) {
        shell_error(b->ex->sh, "%s: cannot assign in this way", b->name);
        fail(b->ex);
        return;
    }
    text = braced_word(b, false);
    if (!text)
        return;
    vars_set(&b->ex->sh->vars, b->name, text);
    emit_value(b->ex, text, b->quoted);
    free(text);
}

static void braced_complain(struct braced *b)
{
    char *text = braced_word(b, false);

    if (text)
        shell_error(b->ex->sh, "%s: %s", b->name, *text ? text : "parameter not set");
    free(text);
    fail(b->ex);
    if (!b->ex->sh->interactive)
        b->ex->sh->leaving = true;
}

/* Takes the shortest (or longest) piece that fits off the front of value: how many characters. */
static size_t prefix_len(const char *pattern, char *value, bool longest)
{
    size_t len = strlen(value), found = 0;

    for (size_t i = 0; i <= len; i++) {
        size_t cut = longest ? len - i : i;
        char kept = value[cut];
        bool fits;

        value[cut] = '\0';
        fits = pattern_match(pattern, value);
        value[cut] = kept;
        if (fits) {
            found = cut;
            break;
        }
    }
    return found;
}

static size_t suffix_start(const char *pattern, const char *value, bool longest)
{
    size_t len = strlen(value);

    for (size_t i = 0; i <= len; i++) {
        size_t start = longest ? i : len - i;

        if (pattern_match(pattern, value + start))
            return start;
    }
    return len;
}

static void braced_trim(struct braced *b, char op)
{
    bool longest = b->word < b->end && *b->word == op;
    char *pattern;

    if (longest)
        b->word++;
    if (!b->value)
        return;
    pattern = braced_word(b, true);
    if (!pattern)
        return;
    if (op == '#') {
        emit_value(b->ex, b->value + prefix_len(pattern, b->value, longest), b->quoted);
    } else {
        b->value[suffix_start(pattern, b->value, longest)] = '\0';
        emit_value(b->ex, b->value, b->quoted);
    }
    free(pattern);
}

static void emit_or_params(struct braced *b)
{
    if (b->name[0] == '@' || b->name[0] == '*')
        emit_all_params(b->ex, b->name[0], b->quoted);
    else
        emit_value(b->ex, b->value, b->quoted);
}

/* False: there is no such operator. */
static bool braced_apply(struct braced *b, char op)
{
    switch (op) {
    case '-':
        if (b->value)
            emit_or_params(b);
        else
            braced_substitute(b);
        return true;
    case '+':
        if (b->value)
            braced_substitute(b);
        return true;
    case '=':
        if (b->value)
            emit_or_params(b);
        else
            braced_assign(b);
        return true;
    case '?':
        if (b->value)
            emit_or_params(b);
        else
            braced_complain(b);
        return true;
    case '#':
    case '%':
        braced_trim(b, op);
        return true;
    default:
        return false;
    }
}

static bool braced_operate(struct braced *b)
{
    bool colon = *b->word == ':';
    char op;

    b->word += colon;
    if (b->word == b->end)
        return false;
    op = *b->word++;
    if (colon && (op == '#' || op == '%'))
        return false;
    if (colon && b->value && !*b->value) {
        free(b->value);
        b->value = NULL;
    }
    return braced_apply(b, op);
}

static void emit_length(struct expander *ex, const char *name)
{
    char *value = param_value(ex->sh, name), *digits;
    size_t len = name[0] == '@' || name[0] == '*' ? ex->sh->params.len : value ? strlen(value) : 0;

    digits = number_text((long long)len);
    emit_value(ex, digits, false);
    free(digits);
    free(value);
}

static void bad_substitution(struct expander *ex, const char *p, const char *end)
{
    shell_error(ex->sh, "${%.*s}: bad substitution", (int)(end - p), p);
    fail(ex);
}

/* What stands between ${ and }. */
static void expand_braced(struct expander *ex, const char *p, const char *end, bool quoted)
{
    bool length = end - p > 1 && *p == '#' && param_name_len(p + 1, end, true) == (size_t)(end - p - 1);
    size_t len = param_name_len(p + length, end, true);
    struct braced b = {.ex = ex, .word = p + length + len, .end = end, .quoted = quoted};

    if (!len) {
        bad_substitution(ex, p, end);
        return;
    }
    b.name = xstrndup(p + length, len);
    if (length) {
        emit_length(ex, b.name);
    } else if (b.word == end) {
        emit_param(ex, b.name, quoted);
    } else {
        b.value = param_value(ex->sh, b.name);
        if (!braced_operate(&b))
            bad_substitution(ex, p, end);
    }
    free(b.value);
    free(b.name);
}

/* Commands and arithmetic */

static void emit_command(struct expander *ex, struct span source, bool quoted)
{
    struct str output = {0};

    if (!subshell_capture(ex->sh, source, &output) || shell_interrupted)
        fail(ex);
    else
        emit_value(ex, str_text(&output), quoted);
    str_free(&output);
}

/* Inside `...` a backslash only guards \ ` $ (and " between double quotes). */
static void expand_backquote(struct expander *ex, const char *p, const char *end, bool quoted)
{
    struct str source = {0};

    for (; p < end; p++) {
        if (*p == '\\' && p + 1 < end && (strchr("\\`$", p[1]) || (quoted && p[1] == '"')))
            p++;
        str_putc(&source, *p);
    }
    emit_command(ex, (struct span){str_text(&source), source.len}, quoted);
    str_free(&source);
}

static void expand_arithmetic(struct expander *ex, const char *p, const char *end, bool quoted)
{
    struct expander sub = {.sh = ex->sh};
    const char *error;
    char *text, *digits;
    long long value;

    expand_span(&sub, p, end, true);
    text = pattern_unescape(str_text(&sub.field), sub.field.len);
    if (sub.failed) {
        fail(ex);
    } else if (!arith_eval(&ex->sh->vars, text, &value, &error)) {
        shell_error(ex->sh, "$((%s)): %s", text, error);
        fail(ex);
    } else {
        digits = number_text(value);
        emit_value(ex, digits, quoted);
        free(digits);
    }
    free(text);
    str_free(&sub.field);
}

/* Words */

static const char *expand_dollar(struct expander *ex, const char *p, const char *after, const char *end,
                                 bool quoted)
{
    size_t len;

    if (scan_is_arithmetic(p, after)) {
        expand_arithmetic(ex, p + 3, after - 2, quoted);
    } else if (after - p > 2 && p[1] == '(') {
        emit_command(ex, (struct span){p + 2, (size_t)(after - p - 3)}, quoted);
    } else if (after - p > 2 && p[1] == '{') {
        expand_braced(ex, p + 2, after - 1, quoted);
    } else if ((len = param_name_len(p + 1, end, false))) {
        char *name = xstrndup(p + 1, len);

        emit_param(ex, name, quoted);
        free(name);
        after = p + 1 + len;
    } else {
        emit(ex, '$', quoted);
    }
    return after;
}

static void expand_escape(struct expander *ex, const char *p, const char *after, bool quoted)
{
    if (after - p == 1) {
        emit(ex, '\\', true); /* the last character of all */
    } else if (p[1] == '\n') {
        return;
    } else {
        if (quoted && !strchr("$`\"\\", p[1]))
            emit(ex, '\\', true);
        emit(ex, p[1], true);
    }
}

/* "..." makes a field even when it is empty, except that "$@" without parameters makes none. */
static void expand_double(struct expander *ex, const char *p, const char *end)
{
    bool only_params = end - p == 2 && p[0] == '$' && p[1] == '@';

    if (!only_params)
        ex->begun = true;
    expand_span(ex, p, end, true);
}

static void expand_single(struct expander *ex, const char *p, const char *end)
{
    ex->begun = true;
    for (; p < end; p++)
        emit(ex, *p, true);
}

static const char *expand_unit(struct expander *ex, const char *p, const char *end, bool quoted)
{
    struct scan scan = {.end = end};
    const char *after = quoted ? scan_quoted_unit(&scan, p) : scan_unit(&scan, p);

    if (!after) {
        shell_error(ex->sh, "bad substitution: missing `%s'", scan.missing ? scan.missing : "end");
        fail(ex);
        return end;
    }
    if (*p == '\\')
        expand_escape(ex, p, after, quoted);
    else if (*p == '$')
        after = expand_dollar(ex, p, after, end, quoted);
    else if (*p == '`')
        expand_backquote(ex, p + 1, after - 1, quoted);
    else if (*p == '"')
        expand_double(ex, p + 1, after - 1);
    else if (*p == '\'' && !quoted)
        expand_single(ex, p + 1, after - 1);
    else if (ex->in_braces && !quoted)
        emit_value(ex, (char[]){*p, '\0'}, false);
    else
        emit(ex, *p, quoted);
    return after;
}

static void expand_span(struct expander *ex, const char *p, const char *end, bool quoted)
{
    while (p < end && !ex->failed)
        p = expand_unit(ex, p, end, quoted);
}

/* ~ alone, or before a /, is the home directory. */
static const char *expand_tilde(struct expander *ex, const char *p, const char *end)
{
    const char *home = vars_get(&ex->sh->vars, "HOME");

    if (p == end || *p != '~' || !home || (p + 1 < end && p[1] != '/'))
        return p;
    emit_text(ex, home, true);
    return p + 1;
}

bool expand_words(struct shell *sh, const struct word *words, struct list *out)
{
    struct expander ex = {.sh = sh, .out = out, .splitting = true};

    for (; words && !ex.failed; words = words->next) {
        const char *end = words->raw.text + words->raw.len;

        expand_span(&ex, expand_tilde(&ex, words->raw.text, end), end, false);
        end_field(&ex);
    }
    str_free(&ex.field);
    return !ex.failed;
}

char *expand_text(struct shell *sh, struct span raw)
{
    struct expander ex = {.sh = sh};
    const char *end = raw.text + raw.len;
    char *text = NULL;

    expand_span(&ex, expand_tilde(&ex, raw.text, end), end, false);
    if (!ex.failed)
        text = pattern_unescape(str_text(&ex.field), ex.field.len);
    str_free(&ex.field);
    return text;
}
