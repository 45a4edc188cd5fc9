#include "lex.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "scan.h"

static const struct {
    const char *text;
    enum token_kind kind;
} operators[] = {
    /* the longer ones first */
    {"&&", TOKEN_AND_IF},  {"||", TOKEN_OR_IF},   {";;", TOKEN_DSEMI},    {"<<", TOKEN_DLESS},
    {">>", TOKEN_DGREAT},  {"<&", TOKEN_LESSAND}, {">&", TOKEN_GREATAND}, {"<>", TOKEN_LESSGREAT},
    {">|", TOKEN_CLOBBER}, {"&", TOKEN_AMP},      {";", TOKEN_SEMI},      {"|", TOKEN_PIPE},
    {"<", TOKEN_LESS},     {">", TOKEN_GREAT},    {"(", TOKEN_LPAREN},    {")", TOKEN_RPAREN},
};

void lexer_init(struct lexer *lexer, const char *text, size_t len, int line)
{
    *lexer = (struct lexer){.at = text, .end = text + len, .line = line};
}

static bool ends_word(char c)
{
    return c == '\0' || strchr(" \t\n;&|<>()", c) != NULL;
}

static bool at_continuation(const struct lexer *lexer)
{
    return lexer->end - lexer->at >= 2 && lexer->at[0] == '\\' && lexer->at[1] == '\n';
}

static void skip_comment(struct lexer *lexer)
{
    while (lexer->at < lexer->end && *lexer->at != '\n')
        lexer->at++;
}

/* A \ before the newline that ends the text asks for another line. */
static void skip_continuation(struct lexer *lexer)
{
    lexer->at += 2;
    lexer->line++;
    if (lexer->at == lexer->end)
        lexer->incomplete = true;
}

static void skip_blanks(struct lexer *lexer)
{
    for (;;) {
        if (at_continuation(lexer))
            skip_continuation(lexer);
        else if (lexer->at < lexer->end && (*lexer->at == ' ' || *lexer->at == '\t'))
            lexer->at++;
        else if (lexer->at < lexer->end && *lexer->at == '#')
            skip_comment(lexer);
        else
            return;
    }
}

static struct token token_end(struct lexer *lexer, struct token token, enum token_kind kind)
{
    token.kind = kind;
    token.span.len = (size_t)(lexer->at - token.span.text);
    for (const char *p = token.span.text; p < lexer->at; p++)
        lexer->line += *p == '\n';
    return token;
}

static struct token token_error(struct lexer *lexer, struct token token, const char *what, const char *arg)
{
    snprintf(lexer->error, sizeof(lexer->error), what, arg);
    lexer->at = lexer->end;
    return token_end(lexer, token, TOKEN_ERROR);
}

static struct token lex_word(struct lexer *lexer, struct token token)
{
    struct scan scan = {.end = lexer->end};

    while (lexer->at < lexer->end && !ends_word(*lexer->at)) {
        const char *after = scan_unit(&scan, lexer->at);

        if (!after) {
            lexer->incomplete = !scan.too_deep;
            return token_error(lexer, token,
                               scan.too_deep ? "quotes and substitutions nested too deeply%s"
                                             : "unexpected end of input while looking for `%s'",
                               scan.too_deep ? "" : scan.missing);
        }
        if (after == lexer->end && at_continuation(lexer))
            lexer->incomplete = true;
        lexer->at = after;
    }
    if (lexer->at < lexer->end && *lexer->at == '\0')
        return token_error(lexer, token, "zero byte in the input%s", "");
    return token_end(lexer, token, TOKEN_WORD);
}

static bool word_is_io_number(const struct lexer *lexer, const struct token *token)
{
    if (lexer->at == lexer->end || (*lexer->at != '<' && *lexer->at != '>'))
        return false;
    for (size_t i = 0; i < token->span.len; i++)
        if (!isdigit((unsigned char)token->span.text[i]))
            return false;
    return true;
}

static struct token lex_operator(struct lexer *lexer, struct token token)
{
    size_t left = (size_t)(lexer->end - lexer->at);

    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        size_t len = strlen(operators[i].text);

        if (len <= left && memcmp(lexer->at, operators[i].text, len) == 0) {
            lexer->at += len;
            return token_end(lexer, token, operators[i].kind);
        }
    }
    return token_error(lexer, token, "unexpected character%s", "");
}

struct token lexer_next(struct lexer *lexer)
{
    struct token token;

    skip_blanks(lexer);
    token = (struct token){.span = {lexer->at, 0}, .line = lexer->line};
    if (lexer->at == lexer->end)
        return token_end(lexer, token, TOKEN_END);
    if (*lexer->at == '\n') {
        lexer->at++;
        return token_end(lexer, token, TOKEN_NEWLINE);
    }
    if (*lexer->at != '\0' && ends_word(*lexer->at))
        return lex_operator(lexer, token);
    token = lex_word(lexer, token);
    if (token.kind == TOKEN_WORD && word_is_io_number(lexer, &token))
        token.kind = TOKEN_IO_NUMBER;
    return token;
}

bool token_is(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && token->span.len == strlen(word) &&
           memcmp(token->span.text, word, token->span.len) == 0;
}
