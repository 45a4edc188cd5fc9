/*
 * The shell: scanner, parser, expansion, patterns, arithmetic, editing, and the whole of it.
 *
 * Called with arguments this program is the shell itself, so that what is tested end to end, with its
 * subshells, is the code that is linked in here.
 */
/* sources: apps/sh/arith.c apps/sh/builtins.c apps/sh/complete.c apps/sh/edit.c apps/sh/exec.c apps/sh/expand.c
 * apps/sh/history.c apps/sh/input.c apps/sh/job.c apps/sh/launch.c apps/sh/lex.c apps/sh/mem.c apps/sh/parse.c
 * apps/sh/pattern.c apps/sh/read.c apps/sh/redirect.c apps/sh/scan.c apps/sh/shell.c apps/sh/start.c apps/sh/str.c
 * apps/sh/subshell.c apps/sh/term.c apps/sh/test.c apps/sh/vars.c */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/sh/arith.h"
#include "apps/sh/complete.h"
#include "apps/sh/edit.h"
#include "apps/sh/expand.h"
#include "apps/sh/lex.h"
#include "apps/sh/parse.h"
#include "apps/sh/pattern.h"
#include "apps/sh/scan.h"
#include "apps/sh/shell.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

extern char **environ;
static char self[512];
static char directory[] = "/tmp/corbel-sh-XXXXXX"; /* where every test runs */

/* ---- Running the whole shell ------------------------------------------------------------------------ */

struct result {
    int status;
    struct str output; /* standard output and standard error */
};

static void read_output(int fd, struct str *output)
{
    char bytes[4096];
    ssize_t got;

    while ((got = read(fd, bytes, sizeof(bytes))) > 0)
        str_put(output, bytes, (size_t)got);
    close(fd);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Runs a program; input: a file for its standard input. */
static struct result run_program(const char *program, const char *const *argv, const char *input)
{
    posix_spawn_file_actions_t actions;
    struct result result = {0};
    int fds[2], status;
    pid_t pid;

    ck_assert_int_eq(pipe(fds), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    posix_spawn_file_actions_addclose(&actions, fds[1]);
    ck_assert_int_eq(posix_spawn(&pid, program, &actions, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    read_output(fds[0], &result.output);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    result.status = WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
    return result;
}

static struct result run_shell(const char *const *argv, const char *input)
{
    return run_program(self, argv, input);
}

static struct result run_line(const char *line)
{
    return run_shell(ARGS(self, "-c", line), "/dev/null");
}

static void expect_result(const char *what, struct result result, int status, const char *output)
{
    ck_assert_msg(strcmp(str_text(&result.output), output) == 0, "%s\nprinted: <%s>\nexpected: <%s>", what,
                  str_text(&result.output), output);
    ck_assert_msg(result.status == status, "%s\nstatus %d, expected %d; printed <%s>", what, result.status,
                  status, str_text(&result.output));
    str_free(&result.output);
}

struct line_case {
    const char *line;
    int status;
    const char *output;
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    if (!file)
        abort();
    fputs(text, file);
    fclose(file);
}

/* ---- Parser ------------------------------------------------------------------------------------------- */

static void show(const struct node *node, struct str *out);

static void show_all(const struct node *node, const char *between, struct str *out)
{
    for (; node; node = node->next) {
        if (node->join == JOIN_AND)
            str_puts(out, "&& ");
        if (node->join == JOIN_OR)
            str_puts(out, "|| ");
        show(node, out);
        if (node->next)
            str_puts(out, between);
    }
}

static void show_words(const struct word *word, struct str *out)
{
    for (; word; word = word->next) {
        str_putc(out, '[');
        str_put(out, word->raw.text, word->raw.len);
        str_putc(out, ']');
    }
}

static void show_redirs(const struct redir *redir, struct str *out)
{
    static const char *const names[] = {"<", ">", ">>", "<>", "&"};

    for (; redir; redir = redir->next) {
        str_putc(out, '{');
        str_putc(out, (char)('0' + redir->fd));
        str_puts(out, names[redir->kind]);
        str_put(out, redir->target.text, redir->target.len);
        str_putc(out, '}');
    }
}

static void show_bodies(const struct node *node, struct str *out)
{
    static const char *const names[] = {"list", "andor", "pipe",  "",      "group",
                                        "sub",  "if",    "while", "until", "for"};

    str_puts(out, names[node->kind]);
    str_putc(out, '(');
    if (node->kind == NODE_FOR)
        str_put(out, node->name.text, node->name.len);
    show_words(node->words, out);
    for (int i = 0; i < 3 && node->body[i]; i++) {
        if (i)
            str_puts(out, ", ");
        show_all(node->body[i], " ", out);
    }
    str_putc(out, ')');
}

/* The tree as text: [word] {redirection} kind(members) ! & */
static void show(const struct node *node, struct str *out)
{
    if (node->negated)
        str_putc(out, '!');
    if (node->kind == NODE_COMMAND) {
        show_words(node->assigns, out);
        if (node->assigns)
            str_putc(out, ':');
        show_words(node->words, out);
    } else {
        show_bodies(node, out);
    }
    show_redirs(node->redirs, out);
    if (node->background)
        str_putc(out, '&');
}

static void expect_tree(const char *text, const char *tree)
{
    struct parse_error error = {0};
    struct script script;
    struct str shown = {0};
    enum parse_result result = script_parse(&script, text, strlen(text), 1, &error);

    ck_assert_msg(result == PARSE_OK, "%s: %s", text, error.what);
    if (script.root)
        show(script.root, &shown);
    ck_assert_msg(strcmp(str_text(&shown), tree) == 0, "%s\nis %s\nnot %s", text, str_text(&shown), tree);
    str_free(&shown);
    script_free(&script);
}

START_TEST(parse_trees)
{
    expect_tree("", "");
    expect_tree(" \t\n\n # a comment\n", "");
    expect_tree("echo hi", "[echo][hi]");
    expect_tree("echo 'a b' \"c d\" e\\ f", "[echo]['a b'][\"c d\"][e\\ f]");
    expect_tree("a;b\nc", "list([a] [b] [c])");
    expect_tree("a & b", "list([a]& [b])");
    expect_tree("a && b || c", "andor([a] && [b] || [c])");
    expect_tree("a &&\n\n b", "andor([a] && [b])");
    expect_tree("a | b |\nc", "pipe([a] [b] [c])");
    expect_tree("! a | b", "!pipe([a] [b])");
    expect_tree("! ! a", "[a]");
    expect_tree("a | b && c &", "andor(pipe([a] [b]) && [c])&");
    expect_tree("X=1 Y=2 a Z=3", "[X=1][Y=2]:[a][Z=3]");
    expect_tree("X=1", "[X=1]:");
    expect_tree("=1", "[=1]");
    expect_tree("1X=1", "[1X=1]");
    expect_tree("a >x 2>&1 <y 3>>z 4<>w >|v", "[a]{1>x}{2&1}{0<y}{3>>z}{4<>w}{1>v}");
    expect_tree(">x", "{1>x}");
    expect_tree("a 2 >x", "[a][2]{1>x}");
    expect_tree("a2>x", "[a2]{1>x}");
    expect_tree("{ a; b; } >x", "group(list([a] [b])){1>x}");
    expect_tree("(a;b) | c", "pipe(sub(list([a] [b])) [c])");
    expect_tree("if a; then b; elif c; then d; else e; fi", "if([a], [b], if([c], [d], [e]))");
    expect_tree("while a; do b; done; until c\ndo d\ndone", "list(while([a], [b]) until([c], [d]))");
    expect_tree("for x in a b; do c; done", "for(x[a][b][c])");
    expect_tree("for x\ndo c; done", "for(x[c])");
    expect_tree("for x in; do c; done", "for(x[c])");
    expect_tree("echo if then { }", "[echo][if][then][{][}]");
    expect_tree("a # b\nc", "list([a] [c])");
    expect_tree("a#b", "[a#b]");
    expect_tree("a \\\n b", "[a][b]");
    expect_tree("echo $(a; b | c) `d` ${e:-f g} $((1 + 2))",
                "[echo][$(a; b | c)][`d`][${e:-f g}][$((1 + 2))]");
    expect_tree("echo \"$(echo \")\")\"", "[echo][\"$(echo \")\")\"]");
}
END_TEST

static const struct {
    const char *text;
    enum parse_result result;
    int line;
    const char *what;
} parse_errors[] = {
    {"|", PARSE_ERROR, 1, "syntax error near unexpected token `|'"},
    {"a | | b", PARSE_ERROR, 1, "syntax error near unexpected token `|'"},
    {"a\nb\n&& c", PARSE_ERROR, 3, "syntax error near unexpected token `&&'"},
    {"a ; ; b", PARSE_ERROR, 1, "syntax error near unexpected token `;'"},
    {"a;; b", PARSE_ERROR, 1, "syntax error near unexpected token `;;'"},
    {"& a", PARSE_ERROR, 1, "syntax error near unexpected token `&'"},
    {"a &&", PARSE_INCOMPLETE, 1, "syntax error: unexpected end of input"},
    {"a |", PARSE_INCOMPLETE, 1, "syntax error: unexpected end of input"},
    {"!", PARSE_INCOMPLETE, 1, "syntax error: unexpected end of input"},
    {"a\\\n", PARSE_INCOMPLETE, 2, "unexpected end of input after \\"},
    {"'abc", PARSE_INCOMPLETE, 1, "unexpected end of input while looking for `''"},
    {"x \"abc\n", PARSE_INCOMPLETE, 1, "unexpected end of input while looking for `\"'"},
    {"echo `a", PARSE_INCOMPLETE, 1, "unexpected end of input while looking for ``'"},
    {"echo $(a", PARSE_INCOMPLETE, 1, "unexpected end of input while looking for `)'"},
    {"echo ${a", PARSE_INCOMPLETE, 1, "unexpected end of input while looking for `}'"},
    {"echo \"$(echo 'x)\"", PARSE_INCOMPLETE, 1, "unexpected end of input while looking for `''"},
    {"(a", PARSE_INCOMPLETE, 1, "syntax error: unexpected end of input"},
    {"a)", PARSE_ERROR, 1, "syntax error near unexpected token `)'"},
    {"()", PARSE_ERROR, 1, "syntax error near unexpected token `)'"},
    {"{ }", PARSE_ERROR, 1, "syntax error near unexpected token `}'"},
    {"}", PARSE_ERROR, 1, "syntax error near unexpected token `}'"},
    {"{ a", PARSE_INCOMPLETE, 1, "syntax error: unexpected end of input"},
    {"if a; fi", PARSE_ERROR, 1, "syntax error near unexpected token `fi'"},
    {"if a; then b", PARSE_INCOMPLETE, 1, "syntax error: unexpected end of input"},
    {"if; then b; fi", PARSE_ERROR, 1, "syntax error near unexpected token `;'"},
    {"while a; done", PARSE_ERROR, 1, "syntax error near unexpected token `done'"},
    {"for 1x in a; do b; done", PARSE_ERROR, 1, "syntax error near unexpected token `1x'"},
    {"for x in a do b; done", PARSE_ERROR, 1, "syntax error near unexpected token `done'"},
    {"then", PARSE_ERROR, 1, "syntax error near unexpected token `then'"},
    {"a >", PARSE_INCOMPLETE, 1, "syntax error: unexpected end of input"},
    {"a > | b", PARSE_ERROR, 1, "syntax error near unexpected token `|'"},
    {"a >\nb", PARSE_ERROR, 1, "syntax error near unexpected token `newline'"},
    {"a 10>x", PARSE_ERROR, 1, "redirection of a descriptor above 9"},
    {"a << EOF", PARSE_ERROR, 1, "here-documents (<<) are not supported"},
    {"case x in", PARSE_ERROR, 1, "case is not supported"},
    {"function f", PARSE_ERROR, 1, "function is not supported"},
    {"f() { a; }", PARSE_ERROR, 1, "syntax error near unexpected token `('"},
    {"a b (c)", PARSE_ERROR, 1, "syntax error near unexpected token `('"},
};

START_TEST(parse_says_what_and_where)
{
    struct parse_error error = {0};
    struct script script;
    enum parse_result result =
        script_parse(&script, parse_errors[_i].text, strlen(parse_errors[_i].text), 1, &error);

    script_free(&script);
    ck_assert_msg(result == parse_errors[_i].result, "%s: result %d", parse_errors[_i].text, result);
    ck_assert_str_eq(error.what, parse_errors[_i].what);
    ck_assert_msg(error.line == parse_errors[_i].line, "%s: line %d", parse_errors[_i].text, error.line);
}
END_TEST

static enum parse_result parse_repeated(const char *piece, size_t times, const char *tail)
{
    struct parse_error error;
    struct script script;
    struct str text = {0};
    enum parse_result result;

    for (size_t i = 0; i < times; i++)
        str_puts(&text, piece);
    str_puts(&text, tail);
    result = script_parse(&script, text.text, text.len, 1, &error);
    script_free(&script);
    str_free(&text);
    return result;
}

START_TEST(parse_of_odd_sizes)
{
    ck_assert_int_eq(parse_repeated("x", 10000, ""), PARSE_OK);
    ck_assert_int_eq(parse_repeated("x ", 100000, ""), PARSE_OK);
    ck_assert_int_eq(parse_repeated("x;", 100000, ""), PARSE_OK);
    ck_assert_int_eq(parse_repeated("x|", 100000, "x"), PARSE_OK);
    ck_assert_int_eq(parse_repeated("x&&", 100000, "x"), PARSE_OK);
    ck_assert_int_eq(parse_repeated("! ", 100000, "x"), PARSE_OK);
    ck_assert_int_eq(parse_repeated(">f ", 10000, "x"), PARSE_OK);
    ck_assert_int_eq(parse_repeated("elif a; then b; ", 0, ""), PARSE_OK);
    ck_assert_int_eq(parse_repeated("(", 100000, "x"), PARSE_ERROR);
    ck_assert_int_eq(parse_repeated("{ ", 100000, "x"), PARSE_ERROR);
    ck_assert_int_eq(parse_repeated("if ", 100000, "x"), PARSE_ERROR);
    ck_assert_int_eq(parse_repeated("$(", 100000, "x"), PARSE_ERROR);
    ck_assert_int_eq(parse_repeated("${x:-", 100000, "x"), PARSE_ERROR);
    ck_assert_int_eq(parse_repeated("\"$(", 100000, "x"), PARSE_ERROR);
    ck_assert_int_eq(parse_repeated("\\\n", 10000, "x"), PARSE_OK);
}
END_TEST

/* A long chain of elif is flat. */
START_TEST(parse_of_many_elifs)
{
    struct parse_error error;
    struct script script;
    struct str text = {0};

    str_puts(&text, "if a; then b; ");
    for (int i = 0; i < 50000; i++)
        str_puts(&text, "elif a; then b; ");
    str_puts(&text, "fi");
    ck_assert_int_eq(script_parse(&script, text.text, text.len, 1, &error), PARSE_OK);
    script_free(&script);
    str_free(&text);
}
END_TEST

START_TEST(parse_refuses_zero_bytes)
{
    struct parse_error error;
    struct script script;

    ck_assert_int_eq(script_parse(&script, "a\0b", 3, 1, &error), PARSE_ERROR);
    ck_assert_str_eq(error.what, "zero byte in the input");
    script_free(&script);
    ck_assert_int_eq(script_parse(&script, "\0", 1, 7, &error), PARSE_ERROR);
    ck_assert_int_eq(error.line, 7);
    script_free(&script);
}
END_TEST

/* Whatever bytes come: an answer, no crash. Each text is also cut at every place. */
START_TEST(parse_of_noise)
{
    static const char bytes[] = "ab \t\n'\"`$(){}|&;<>\\#*?[]=!~0123%:-if then else fi do done while for in";
    unsigned long state = 88172645463325252ul + (unsigned long)_i;
    struct parse_error error;
    struct script script;
    char text[64];

    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof(text); i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            text[i] = bytes[state % (sizeof(bytes) - 1)];
        }
        for (size_t len = 0; len <= sizeof(text); len += 1 + state % 9) {
            script_parse(&script, text, len, 1, &error);
            script_free(&script);
        }
    }
}
END_TEST

START_TEST(scan_finds_arithmetic)
{
    const char *sum = "$((1+2))", *both = "$((a)+(b))", *commands = "$((a);(b))", *twice = "$((a)(b))";

    ck_assert(scan_is_arithmetic(sum, sum + strlen(sum)));
    ck_assert(!scan_is_arithmetic(both, both + strlen(both)));
    ck_assert(!scan_is_arithmetic(commands, commands + strlen(commands)));
    ck_assert(!scan_is_arithmetic(twice, twice + strlen(twice)));
}
END_TEST

/* ---- Patterns ----------------------------------------------------------------------------------------- */

static const struct {
    const char *pattern, *text;
    bool fits;
} patterns[] = {
    {"", "", true},           {"", "a", false},         {"a", "", false},
    {"abc", "abc", true},     {"*", "", true},          {"*", "anything", true},
    {"a*c", "abbbc", true},   {"a*c", "abbb", false},   {"*a*b*", "xxaxxb", true},
    {"?", "", false},         {"?", "x", true},         {"??", "x", false},
    {"[abc]", "b", true},     {"[abc]", "d", false},    {"[a-c]x", "bx", true},
    {"[!a-c]", "d", true},    {"[^a-c]", "a", false},   {"[]]", "]", true},
    {"[!]]", "]", false},     {"[a-]", "-", true},      {"[", "[", true},
    {"[a", "[a", true},       {"[!", "[!", true},       {"\\*", "*", true},
    {"\\*", "a", false},      {"[\\]]", "]", true},     {"a\\", "a\\", true},
    {"**", "abc", true},      {"[\\a-\\c]", "b", true}, {"*.c", "main.c", true},
    {"*.c", "main.h", false}, {"[\xc3]", "\xc3", true},
};

START_TEST(pattern_fits)
{
    ck_assert_msg(pattern_match(patterns[_i].pattern, patterns[_i].text) == patterns[_i].fits, "%s on %s",
                  patterns[_i].pattern, patterns[_i].text);
}
END_TEST

/* Many stars must not take time without end. */
START_TEST(pattern_is_quick)
{
    struct str pattern = {0}, text = {0};

    for (int i = 0; i < 60; i++)
        str_puts(&pattern, "a*");
    str_puts(&pattern, "b");
    for (int i = 0; i < 3000; i++)
        str_putc(&text, 'a');
    ck_assert(!pattern_match(pattern.text, text.text));
    str_free(&pattern);
    str_free(&text);
}
END_TEST

/* ---- Arithmetic ----------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    long long value;
    const char *error;
} sums[] = {
    {"", 0, NULL},
    {" 42 ", 42, NULL},
    {"0x1f + 010", 39, NULL},
    {"1+2*3", 7, NULL},
    {"(1+2)*3", 9, NULL},
    {"10-3-2", 5, NULL},
    {"7/2*2", 6, NULL},
    {"-7%3", -1, NULL},
    {"1<<4|1", 17, NULL},
    {"6&3^1", 3, NULL},
    {"!0+!5", 1, NULL},
    {"~0", -1, NULL},
    {"- - 5", 5, NULL},
    {"1<2 && 2<=2 && 3>2 && 3>=3 && 1!=2 && 1==1", 1, NULL},
    {"0||0", 0, NULL},
    {"1?2:3", 2, NULL},
    {"0?2:0?4:5", 5, NULL},
    {"n", 12, NULL},
    {"unset", 0, NULL},
    {"n=3, n", 0, "unexpected text after the expression"},
    {"m=n+1", 13, NULL},
    {"n+=5", 17, NULL},
    {"n<<=1", 24, NULL},
    {"a=b=4", 4, NULL},
    {"0 && (n=99)", 0, NULL},
    {"1/0", 0, "division by zero"},
    {"1%0", 0, "division by zero"},
    {"0 && 1/0", 0, NULL},
    {"9223372036854775807+1", -9223372036854775807ll - 1, NULL},
    {"(-9223372036854775807-1)/-1", -9223372036854775807ll - 1, NULL},
    {"(-9223372036854775807-1)%-1", 0, NULL},
    {"1<<64", 1, NULL},
    {"1+", 0, "unexpected end of expression"},
    {"(1", 0, "missing )"},
    {"1)", 0, "unexpected text after the expression"},
    {"1 2", 0, "unexpected text after the expression"},
    {"1?2", 0, "missing :"},
    {"12ab", 0, "not a number"},
    {"$", 0, "a number or name is missing"},
    {"word", 0, "a variable's value is not a number"},
    {"3=4", 0, "unexpected text after the expression"},
};

START_TEST(arithmetic)
{
    struct vars vars = {0};
    const char *error;
    long long value;
    bool done;

    vars_set(&vars, "n", "12");
    vars_set(&vars, "word", "text");
    done = arith_eval(&vars, sums[_i].text, &value, &error);
    ck_assert_msg(done == !sums[_i].error, "%s: %s", sums[_i].text, error ? error : "no error");
    if (done)
        ck_assert_msg(value == sums[_i].value, "%s is %lld", sums[_i].text, value);
    else
        ck_assert_str_eq(error, sums[_i].error);
    if (strstr(sums[_i].text, "99"))
        ck_assert_str_eq(vars_get(&vars, "n"), "12");
    vars_free(&vars);
}
END_TEST

START_TEST(arithmetic_of_odd_sizes)
{
    struct vars vars = {0};
    struct str deep = {0}, wide = {0};
    const char *error;
    long long value;

    for (int i = 0; i < 100000; i++) {
        str_putc(&deep, "(-!~"[_i]);
        str_puts(&wide, "1+");
    }
    str_puts(&wide, "1");
    ck_assert(!arith_eval(&vars, deep.text, &value, &error));
    ck_assert_str_eq(error, "expression nested too deeply");
    ck_assert(arith_eval(&vars, wide.text, &value, &error));
    ck_assert_int_eq(value, 100001);
    str_free(&deep);
    str_free(&wide);
}
END_TEST

/* ---- Variables, history ----------------------------------------------------------------------------------- */

START_TEST(variables)
{
    struct list over = {0}, out = {0};
    struct vars vars = {0};

    vars_import(&vars, (char *const *)ARGS("B=2", "A=1", "1bad=x", "novalue", "C="));
    vars_set(&vars, "hidden", "x");
    vars_export(&vars, "unset_but_exported");
    ck_assert_str_eq(vars_get(&vars, "B"), "2");
    ck_assert_str_eq(vars_get(&vars, "C"), "");
    ck_assert_ptr_null(vars_get(&vars, "novalue"));
    list_push(&over, strdup("A=9"));
    list_push(&over, strdup("D=4"));
    vars_environment(&vars, &over, &out);
    ck_assert_uint_eq(out.len, 4);
    ck_assert_str_eq(out.item[0], "B=2");
    ck_assert_str_eq(out.item[1], "C=");
    ck_assert_str_eq(out.item[2], "A=9");
    vars_unset(&vars, "B");
    vars_unset(&vars, "never");
    ck_assert_ptr_null(vars_get(&vars, "B"));
    vars_set(&vars, "A", vars_get(&vars, "A"));
    ck_assert_str_eq(vars_get(&vars, "A"), "1");
    list_free(&over);
    list_free(&out);
    vars_free(&vars);
}
END_TEST

START_TEST(history_forgets_the_oldest)
{
    struct history history = {0};
    char line[32];

    history_add(&history, "");
    history_add(&history, "  \t");
    ck_assert_uint_eq(history.lines.len, 0);
    for (int i = 0; i < HISTORY_LINES_MAX + 10; i++) {
        snprintf(line, sizeof(line), "line %d", i);
        history_add(&history, line);
        history_add(&history, line);
    }
    ck_assert_uint_eq(history.lines.len, HISTORY_LINES_MAX);
    ck_assert_uint_eq(history.dropped, 10);
    ck_assert_str_eq(history.lines.item[0], "line 10");
    history_clear(&history);
    ck_assert_uint_eq(history.lines.len, 0);
    ck_assert_uint_eq(history.dropped, HISTORY_LINES_MAX + 10);
}
END_TEST

/* ---- Expansion ------------------------------------------------------------------------------------------ */

static struct shell sh;

static void shell_setup(void)
{
    shell_init(&sh, self, (char *const *)ARGS("HOME=/home/me", "PATH=/usr/bin:/bin"));
    vars_set(&sh.vars, "x", "one");
    vars_set(&sh.vars, "two", "a  b");
    vars_set(&sh.vars, "empty", "");
    vars_set(&sh.vars, "star", "*");
    vars_set(&sh.vars, "file", "/usr/lib/a.tar.gz");
    vars_set(&sh.vars, "back", "a\\*b");
    list_push(&sh.params, strdup("p1"));
    list_push(&sh.params, strdup("p 2"));
    list_push(&sh.params, strdup(""));
    sh.status = 3;
}

static void shell_teardown(void)
{
    shell_free(&sh);
}

static const struct {
    const char *text, *fields;
} expansions[] = {
    {"a b", "<a><b>"},
    {"'a b' \"c d\" e\\ f", "<a b><c d><e f>"},
    {"a'b'\"c\"\\d", "<abcd>"},
    {"'' \"\" a", "<><><a>"},
    {"$x ${x} \"$x\" '$x' \\$x", "<one><one><one><$x><$x>"},
    {"a${x}b", "<aoneb>"},
    {"$two", "<a><b>"},
    {"\"$two\"", "<a  b>"},
    {"x$two.y", "<xa><b.y>"},
    {"$empty \"$empty\" $unset \"$unset\"", "<><>"},
    {"x$star \"$star\"", "<x*><*>"},
    {"$? $# $0 $1 ${2} $9 ${10}", "<3><3><sh><p1><p><2>"},
    {"$10", "<p10>"},
    {"$@", "<p1><p><2>"},
    {"\"$@\"", "<p1><p 2><>"},
    {"\"a$@b\"", "<ap1><p 2><b>"},
    {"$*", "<p1><p><2>"},
    {"\"$*\"", "<p1 p 2 >"},
    {"${#x} ${#two} ${#unset} ${#} ${#@}", "<3><4><0><3><3>"},
    {"${unset:-d e} ${x:-d} ${empty:-d} ${empty-d} ${unset-d}", "<d><e><one><d><d>"},
    {"\"${unset:-d e}\" \"${unset:-\"q q\"}\"", "<d e><q q>"},
    {"${x:+y} ${empty:+y} ${empty+y} ${unset+y}", "<y><y>"},
    {"${new:=v w} $new", "<v><w><v><w>"},
    {"${file##*/} ${file#*/} ${file%.*} ${file%%.*}",
     "<a.tar.gz><usr/lib/a.tar.gz></usr/lib/a.tar></usr/lib/a>"},
    {"${x#o} ${x%e} ${x#z} ${x%\"*\"} ${unset#a}", "<ne><on><one><one>"},
    {"${file%$star.gz} ${file%\"$star\".gz} ${file#${unset:-*/}}",
     "</usr/lib/a.tar></usr/lib/a.tar.gz><usr/lib/a.tar.gz>"},
    {"${x?} ${unset:-${x:-${two}}}", "<one><one>"},
    {"$((1+2)) $(( n = 5 )) $n $((x1+1))", "<3><5><5><1>"},
    {"\"$((2*3))\"x", "<6x>"},
    {"~ ~/a \"~\" a~ ~root", "</home/me></home/me/a><~><a~><~root>"},
    {"$ a$ \"$\" $% $,", "<$><a$><$><$%><$,>"},
    {"\"a\\\"b\\\\c\\d\\$e\\`f\"", "<a\"b\\c\\d$e`f>"},
    {"a\\\nb", "<ab>"},
    {"\\", "<\\>"},
    {"$back \"$back\"", "<a\\*b><a\\*b>"},
    {"glob/*.c", "<glob/a.c><glob/b.c>"},
    {"glob/?.c glob/[b-z].c", "<glob/a.c><glob/b.c><glob/b.c>"},
    {"glob/*.x 'glob/*.c' glob/\\*.c \"glob/\"*.h", "<glob/*.x><glob/*.c><glob/*.c><glob/d.h>"},
    {"*/a.c glob/.h* glob/*/ ./glob//a.*", "<glob/a.c><glob/.hidden><glob/sub/><./glob//a.c>"},
    {"glob/*x*", "<glob/x*y>"},
    {"glob/x\\** glob/[*]", "<glob/x*y><glob/[*]>"},
    {"[ a ]", "<[><a><]>"},
    {"${unset:-*.nothing} ${unset:-glob/a.*}", "<*.nothing><glob/a.c>"},
};

static char *expanded(const char *text, bool *done)
{
    struct parse_error error;
    struct script script;
    struct list fields = {0};
    struct str shown = {0};

    ck_assert_int_eq(script_parse(&script, text, strlen(text), 1, &error), PARSE_OK);
    *done = expand_words(&sh, script.root->words, &fields);
    for (size_t i = 0; i < fields.len; i++) {
        str_putc(&shown, '<');
        str_puts(&shown, fields.item[i]);
        str_putc(&shown, '>');
    }
    list_free(&fields);
    script_free(&script);
    return str_take(&shown);
}

START_TEST(expansion)
{
    bool done;
    char *fields = expanded(expansions[_i].text, &done);

    ck_assert_msg(done, "%s failed", expansions[_i].text);
    ck_assert_msg(strcmp(fields, expansions[_i].fields) == 0, "%s is %s, expected %s", expansions[_i].text,
                  fields, expansions[_i].fields);
    free(fields);
}
END_TEST

START_TEST(expansion_splits_at_ifs)
{
    bool done;
    char *fields;

    vars_set(&sh.vars, "IFS", ":");
    vars_set(&sh.vars, "path", "a:b c::d");
    fields = expanded("$path", &done);
    ck_assert_str_eq(fields, "<a><b c><><d>");
    free(fields);
    fields = expanded("\"$*\"", &done);
    ck_assert_str_eq(fields, "<p1:p 2:>");
    free(fields);
    vars_set(&sh.vars, "IFS", "");
    fields = expanded("$two", &done);
    ck_assert_str_eq(fields, "<a  b>");
    free(fields);
}
END_TEST

static const char *const bad_expansions[] = {
    "${}",    "${x!}",    "${x:}",         "${ x}",     "${x y}",  "${unset?}", "${unset:?why not}",
    "${9=x}", "$((1/0))", "${x:-$((1+))}", "$(($x y))", "${x:#a}", "${#x:-y}",  "${-=}",
};

START_TEST(expansion_reports_errors)
{
    bool done;
    char *fields;

    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    if (strcmp(bad_expansions[_i], "${-=}") == 0)
        vars_unset(&sh.vars, "-");
    fields = expanded(bad_expansions[_i], &done);
    if (strcmp(bad_expansions[_i], "${x:-$((1+))}") != 0 && strcmp(bad_expansions[_i], "${-=}") != 0)
        ck_assert_msg(!done, "%s is %s", bad_expansions[_i], fields);
    free(fields);
}
END_TEST

START_TEST(expansion_with_nounset)
{
    bool done;

    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    sh.opt_nounset = true;
    free(expanded("$unset", &done));
    ck_assert(!done);
    free(expanded("${unset:-ok} $@ $* \"$@\"", &done));
    ck_assert(done);
}
END_TEST

/* ---- Editing (P8) ----------------------------------------------------------------------------------------- */

static const struct {
    const char *keys, *line;
} typed[] = {
    {"echo hi", "echo hi"},
    {"abc\x01X", "Xabc"},
    {"abc\x01X\x05Y", "XabcY"},
    {"abc\x1b[D\x1b[DX", "aXbc"},
    {"abc\x1b[D\x1b[D\x1b[CX", "abXc"},
    {"abc\x1b[D\x1b[D\x1b[D\x1b[D\x1b[DX", "Xabc"},
    {"abc\x1b[HX\x1b[FY", "XabcY"},
    {"abc\x1bOHX\x1bOFY", "XabcY"},
    {"abc\x1b[1~X\x1b[4~Y", "XabcY"},
    {"abc\x1b[7~X\x1b[8~Y", "XabcY"},
    {"abc\x7f\x08", "a"},
    {"\x7f\x7f", ""},
    {"abc\x01\x1b[3~", "bc"},
    {"abc\x01\x04", "bc"},
    {"abc\x1b[3~", "abc"},
    {"abc def\x01\x1b[C\x0b", "a"},
    {"abc def\x1b[D\x15", "f"},
    {"abc def  \x17", "abc "},
    {"abc\x17\x17\x17", ""},
    {"abc\x02\x02X\x06Y", "aXbYc"},
    {"\x1b[A", "third"},
    {"\x1b[A\x1b[A", "second"},
    {"\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A", "first"},
    {"new\x1b[A\x1b[A\x1b[B\x1b[B", "new"},
    {"new\x1b[B\x1b[B", "new"},
    {"\x10\x10\x0e", "third"},
    {"\x1b[A!\x1b[B\x1b[A", "third"},
    {"a\xc3\xa9\xe6\x97\xa5\x7f", "a\xc3\xa9"},
    {"a\xc3\xa9\x1b[D\x1b[D\x1b[3~", "\xc3\xa9"},
    {"\xc3\xa9\xe6\x97\xa5\x1b[DX", "\xc3\xa9X\xe6\x97\xa5"},
    {"a\x1b[99;5~b\x1b[1;5Zc\x1bxd", "abcd"},
    {"a\x1b[99999999999999999999~b", "ab"},
    {"a\x1f\x1c\x0cz", "az"},
    {"\x80\x80\x7f", ""},
};

START_TEST(editing)
{
    struct edit edit;

    ck_assert_ptr_nonnull(typed[_i].keys);
    history_add(&sh.history, "first");
    history_add(&sh.history, "second");
    history_add(&sh.history, "third");
    edit_init(&edit, &sh);
    for (const char *key = typed[_i].keys; *key; key++)
        ck_assert_int_eq(edit_key(&edit, (unsigned char)*key), EDIT_MORE);
    ck_assert_str_eq(str_text(&edit.line), typed[_i].line);
    ck_assert_int_eq(edit_key(&edit, '\r'), EDIT_LINE);
    edit_free(&edit);
}
END_TEST

START_TEST(editing_ends)
{
    struct edit edit;

    edit_init(&edit, &sh);
    ck_assert_int_eq(edit_key(&edit, 4), EDIT_END);
    ck_assert_int_eq(edit_key(&edit, 'x'), EDIT_MORE);
    ck_assert_int_eq(edit_key(&edit, 4), EDIT_MORE);
    ck_assert_int_eq(edit_key(&edit, 3), EDIT_CANCELLED);
    ck_assert_int_eq(edit_key(&edit, '\n'), EDIT_LINE);
    edit_free(&edit);
}
END_TEST

/* Any keys at all keep the cursor on a character of the line. */
START_TEST(editing_noise)
{
    unsigned long state = 1234567 + (unsigned long)_i;
    struct edit edit;

    history_add(&sh.history, "one \xc3\xa9");
    history_add(&sh.history, "two");
    edit_init(&edit, &sh);
    for (int i = 0; i < 20000; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        if ((state & 0xff) != '\t')
            edit_key(&edit, (unsigned char)state);
        ck_assert_uint_le(edit.at, edit.line.len);
    }
    edit_free(&edit);
}
END_TEST

static const struct {
    const char *line, *addition;
    size_t offers;
} completions[] = {
    {"cat glob/a", ".c ", 0},
    {"cat glob/", "", 5},
    {"cat glob/s", "ub/", 0},
    {"cat nothing", "", 0},
    {"cat glob/.h", "idden ", 0},
    {"histo", "ry ", 0},
    {"a; histo", "ry ", 0},
    {"a | histo", "ry ", 0},
    {"cat histo", "", 0},
    {"cat <glob/d", ".h ", 0},
    {"cat glob/x", "\\*y ", 0},
    {"cat glob/sub/s", "p\\ ace ", 0},
    {"cat glob/sub/sp\\ a", "ce ", 0},
};

START_TEST(completing)
{
    struct str addition = {0};
    struct list offers = {0};

    complete_word(&sh, completions[_i].line, strlen(completions[_i].line), &addition, &offers);
    ck_assert_str_eq(str_text(&addition), completions[_i].addition);
    ck_assert_uint_eq(offers.len, completions[_i].offers);
    str_free(&addition);
    list_free(&offers);
}
END_TEST

/* ---- The whole shell (P8: pipes, redirection, jobs; each says what went wrong and where) --------------------- */

static const struct line_case whole[] = {
    {"", 0, ""},
    {"echo hi", 0, "hi\n"},
    {"echo a; echo b\necho c", 0, "a\nb\nc\n"},
    {"true && echo yes || echo no", 0, "yes\n"},
    {"false && echo yes || echo no", 0, "no\n"},
    {"false || false || echo no; ! true; echo $?", 0, "no\n1\n"},
    {"exit 7; echo no", 7, ""},
    {"(exit 3); echo $?", 0, "3\n"},
    {"false; exit", 1, ""},
    /* P8: pipes */
    {"echo a b c | tr ' ' '\\n' | sort -r | head -n 2", 0, "c\nb\n"},
    {"seq 1 100000 | tail -n 1", 0, "100000\n"},
    {"false | true; echo $?; true | false; echo $?", 0, "0\n1\n"},
    {"nosuch | cat; echo $?", 0, "sh: nosuch: command not found\n0\n"},
    {"echo x | nosuch; echo $?", 0, "sh: nosuch: command not found\n127\n"},
    {"pwd | cat >/dev/null && help | head -n 0; history | cat; echo x | cd /; pwd >/dev/null", 0, ""},
    {"echo a | { read v; echo [$v]; }", 0, "[a]\n"},
    {"printf '1 2\\n3 4\\n' | while read a b; do echo $b $a; done", 0, "2 1\n4 3\n"},
    {"for i in 1 2; do echo $i; done | cat -n | wc -l | tr -d ' '", 0, "2\n"},
    {"yes | head -n 1", 0, "y\n"},
    {"help | true", 0, ""},
    /* P8: redirection */
    {"echo a >f; echo b >>f; cat <f; cat f", 0, "a\nb\na\nb\n"},
    {"echo a >f 2>&1; cat f; nosuch 2>f; cat f", 0, "a\nsh: nosuch: command not found\n"},
    {"{ echo a; nosuch; } >f 2>&1; cat f", 0, "a\nsh: nosuch: command not found\n"},
    {"echo a 3>f >&3; cat f", 0, "a\n"},
    {"echo a >/nosuch/x; echo $?", 0, "sh: /nosuch/x: No such file or directory\n1\n"},
    {"echo a >/; echo $?", 0, "sh: /: Is a directory\n1\n"},
    {"cat </nosuch; echo $?", 0, "sh: /nosuch: No such file or directory\n1\n"},
    {"echo a >&7; echo $?", 0, "sh: 7: Bad file descriptor\n1\n"},
    {"echo a >&x; echo $?", 0, "sh: x: Bad file descriptor\n1\n"},
    {"echo a >''; echo $?", 0, "sh: : No such file or directory\n1\n"},
    {"pwd >&-; echo $?", 0, "sh: pwd: write error: Bad file descriptor\n1\n"},
    {"pwd >/dev/full; echo $?", 0, "sh: pwd: write error: No space left on device\n1\n"},
    {"exec >f; echo hidden; exec >&2; cat f", 0, "hidden\n"},
    {"exec 3<f; read a <&3; echo $a", 0, "hidden\n"},
    {">empty; wc -c <empty | tr -d ' '", 0, "0\n"},
    {"if true; then echo a; fi >f; cat f; while read x; do echo [$x]; done <f", 0, "a\n[a]\n"},
    {"echo a 2>&1 | cat; echo b >&2 | cat", 0, "a\nb\n"},
    /* exit status */
    {"nosuch", 127, "sh: nosuch: command not found\n"},
    {"./nosuch", 127, "sh: ./nosuch: No such file or directory\n"},
    {"''", 127, "sh: : command not found\n"},
    {"/", 126, "sh: /: Is a directory\n"},
    {"./plain; echo $?", 0, "sh: ./plain: Permission denied\n126\n"},
    {"./binary; echo $?", 0, "sh: ./binary: Exec format error\n126\n"},
    {"./noscript a; echo $?", 0, "I am ./noscript a\n5\n"},
    {"./script; echo $?", 0, "./script: line 2: nosuch: command not found\n127\n"},
    {"sh() { :; }", 2, "sh: line 1: syntax error near unexpected token `('\n"},
    {"/bin/sh -c 'kill -9 $$'; echo $?", 0, "sh: /bin/sh -c 'kill -9 $$': Killed\n137\n"},
    {"/bin/sh -c 'kill -2 $$'; echo $?", 0, "130\n"},
    {"PATH=/nosuch; ls", 127, "sh: ls: command not found\n"},
    {"PATH=/bin:/usr/bin ls /nosuch 2>/dev/null; [ $? -gt 0 ]", 0, ""},
    {"exit 256", 0, ""},
    {"exit x", 2, "sh: exit: x: a number is expected\n"},
    {"exit 1 2", 2, "sh: usage: exit [STATUS]\n"},
    /* variables */
    {"x=5; echo $x; x=6 sh_never=1; echo $x$sh_never", 0, "5\n61\n"},
    {"x=1; x=2 /bin/sh -c 'echo $x'; echo $x", 0, "2\n1\n"},
    {"x=1; export x; /bin/sh -c 'echo $x'; unset x; /bin/sh -c 'echo [$x]'", 0, "1\n[]\n"},
    {"export y=7 1x=3; /bin/sh -c 'echo $y'", 0, "sh: export: `1x=3': not a valid name\n7\n"},
    {"set -- a 'b c'; shift; echo $1 $#; shift 5; echo $?", 0,
     "b c 1\nsh: shift: there are only 1 parameters\n1\n"},
    {"IFS=: read a b </etc/passwd; echo $a", 0, "root\n"},
    {"x=$(false); echo $?; x=y; echo $?", 0, "1\n0\n"},
    {"false; x=$?; echo $x", 0, "1\n"},
    /* substitution in a shell of its own, which knows what this one knows */
    {"x='it'\\''s'; echo \"$(echo \"$x\" | cat)\"", 0, "it's\n"},
    {"set -- p q; echo $(echo $2) `echo $1`", 0, "q p\n"},
    {"echo $(echo a; echo; echo b; echo)", 0, "a b\n"},
    {"echo \"$(printf 'a\\n\\nb\\n\\n')\"", 0, "a\n\nb\n"},
    {"echo $(nosuch) $(exit 4); echo $?", 0, "sh: nosuch: command not found\n\n0\n"},
    {"echo $(echo $(echo $(echo deep)))", 0, "deep\n"},
    {"(x=2; cd /; echo $x); echo [$x]", 0, "2\n[]\n"},
    {"echo $(", 2, "sh: line 1: unexpected end of input while looking for `)'\n"},
    {"echo $(echo 'a)b')", 0, "a)b\n"},
    {"echo $(|)", 0, "sh: line 1: syntax error near unexpected token `|'\n\n"},
    /* compound commands */
    {"if false; then echo a; elif true; then echo b; else echo c; fi", 0, "b\n"},
    {"if false; then echo a; fi; echo $?", 0, "0\n"},
    {"i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i", 0, "3\n"},
    {"i=3; until [ $i = 0 ]; do i=$((i-1)); echo $i; done", 0, "2\n1\n0\n"},
    {"for a in 1 2 3; do for b in 1 2; do [ $b = 2 ] && continue 2; [ $a = 3 ] && break 2; echo $a$b; done; "
     "done",
     0, "11\n21\n"},
    {"break; continue 0", 1, "sh: break: not in a loop\nsh: continue: at least one loop must be left\n"},
    {"for x in $(seq 1 1000); do :; done; echo $x", 0, "1000\n"},
    {"while true; do exit 9; done", 9, ""},
    {"! { false; }; echo $?", 0, "0\n"},
    /* jobs (P8) */
    {"sleep 0.1 & wait $!; echo $?; wait", 0, "0\n"},
    {"/bin/sh -c 'exit 6' & wait $!; echo $?", 0, "6\n"},
    {"{ exit 4; } & wait $!; echo $?", 0, "4\n"},
    {"true && exit 8 & wait $!; echo $?", 0, "8\n"},
    {"! false & wait $!; echo $?", 0, "0\n"},
    {"sleep 5 & kill -9 $!; wait $!; echo $?", 0, "137\n"},
    {"sleep 0.01 | cat & jobs; wait", 0, "[1] Running      sleep 0.01 | cat\n"},
    {"wait 999999; echo $?", 0, "sh: wait: 999999: no such job\n127\n"},
    {"cat & wait; echo end", 0, "end\n"},
    {"fg; bg %1", 1, "sh: fg: current: no such job\nsh: bg: %1: no such job\n"},
    /* options */
    {"set -e; true; false; echo no", 1, ""},
    {"set -e; false || true; if false; then :; fi; ! true; echo yes", 0, "yes\n"},
    {"set -u; echo $nothing; echo $?", 0, "sh: nothing: parameter not set\n1\n"},
    {"set -x; echo a | cat; x=1", 0, "+ echo a\n+ cat\na\n+ x=1\n"},
    {"set -z", 2, "sh: usage: set [-eux] [--] [VALUE]...\n"},
    {"${nothing?really}; echo no", 1, "sh: nothing: really\n"},
    /* builtins */
    {"cd /usr; pwd; cd -; cd /nosuch; cd a b", 2,
     "/usr\nHERE\nsh: cd: /nosuch: No such file or directory\nsh: usage: cd [DIRECTORY | -]\n"},
    {"unset HOME; cd", 1, "sh: cd: HOME is not set\n"},
    {"exec ls; echo $?", 0,
     "sh: exec: ls: a program cannot take the shell's place here; run it, then exit\n126\n"},
    {". ./noscript; echo no", 5, "I am sh\n"},
    {". ./nosuch; echo $?", 0, "sh: .: ./nosuch: No such file or directory\n1\n"},
    {"echo '. ./again' >again; . ./again", 1, "sh: .: ./again: nested too deeply\n"},
    {"type cd nosuch", 127, "cd is a command of the shell\nsh: type: nosuch: not found\n"},
    {"read", 1, ""},
    {"read -r 1a", 2, "sh: read: `1a': not a valid name\n"},
    {"printf 'a\\\\b c  d \\n' | { read x y; echo \"<$x><$y>\"; }", 0, "<ab><c  d>\n"},
    {"printf 'a\\\\b\\n' | { read -r x; echo \"$x\"; }", 0, "a\\b\n"},
    {"[ a = a ] && [ a != b ] && [ 2 -gt 1 ] && [ -d / ] && [ ! -e /nosuch ] && [ -n x ] && [ -z '' ] && "
     "echo ok",
     0, "ok\n"},
    {"[ a", 2, "sh: [: missing ]\n"},
    {"[ a -foo b ]", 2, "sh: test: -foo: unknown operator\n"},
    {"[ x -eq 1 ]", 2, "sh: test: x: not a number\n"},
    {"test; echo $?; test ! = !; echo $?; test -f; echo $?; test a b c d; echo $?", 0,
     "1\n0\n0\nsh: test: too many arguments; use && and || between tests\n2\n"},
    /* a syntax error anywhere: nothing runs */
    {"echo a\necho b | | c\n", 2, "sh: line 2: syntax error near unexpected token `|'\n"},
    {"echo 'a", 2, "sh: line 1: unexpected end of input while looking for `''\n"},
    {"echo a\\\n", 0, "a\n"},
    {"echo a \\", 0, "a \\\n"},
};

START_TEST(whole_shell)
{
    struct str expected = {0};
    const char *here = strstr(whole[_i].output, "HERE");

    if (here) {
        str_put(&expected, whole[_i].output, (size_t)(here - whole[_i].output));
        str_puts(&expected, directory);
        str_puts(&expected, here + 4);
    } else {
        str_puts(&expected, whole[_i].output);
    }
    expect_result(whole[_i].line, run_line(whole[_i].line), whole[_i].status, str_text(&expected));
    str_free(&expected);
}
END_TEST

START_TEST(shell_with_long_lines)
{
    struct str line = {0};
    struct result result;

    str_puts(&line, "echo ");
    for (int i = 0; i < 10000; i++)
        str_putc(&line, 'x');
    result = run_line(line.text);
    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_eq(result.output.len, 10001);
    str_free(&result.output);
    str_clear(&line);
    for (int i = 0; i < 300; i++)
        str_puts(&line, i ? "| cat " : "echo deep ");
    expect_result("300 cats", run_line(line.text), 0, "deep\n");
    str_free(&line);
}
END_TEST

/* Out of descriptors: a sentence, and the shell goes on. */
START_TEST(shell_without_descriptors)
{
    const char *line = "ulimit -n 10; exec \"$0\" -c 'echo a | cat; x=$(echo b); echo c'";
    struct result result = run_program("/bin/sh", ARGS("/bin/sh", "-c", line, self), "/dev/null");

    ck_assert_ptr_nonnull(strstr(str_text(&result.output), "sh: cannot make a pipe: "));
    ck_assert_ptr_nonnull(strstr(str_text(&result.output), "c\n"));
    str_free(&result.output);
}
END_TEST

static const struct {
    const char *script;
    int status;
    const char *output;
} inputs[] = {
    {"", 0, ""},
    {"echo a\necho b", 0, "a\nb\n"},
    {"echo a\nread x\nthis is read\necho [$x]\n", 0, "a\n[this is read]\n"},
    {"cat\nto the end\n", 0, "to the end\n"},
    {"if true\nthen\n  echo yes\nfi\n", 0, "yes\n"},
    {"echo 'a\nb'\n", 0, "a\nb\n"},
    {"echo a\n\n\n|\necho b\n", 0, "a\nsh: line 4: syntax error near unexpected token `|'\nb\n"},
    {"echo a\necho \"b\n", 2, "a\nsh: line 2: unexpected end of input while looking for `\"'\n"},
    {"exit 3\necho no\n", 3, ""},
    {"nosuch\n", 127, "sh: nosuch: command not found\n"},
    {"echo a\\\nb\necho c\\\n", 0, "ab\nc\n"},
};

START_TEST(shell_on_standard_input)
{
    write_file("input", inputs[_i].script);
    expect_result(inputs[_i].script, run_shell(ARGS(self, "--"), "input"), inputs[_i].status,
                  inputs[_i].output);
}
END_TEST

START_TEST(shell_on_files)
{
    struct result result;

    write_file("file.sh", "#!/bin/sh\necho \"$0 $1 $#\"\nnosuch\ncd /nosuch\n");
    expect_result("script", run_shell(ARGS(self, "file.sh", "a b", "c"), "/dev/null"), 1,
                  "file.sh a b 2\nfile.sh: line 3: nosuch: command not found\n"
                  "file.sh: line 4: cd: /nosuch: No such file or directory\n");
    write_file("file.sh", "echo never\nif\n");
    expect_result("bad script", run_shell(ARGS(self, "file.sh", "a b", "c"), "/dev/null"), 2,
                  "file.sh: line 3: syntax error: unexpected end of input\n");
    expect_result("missing", run_shell(ARGS(self, "nosuch.sh"), "/dev/null"), 127,
                  "sh: nosuch.sh: No such file or directory\n");
    expect_result("folder", run_shell(ARGS(self, "."), "/dev/null"), 126, "sh: .: Is a directory\n");
    expect_result("named", run_shell(ARGS(self, "-c", "echo $0 $1; nosuch", "me", "you"), "/dev/null"), 127,
                  "me you\nme: nosuch: command not found\n");
    expect_result("errexit", run_shell(ARGS(self, "-ec", "false; echo"), "/dev/null"), 1, "");
    expect_result("letters", run_shell(ARGS(self, "-eux", "-c", "echo $-"), "/dev/null"), 0,
                  "+ echo eux\neux\n");
    result = run_shell(ARGS(self, "-q"), "/dev/null");
    ck_assert_int_eq(result.status, 2);
    ck_assert_ptr_nonnull(strstr(str_text(&result.output), "sh: -q: unknown option\nusage:"));
    str_free(&result.output);
    result = run_shell(ARGS(self, "-c"), "/dev/null");
    ck_assert_int_eq(result.status, 2);
    str_free(&result.output);
}
END_TEST

/* At a terminal (P8: jobs and line editing) */

struct terminal {
    int fd;
    pid_t pid;
    struct str seen; /* not yet looked at */
};

static struct terminal terminal_start(void)
{
    struct terminal terminal = {0};

    terminal.pid = forkpty(&terminal.fd, NULL, NULL, NULL);
    ck_assert_int_ge(terminal.pid, 0);
    if (terminal.pid == 0) {
        setenv("PS1", "READY", 1);
        execl(self, self, "-i", (char *)NULL);
        _exit(99);
    }
    return terminal;
}

static bool terminal_read(struct terminal *terminal)
{
    struct pollfd wait = {.fd = terminal->fd, .events = POLLIN};
    char bytes[512];
    ssize_t got = poll(&wait, 1, 20000) == 1 ? read(terminal->fd, bytes, sizeof(bytes)) : -1;

    if (got > 0)
        str_put(&terminal->seen, bytes, (size_t)got);
    return got > 0;
}

/* Waits until text appears, and forgets all up to its end. */
static void terminal_expect(struct terminal *terminal, const char *text)
{
    const char *found;

    while (!(found = strstr(str_text(&terminal->seen), text)))
        ck_assert_msg(terminal_read(terminal), "waiting for <%s>, seen <%s>", text,
                      str_text(&terminal->seen));
    str_erase(&terminal->seen, 0, (size_t)(found - terminal->seen.text) + strlen(text));
}

static void terminal_type(struct terminal *terminal, const char *keys)
{
    ck_assert_int_eq(write(terminal->fd, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static void terminal_dialogue(struct terminal *terminal, const char *const *lines)
{
    for (; lines[0]; lines += 2) {
        terminal_expect(terminal, "READY");
        terminal_type(terminal, lines[0]);
        terminal_expect(terminal, lines[1]);
    }
}

static int terminal_end(struct terminal *terminal)
{
    int status;

    while (terminal_read(terminal))
        ;
    close(terminal->fd);
    ck_assert_int_eq(waitpid(terminal->pid, &status, 0), terminal->pid);
    str_free(&terminal->seen);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(shell_at_a_terminal)
{
    struct terminal terminal = terminal_start();

    terminal_dialogue(&terminal, ARGS("echo a$((1+1))b\r", "\r\na2b\r\n",                /* plain typing */
                                      "ecXho no\x01\x1b[C\x1b[C\x1b[3~\r", "\r\nno\r\n", /* cursor keys */
                                      "\x1b[A\x1b[A\r", "\r\na2b\r\n",                   /* history */
                                      "cat glob/sub/s\t/nosuch\r", "cat: ",              /* completion */
                                      "half a line\x03", "^C\r\n",                       /* cancel */
                                      "echo $?\r", "\r\n130\r\n",                        /* its status */
                                      "cd glob/s\t\r", "sub/",                           /* a directory */
                                      "echo 'two\r", "> "));
    terminal_type(&terminal, "lines'\r");
    terminal_expect(&terminal, "two\r\nlines\r\n");
    terminal_expect(&terminal, "READY");
    ck_assert_int_eq(kill(terminal.pid, SIGINT), 0);
    terminal_type(&terminal, "exit 4\r");
    ck_assert_int_eq(terminal_end(&terminal), 4);
}
END_TEST

START_TEST(shell_interrupts_programs)
{
    struct terminal terminal = terminal_start();

    terminal_expect(&terminal, "READY");
    terminal_type(&terminal, "sh -c 'echo st''arted; exec sleep 100'; echo no\r");
    terminal_expect(&terminal, "\r\nstarted\r\n");
    terminal_type(&terminal, "\x03");
    terminal_dialogue(&terminal, ARGS("echo $?\r", "\r\n130\r\n"));
    terminal_expect(&terminal, "READY");
    terminal_type(&terminal, "echo lo''op; while :; do :; done\r");
    terminal_expect(&terminal, "\r\nloop\r\n");
    usleep(300000); /* until echo has given the terminal back */
    terminal_type(&terminal, "\x03");
    terminal_dialogue(&terminal, ARGS("echo $?\r", "\r\n130\r\n"));
    terminal_expect(&terminal, "READY");
    terminal_type(&terminal, "\x04");
    terminal_expect(&terminal, "exit");
    ck_assert_int_eq(terminal_end(&terminal), 0);
}
END_TEST

START_TEST(shell_controls_jobs)
{
    struct terminal terminal = terminal_start();

    terminal_expect(&terminal, "READY");
    terminal_type(&terminal, "sh -c 'echo st''arted; exec sleep 100'\r");
    terminal_expect(&terminal, "\r\nstarted\r\n");
    usleep(300000); /* until the program has the terminal */
    terminal_type(&terminal, "\x1a");
    terminal_expect(&terminal, "[1] Stopped");
    terminal_dialogue(&terminal, ARGS("jobs\r", "[1] Stopped", "bg\r", "\n", "jobs\r", "[1] Running",
                                      "history | tail -n 2\r", "jobs\r\n", "sleep 0.01 &\r", "[2] ",
                                      "sleep 0.1\r", "[2] Done"));
    terminal_expect(&terminal, "READY");
    terminal_type(&terminal, "fg %1\r");
    terminal_expect(&terminal, "exec sleep 100'\r\n");
    terminal_type(&terminal, "\x03");
    terminal_expect(&terminal, "READY");
    terminal_type(&terminal, "exit\r");
    ck_assert_int_eq(terminal_end(&terminal), 130);
}
END_TEST

/* Whatever is typed: no crash (the sanitizers would say so with status 1 and a report). */
START_TEST(shell_on_noise)
{
    static const char *const pieces[] = {
        "echo", " ",    "a",  "$x",  "'",  "\"",          "|",  "&",   ";",  "<", ">f", "(",    ")",
        "{",    "}",    "$(", "`",   "\\", "\n",          "*",  "$((", "))", "1", "if", "then", "fi",
        "do",   "done", "!",  "for", "in", "while false", "${", "}",   ":-", "#", "="};
    unsigned long state = 99991 + 7 * (unsigned long)_i;
    struct str line = {0};
    struct result result;

    for (int i = 0; i < 12; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        str_puts(&line, pieces[state % COUNT(pieces)]);
    }
    result = run_line(line.text);
    ck_assert_msg(!strstr(str_text(&result.output), "Sanitizer") &&
                      !strstr(str_text(&result.output), "runtime error"),
                  "%s\n%s", line.text, str_text(&result.output));
    ck_assert_msg(result.status < 1000, "%s", line.text);
    str_free(&line);
    str_free(&result.output);
}
END_TEST

/* ---- Suite -------------------------------------------------------------------------------------------------- */

static Suite *make_suite(void)
{
    Suite *suite = suite_create("sh");
    TCase *parser = tcase_create("parser"), *values = tcase_create("values"),
          *state = tcase_create("shell state");
    TCase *programs = tcase_create("whole shell");

    tcase_set_timeout(parser, 60);
    tcase_add_test(parser, parse_trees);
    tcase_add_loop_test(parser, parse_says_what_and_where, 0, COUNT(parse_errors));
    tcase_add_test(parser, parse_of_odd_sizes);
    tcase_add_test(parser, parse_of_many_elifs);
    tcase_add_test(parser, parse_refuses_zero_bytes);
    tcase_add_loop_test(parser, parse_of_noise, 0, 4);
    tcase_add_test(parser, scan_finds_arithmetic);
    suite_add_tcase(suite, parser);

    tcase_add_loop_test(values, pattern_fits, 0, COUNT(patterns));
    tcase_add_test(values, pattern_is_quick);
    tcase_add_loop_test(values, arithmetic, 0, COUNT(sums));
    tcase_add_loop_test(values, arithmetic_of_odd_sizes, 0, 4);
    tcase_add_test(values, variables);
    tcase_add_test(values, history_forgets_the_oldest);
    suite_add_tcase(suite, values);

    tcase_add_checked_fixture(state, shell_setup, shell_teardown);
    tcase_add_loop_test(state, expansion, 0, COUNT(expansions));
    tcase_add_test(state, expansion_splits_at_ifs);
    tcase_add_loop_test(state, expansion_reports_errors, 0, COUNT(bad_expansions));
    tcase_add_test(state, expansion_with_nounset);
    tcase_add_loop_test(state, editing, 0, COUNT(typed));
    tcase_add_test(state, editing_ends);
    tcase_add_loop_test(state, editing_noise, 0, 4);
    tcase_add_loop_test(state, completing, 0, COUNT(completions));
    suite_add_tcase(suite, state);

    tcase_set_timeout(programs, 60);
    tcase_add_loop_test(programs, whole_shell, 0, COUNT(whole));
    tcase_add_test(programs, shell_with_long_lines);
    tcase_add_test(programs, shell_without_descriptors);
    tcase_add_loop_test(programs, shell_on_standard_input, 0, COUNT(inputs));
    tcase_add_test(programs, shell_on_files);
    tcase_add_test(programs, shell_at_a_terminal);
    tcase_add_test(programs, shell_interrupts_programs);
    tcase_add_test(programs, shell_controls_jobs);
    tcase_add_loop_test(programs, shell_on_noise, 0, 100);
    suite_add_tcase(suite, programs);
    return suite;
}

static void make_directory(void)
{
    static const char *const files[] = {"glob/a.c",     "glob/b.c", "glob/d.h",
                                        "glob/.hidden", "glob/x*y", "glob/sub/sp ace"};

    if (!mkdtemp(directory) || chdir(directory) < 0 || mkdir("glob", 0755) < 0 || mkdir("glob/sub", 0755) < 0)
        exit(99);
    for (size_t i = 0; i < COUNT(files); i++)
        write_file(files[i], "");
    write_file("plain", "echo plain\n");
    write_file("noscript", "echo I am $0 $1\nexit 5\n");
    write_file("script", "true\nnosuch\n");
    chmod("noscript", 0755);
    chmod("script", 0755);
    chmod("plain", 0644);
    close(open("binary", O_CREAT | O_WRONLY, 0755));
    if (truncate("binary", 100) < 0)
        exit(99);
}

int main(int argc, char **argv)
{
    char remove[64];
    SRunner *runner;
    int failed;

    if (argc > 1)
        return shell_main(argc, argv);
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        return 99;
    make_directory();
    setenv("LC_ALL", "C", 1);
    runner = srunner_create(make_suite());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    snprintf(remove, sizeof(remove), "rm -rf %s", directory);
    if (system(remove) != 0)
        return 99;
    return failed != 0;
}
