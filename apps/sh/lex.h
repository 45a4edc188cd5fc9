/*
 * Lex: the text of a script as tokens.
 *
 * A token points into the text. A word keeps its quotes and dollars; expansion takes them away later.
 */
#ifndef SH_LEX_H
#define SH_LEX_H

#include <stdbool.h>

#include "str.h"

enum token_kind {
    TOKEN_END,
    TOKEN_ERROR, /* lexer.error says what; lexer.incomplete: more text may mend it */
    TOKEN_NEWLINE,
    TOKEN_WORD,
    TOKEN_IO_NUMBER, /* digits just before < or > */
    TOKEN_SEMI,
    TOKEN_DSEMI,
    TOKEN_AMP,
    TOKEN_AND_IF,
    TOKEN_OR_IF,
    TOKEN_PIPE,
    TOKEN_LPAREN,
    TOKEN_RPAREN,
    TOKEN_LESS,
    TOKEN_GREAT,
    TOKEN_DGREAT,
    TOKEN_CLOBBER,
    TOKEN_LESSGREAT,
    TOKEN_LESSAND,
    TOKEN_GREATAND,
    TOKEN_DLESS,
};

struct token {
    enum token_kind kind;
    struct span span;
    int line;
};

struct lexer {
    const char *at;
    const char *end;
    int line;
    char error[80];
    bool incomplete;
};

void lexer_init(struct lexer *lexer, const char *text, size_t len, int line);
struct token lexer_next(struct lexer *lexer);
bool token_is(const struct token *token, const char *word);

#endif
