/*
 * Parse: the text of a script as a tree. Nothing runs before all of it is understood.
 *
 *   list      one, two & three      body[0] is the first member, joined by next; background on a member
 *   and-or    one && two || three   body[0] is the first member; join says when a member runs
 *   pipeline  one | two | three     body[0] is the first member
 *   command   A=1 name words <in    assigns, words, redirs
 *   group     { list }              body[0]
 *   subshell  ( list )              body[0]
 *   if        if A; then B; else C  body[0], body[1], body[2] (an elif is an if inside the else)
 *   while     while A; do B         body[0], body[1]; until likewise
 *   for       for name in words     name, words (params instead of words without "in"), body[0]
 *
 * A list, and-or or pipeline of one member is that member itself.
 */
#ifndef SH_PARSE_H
#define SH_PARSE_H

#include <stdbool.h>

#include "mem.h"
#include "str.h"

enum node_kind {
    NODE_LIST,
    NODE_ANDOR,
    NODE_PIPELINE,
    NODE_COMMAND,
    NODE_GROUP,
    NODE_SUBSHELL,
    NODE_IF,
    NODE_WHILE,
    NODE_UNTIL,
    NODE_FOR,
};

enum join { JOIN_ALWAYS, JOIN_AND, JOIN_OR };

struct word {
    struct word *next;
    struct span raw; /* with its quotes */
};

enum redir_kind { REDIR_IN, REDIR_OUT, REDIR_APPEND, REDIR_INOUT, REDIR_DUP };

struct redir {
    struct redir *next;
    enum redir_kind kind;
    int fd;
    struct span target;
};

struct node {
    enum node_kind kind;
    enum join join;
    bool negated;    /* ! before it */
    bool background; /* & after it */
    bool for_params; /* for without "in" */
    int line;
    struct span source;
    struct node *next;
    struct node *body[3];
    struct span name;
    struct word *assigns;
    struct word *words;
    struct redir *redirs;
};

struct script {
    struct arena arena; /* holds the tree and the text that it points into */
    struct node *root;  /* NULL: nothing to run */
};

enum parse_result {
    PARSE_OK,
    PARSE_INCOMPLETE, /* the text ends too early; with more lines it may be right */
    PARSE_ERROR,
};

struct parse_error {
    int line;
    char what[128];
};

/*
 * Reads text, whose first line has number line, into script. Whatever the result, the caller frees
 * the script with script_free(). Unless the result is PARSE_OK, error says what is wrong and where.
 */
enum parse_result script_parse(struct script *script, const char *text, size_t len, int line,
                               struct parse_error *error);
void script_free(struct script *script);

/* The length of the NAME of a NAME=value word; 0 when it is none. */
size_t assignment_name_len(struct span raw);
/* Whether text is a variable's name: a letter or _, then letters, digits, _. */
bool name_valid(const char *text, size_t len);

#endif
