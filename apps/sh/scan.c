#include "scan.h"

#include <stddef.h>

enum { SCAN_DEPTH_MAX = 64 };

static const char *fail(struct scan *scan, const char *missing)
{
    if (!scan->missing)
        scan->missing = missing;
    return NULL;
}

static const char *scan_escape(struct scan *scan, const char *p)
{
    return p + 1 < scan->end ? p + 2 : p + 1;
}

static const char *scan_single(struct scan *scan, const char *p)
{
    for (p++; p < scan->end; p++)
        if (*p == '\'')
            return p + 1;
    return fail(scan, "'");
}

static const char *scan_backquote(struct scan *scan, const char *p)
{
    for (p++; p < scan->end; p++) {
        if (*p == '`')
            return p + 1;
        if (*p == '\\' && p + 1 < scan->end)
            p++;
    }
    return fail(scan, "`");
}

static const char *scan_double(struct scan *scan, const char *p)
{
    p++;
    while (p && p < scan->end) {
        if (*p == '"')
            return p + 1;
        p = scan_quoted_unit(scan, p);
    }
    return p ? fail(scan, "\"") : NULL;
}

/* From the opening bracket to the closing one, counting brackets of the same kind in between. */
static const char *scan_bracket(struct scan *scan, const char *p, char open, char close, bool quoted)
{
    int level = 0;

    while (p && p < scan->end) {
        if (*p == open) {
            level++;
            p++;
        } else if (*p == close) {
            p++;
            if (--level == 0)
                return p;
        } else {
            p = quoted ? scan_quoted_unit(scan, p) : scan_unit(scan, p);
        }
    }
    return p ? fail(scan, close == ')' ? ")" : "}") : NULL;
}

static const char *scan_dollar(struct scan *scan, const char *p, bool quoted)
{
    const char *after = p + 1;

    if (after == scan->end || (*after != '(' && *after != '{'))
        return after;
    if (*after == '(')
        return scan_bracket(scan, after, '(', ')', false);
    return scan_bracket(scan, after, '{', '}', quoted);
}

static const char *scan_any(struct scan *scan, const char *p, bool quoted)
{
    switch (*p) {
    case '\\':
        return scan_escape(scan, p);
    case '`':
        return scan_backquote(scan, p);
    case '$':
        return scan_dollar(scan, p, quoted);
    case '\'':
        return quoted ? p + 1 : scan_single(scan, p);
    case '"':
        return scan_double(scan, p);
    default:
        return p + 1;
    }
}

static const char *scan_nested(struct scan *scan, const char *p, bool quoted)
{
    const char *after;

    if (scan->depth == SCAN_DEPTH_MAX) {
        scan->too_deep = true;
        return NULL;
    }
    scan->depth++;
    after = scan_any(scan, p, quoted);
    scan->depth--;
    return after;
}

const char *scan_unit(struct scan *scan, const char *p)
{
    return scan_nested(scan, p, false);
}

const char *scan_quoted_unit(struct scan *scan, const char *p)
{
    return scan_nested(scan, p, true);
}

bool scan_is_arithmetic(const char *p, const char *after)
{
    int level = 0;

    if (after - p < 5 || p[1] != '(' || p[2] != '(' || after[-1] != ')' || after[-2] != ')')
        return false;
    /* $((a) + (b)) is an expression too, $((a); (b)) is not: the inner pair must close at the end. */
    for (const char *q = p + 2; q < after - 1; q++) {
        level += (*q == '(') - (*q == ')');
        if (level == 0)
            return q == after - 2;
    }
    return false;
}
