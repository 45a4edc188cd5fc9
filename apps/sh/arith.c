#include "arith.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

enum { ARITH_DEPTH_MAX = 100 };

struct arith {
    struct vars *vars;
    const char *at;
    const char *error;
    int depth;
    int skipping; /* > 0: the value is not wanted, as in 0 && x; no assignment, no division error */
};

static long long eval_binary(struct arith *arith, int least);
static long long eval_assign(struct arith *arith);

/* Operators by strength; the longer before the shorter that it begins with. */
static const struct {
    const char *text;
    int strength;
} operators[] = {
    {"||", 1}, {"&&", 2}, {"==", 6}, {"!=", 6}, {"<=", 7}, {">=", 7}, {"<<", 8}, {">>", 8}, {"|", 3},
    {"^", 4},  {"&", 5},  {"<", 7},  {">", 7},  {"+", 9},  {"-", 9},  {"*", 10}, {"/", 10}, {"%", 10},
};

static void fail(struct arith *arith, const char *error)
{
    if (!arith->error)
        arith->error = error;
    arith->at += strlen(arith->at);
}

static void skip_blanks(struct arith *arith)
{
    while (isspace((unsigned char)*arith->at))
        arith->at++;
}

static bool accept(struct arith *arith, char c)
{
    skip_blanks(arith);
    if (*arith->at != c)
        return false;
    arith->at++;
    return true;
}

static long long number(struct arith *arith)
{
    char *end;
    unsigned long long value = strtoull(arith->at, &end, 0);

    arith->at = end;
    if (isalnum((unsigned char)*end) || *end == '_')
        fail(arith, "not a number");
    return (long long)value;
}

static long long variable_value(struct arith *arith, const char *name)
{
    const char *text = vars_get(arith->vars, name);
    long long value;
    char *end;

    if (!text || !*text)
        return 0;
    value = strtoll(text, &end, 0);
    if (*end)
        fail(arith, "a variable's value is not a number");
    return value;
}

static char *take_name(struct arith *arith)
{
    const char *start = arith->at;

    while (isalnum((unsigned char)*arith->at) || *arith->at == '_')
        arith->at++;
    return xstrndup(start, (size_t)(arith->at - start));
}

static long long eval_primary(struct arith *arith)
{
    long long value = 0;
    char *name;

    skip_blanks(arith);
    if (accept(arith, '(')) {
        value = eval_assign(arith);
        if (!accept(arith, ')'))
            fail(arith, "missing )");
    } else if (isdigit((unsigned char)*arith->at)) {
        value = number(arith);
    } else if (isalpha((unsigned char)*arith->at) || *arith->at == '_') {
        name = take_name(arith);
        value = variable_value(arith, name);
        free(name);
    } else {
        fail(arith, *arith->at ? "a number or name is missing" : "unexpected end of expression");
    }
    return value;
}

static long long eval_unary(struct arith *arith)
{
    long long value;

    if (++arith->depth > ARITH_DEPTH_MAX) {
        fail(arith, "expression nested too deeply");
        value = 0;
    } else if (accept(arith, '-')) {
        value = (long long)(0 - (unsigned long long)eval_unary(arith));
    } else if (accept(arith, '+')) {
        value = eval_unary(arith);
    } else if (accept(arith, '!')) {
        value = !eval_unary(arith);
    } else if (accept(arith, '~')) {
        value = ~eval_unary(arith);
    } else {
        value = eval_primary(arith);
    }
    arith->depth--;
    return value;
}

static long long divide(struct arith *arith, char op, long long a, long long b)
{
    if (arith->skipping)
        return 0;
    if (b == 0) {
        fail(arith, "division by zero");
        return 0;
    }
    if (b == -1)
        return op == '/' ? (long long)(0 - (unsigned long long)a) : 0;
    return op == '/' ? a / b : a % b;
}

static long long apply_order(const char *op, long long a, long long b)
{
    switch (op[0]) {
    case '=':
        return a == b;
    case '!':
        return a != b;
    case '<':
        return op[1] == '=' ? a <= b : a < b;
    default:
        return op[1] == '=' ? a >= b : a > b;
    }
}

static long long apply(struct arith *arith, const char *op, long long a, long long b)
{
    unsigned long long x = (unsigned long long)a, y = (unsigned long long)b;

    if (strcmp(op, "<<") == 0)
        return (long long)(x << (y & 63));
    if (strcmp(op, ">>") == 0)
        return a >> (y & 63);
    switch (op[0]) {
    case '+':
        return (long long)(x + y);
    case '-':
        return (long long)(x - y);
    case '*':
        return (long long)(x * y);
    case '/':
    case '%':
        return divide(arith, op[0], a, b);
    case '|':
        return op[1] ? a || b : a | b;
    case '&':
        return op[1] ? a && b : a & b;
    case '^':
        return a ^ b;
    default:
        return apply_order(op, a, b);
    }
}

static const char *peek_operator(struct arith *arith, int *strength)
{
    skip_blanks(arith);
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
        if (strncmp(arith->at, operators[i].text, strlen(operators[i].text)) == 0) {
            *strength = operators[i].strength;
            return operators[i].text;
        }
    return NULL;
}

static long long eval_binary(struct arith *arith, int least)
{
    long long left = eval_unary(arith);
    const char *op;
    int strength;

    while ((op = peek_operator(arith, &strength)) && strength >= least) {
        bool skip = (strcmp(op, "&&") == 0 && !left) || (strcmp(op, "||") == 0 && left);
        long long right;

        arith->at += strlen(op);
        arith->skipping += skip;
        right = eval_binary(arith, strength + 1);
        arith->skipping -= skip;
        left = apply(arith, op, left, right);
    }
    return left;
}

static long long eval_choice(struct arith *arith)
{
    long long condition = eval_binary(arith, 1), yes, no;

    if (!accept(arith, '?'))
        return condition;
    arith->skipping += !condition;
    yes = eval_assign(arith);
    arith->skipping -= !condition;
    if (!accept(arith, ':'))
        fail(arith, "missing :");
    arith->skipping += !!condition;
    no = eval_assign(arith);
    arith->skipping -= !!condition;
    return condition ? yes : no;
}

/* At name OP= : the operator, with *after behind the =; NULL when it is no assignment. */
static const char *assignment_operator(const char *p, const char **after)
{
    static const char *const ops[] = {"", "+", "-", "*", "/", "%", "<<", ">>", "&", "|", "^"};

    while (isspace((unsigned char)*p))
        p++;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        size_t len = strlen(ops[i]);

        if (strncmp(p, ops[i], len) == 0 && p[len] == '=' && p[len + 1] != '=') {
            *after = p + len + 1;
            return ops[i];
        }
    }
    return NULL;
}

static void store(struct arith *arith, const char *name, long long value)
{
    struct str text = {0};
    unsigned long long rest = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;

    if (arith->skipping || arith->error)
        return;
    do {
        char digit = (char)('0' + rest % 10);

        str_insert(&text, 0, &digit, 1);
        rest /= 10;
    } while (rest);
    if (value < 0)
        str_insert(&text, 0, "-", 1);
    vars_set(arith->vars, name, str_text(&text));
    str_free(&text);
}

static long long eval_stored(struct arith *arith, const char *name, const char *op)
{
    long long value = eval_assign(arith);

    if (*op)
        value = apply(arith, op, variable_value(arith, name), value);
    store(arith, name, value);
    return value;
}

static long long eval_assign(struct arith *arith)
{
    const char *start, *op, *after;
    long long value;
    char *name;

    if (++arith->depth > ARITH_DEPTH_MAX)
        fail(arith, "expression nested too deeply");
    skip_blanks(arith);
    start = arith->at;
    if (isalpha((unsigned char)*start) || *start == '_') {
        name = take_name(arith);
        op = assignment_operator(arith->at, &after);
        arith->at = op ? after : start;
        value = op ? eval_stored(arith, name, op) : eval_choice(arith);
        free(name);
    } else {
        value = eval_choice(arith);
    }
    arith->depth--;
    return value;
}

bool arith_eval(struct vars *vars, const char *text, long long *value, const char **error)
{
    struct arith arith = {.vars = vars, .at = text};

    skip_blanks(&arith);
    *value = *arith.at ? eval_assign(&arith) : 0;
    skip_blanks(&arith);
    if (*arith.at)
        fail(&arith, "unexpected text after the expression");
    *error = arith.error;
    return !arith.error;
}
