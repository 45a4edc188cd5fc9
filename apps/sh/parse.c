#include "parse.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lex.h"

enum { PARSE_DEPTH_MAX = 100 };

struct parser {
    struct lexer lexer;
    struct token token; /* the next one, not yet taken */
    const char *taken;  /* end of the last one taken */
    struct arena *arena;
    struct parse_error *error;
    enum parse_result result;
    int depth;
};

static struct node *parse_list(struct parser *parser);
static struct node *parse_andor(struct parser *parser);

/* Errors. The first one counts; afterwards every token is TOKEN_ERROR, which ends every loop. */

static void fail(struct parser *parser, enum parse_result result, const char *what)
{
    if (parser->result == PARSE_OK) {
        parser->result = result;
        parser->error->line = parser->token.line;
        snprintf(parser->error->what, sizeof(parser->error->what), "%s", what);
    }
    parser->token.kind = TOKEN_ERROR;
}

static void fail_unexpected(struct parser *parser)
{
    const struct token *token = &parser->token;
    char what[sizeof(parser->error->what)];
    int shown = token->span.len < 60 ? (int)token->span.len : 60;

    if (token->kind == TOKEN_END)
        fail(parser, PARSE_INCOMPLETE, "syntax error: unexpected end of input");
    else if (token->kind == TOKEN_NEWLINE)
        fail(parser, PARSE_ERROR, "syntax error near unexpected token `newline'");
    else if (token->kind != TOKEN_ERROR) {
        snprintf(what, sizeof(what), "syntax error near unexpected token `%.*s'", shown, token->span.text);
        fail(parser, PARSE_ERROR, what);
    }
}

static void advance(struct parser *parser)
{
    if (parser->result != PARSE_OK)
        return;
    parser->taken = parser->token.span.text + parser->token.span.len;
    parser->token = lexer_next(&parser->lexer);
    if (parser->token.kind == TOKEN_ERROR)
        fail(parser, parser->lexer.incomplete ? PARSE_INCOMPLETE : PARSE_ERROR, parser->lexer.error);
}

static bool accept(struct parser *parser, enum token_kind kind)
{
    if (parser->token.kind != kind)
        return false;
    advance(parser);
    return true;
}

static bool accept_word(struct parser *parser, const char *word)
{
    if (!token_is(&parser->token, word))
        return false;
    advance(parser);
    return true;
}

static void expect_word(struct parser *parser, const char *word)
{
    if (!accept_word(parser, word))
        fail_unexpected(parser);
}

static void skip_newlines(struct parser *parser)
{
    while (accept(parser, TOKEN_NEWLINE))
        ;
}

static struct node *node_new(struct parser *parser, enum node_kind kind)
{
    struct node *node = arena_alloc(parser->arena, sizeof(*node));

    node->kind = kind;
    node->line = parser->token.line;
    node->source.text = parser->token.span.text;
    return node;
}

static struct node *node_end(struct parser *parser, struct node *node)
{
    if (parser->taken > node->source.text)
        node->source.len = (size_t)(parser->taken - node->source.text);
    return node;
}

static struct word *word_new(struct parser *parser)
{
    struct word *word = arena_alloc(parser->arena, sizeof(*word));

    word->raw = parser->token.span;
    advance(parser);
    return word;
}

/* Words that mean something where a command may begin. */

static const char *const closers[] = {"then", "elif", "else", "fi", "do", "done", "}", NULL};
static const char *const unsupported[] = {"case", "esac", "function", "select", "[[", NULL};

static bool token_among(const struct token *token, const char *const *words)
{
    for (; *words; words++)
        if (token_is(token, *words))
            return true;
    return false;
}

static bool begins_command(const struct token *token)
{
    switch (token->kind) {
    case TOKEN_WORD:
        return !token_among(token, closers);
    case TOKEN_IO_NUMBER:
    case TOKEN_LPAREN:
    case TOKEN_LESS:
    case TOKEN_GREAT:
    case TOKEN_DGREAT:
    case TOKEN_CLOBBER:
    case TOKEN_LESSGREAT:
    case TOKEN_LESSAND:
    case TOKEN_GREATAND:
    case TOKEN_DLESS:
        return true;
    default:
        return false;
    }
}

/* Redirections */

static bool redir_kind_of(enum token_kind token, enum redir_kind *kind, int *fd)
{
    *fd = token == TOKEN_GREAT || token == TOKEN_DGREAT || token == TOKEN_CLOBBER || token == TOKEN_GREATAND;
    switch (token) {
    case TOKEN_LESS:
        *kind = REDIR_IN;
        return true;
    case TOKEN_GREAT:
    case TOKEN_CLOBBER:
        *kind = REDIR_OUT;
        return true;
    case TOKEN_DGREAT:
        *kind = REDIR_APPEND;
        return true;
    case TOKEN_LESSGREAT:
        *kind = REDIR_INOUT;
        return true;
    case TOKEN_LESSAND:
    case TOKEN_GREATAND:
        *kind = REDIR_DUP;
        return true;
    default:
        return false;
    }
}

static int io_number(struct parser *parser, struct span digits)
{
    if (digits.len > 1)
        fail(parser, PARSE_ERROR, "redirection of a descriptor above 9");
    return digits.text[0] - '0';
}

/* Takes one redirection if there is one; false when there is none. */
static bool parse_redir(struct parser *parser, struct redir ***tail)
{
    int number = -1, fd;
    enum redir_kind kind;
    struct redir *redir;

    if (parser->token.kind == TOKEN_IO_NUMBER) {
        number = io_number(parser, parser->token.span);
        advance(parser);
    }
    if (parser->token.kind == TOKEN_DLESS)
        fail(parser, PARSE_ERROR, "here-documents (<<) are not supported");
    if (!redir_kind_of(parser->token.kind, &kind, &fd))
        return false;
    advance(parser);
    if (parser->token.kind != TOKEN_WORD && parser->token.kind != TOKEN_IO_NUMBER) {
        fail_unexpected(parser);
        return false;
    }
    redir = arena_alloc(parser->arena, sizeof(*redir));
    *redir = (struct redir){.kind = kind, .fd = number < 0 ? fd : number, .target = parser->token.span};
    advance(parser);
    **tail = redir;
    *tail = &redir->next;
    return true;
}

static void parse_redirs(struct parser *parser, struct node *node)
{
    struct redir **tail = &node->redirs;

    while (parse_redir(parser, &tail))
        ;
}

/* Commands */

bool name_valid(const char *text, size_t len)
{
    if (!len || isdigit((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_')
            return false;
    return true;
}

size_t assignment_name_len(struct span raw)
{
    const char *equals = memchr(raw.text, '=', raw.len);
    size_t len = equals ? (size_t)(equals - raw.text) : 0;

    return name_valid(raw.text, len) ? len : 0;
}

static struct node *parse_simple(struct parser *parser)
{
    struct node *node = node_new(parser, NODE_COMMAND);
    struct word **assigns = &node->assigns, **words = &node->words;
    struct redir **redirs = &node->redirs;

    for (;;) {
        if (parse_redir(parser, &redirs))
            continue;
        if (parser->token.kind != TOKEN_WORD)
            break;
        if (!node->words && assignment_name_len(parser->token.span)) {
            *assigns = word_new(parser);
            assigns = &(*assigns)->next;
        } else {
            *words = word_new(parser);
            words = &(*words)->next;
        }
    }
    if (parser->token.kind == TOKEN_LPAREN)
        fail_unexpected(parser);
    return node_end(parser, node);
}

/* A list that must hold at least one command. */
static struct node *parse_body(struct parser *parser)
{
    struct node *body = parse_list(parser);

    if (!body)
        fail_unexpected(parser);
    return body;
}

static struct node *parse_group(struct parser *parser)
{
    struct node *node = node_new(parser, NODE_GROUP);

    advance(parser);
    node->body[0] = parse_body(parser);
    expect_word(parser, "}");
    return node;
}

static struct node *parse_subshell(struct parser *parser)
{
    struct node *node = node_new(parser, NODE_SUBSHELL);

    advance(parser);
    node->body[0] = parse_body(parser);
    if (!accept(parser, TOKEN_RPAREN))
        fail_unexpected(parser);
    return node;
}

/* From "if" or "elif" to just before "fi". A chain of elif is flat: no recursion. */
static struct node *parse_if(struct parser *parser)
{
    struct node *first = node_new(parser, NODE_IF), *node = first;

    for (;;) {
        advance(parser);
        node->body[0] = parse_body(parser);
        expect_word(parser, "then");
        node->body[1] = parse_body(parser);
        if (!token_is(&parser->token, "elif"))
            break;
        node->body[2] = node_new(parser, NODE_IF);
        node = node->body[2];
    }
    if (accept_word(parser, "else"))
        node->body[2] = parse_body(parser);
    expect_word(parser, "fi");
    return first;
}

static struct node *parse_do(struct parser *parser)
{
    struct node *body;

    expect_word(parser, "do");
    body = parse_body(parser);
    expect_word(parser, "done");
    return body;
}

static struct node *parse_while(struct parser *parser)
{
    struct node *node = node_new(parser, token_is(&parser->token, "while") ? NODE_WHILE : NODE_UNTIL);

    advance(parser);
    node->body[0] = parse_body(parser);
    node->body[1] = parse_do(parser);
    return node;
}

static void parse_for_words(struct parser *parser, struct node *node)
{
    struct word **tail = &node->words;

    while (parser->token.kind == TOKEN_WORD) {
        *tail = word_new(parser);
        tail = &(*tail)->next;
    }
    if (!accept(parser, TOKEN_SEMI) && !accept(parser, TOKEN_NEWLINE))
        fail_unexpected(parser);
}

static struct node *parse_for(struct parser *parser)
{
    struct node *node = node_new(parser, NODE_FOR);

    advance(parser);
    if (parser->token.kind != TOKEN_WORD || !name_valid(parser->token.span.text, parser->token.span.len))
        fail_unexpected(parser);
    node->name = parser->token.span;
    advance(parser);
    skip_newlines(parser);
    if (accept_word(parser, "in")) {
        parse_for_words(parser, node);
    } else {
        node->for_params = true;
        accept(parser, TOKEN_SEMI);
    }
    skip_newlines(parser);
    node->body[0] = parse_do(parser);
    return node;
}

static void fail_unsupported(struct parser *parser)
{
    char what[sizeof(parser->error->what)];

    snprintf(what, sizeof(what), "%.*s is not supported", (int)parser->token.span.len,
             parser->token.span.text);
    fail(parser, PARSE_ERROR, what);
}

static struct node *parse_compound(struct parser *parser)
{
    const struct token *token = &parser->token;

    if (token->kind == TOKEN_LPAREN)
        return parse_subshell(parser);
    if (token_is(token, "{"))
        return parse_group(parser);
    if (token_is(token, "if"))
        return parse_if(parser);
    if (token_is(token, "while") || token_is(token, "until"))
        return parse_while(parser);
    if (token_is(token, "for"))
        return parse_for(parser);
    if (token_among(token, unsupported))
        fail_unsupported(parser);
    return NULL;
}

static struct node *parse_command(struct parser *parser)
{
    struct node *node = NULL;

    if (!begins_command(&parser->token)) {
        fail_unexpected(parser);
    } else if (parser->depth == PARSE_DEPTH_MAX) {
        fail(parser, PARSE_ERROR, "commands nested too deeply");
    } else {
        parser->depth++;
        node = parse_compound(parser);
        if (node)
            parse_redirs(parser, node);
        else
            node = parse_simple(parser);
        parser->depth--;
        node_end(parser, node);
    }
    return node;
}

static struct node *wrap(struct parser *parser, struct node *first, enum node_kind kind)
{
    struct node *node;

    if (!first || !first->next)
        return first;
    node = node_new(parser, kind);
    node->line = first->line;
    node->source.text = first->source.text;
    node->body[0] = first;
    return node_end(parser, node);
}

static struct node *parse_pipeline(struct parser *parser)
{
    const char *start = parser->token.span.text;
    struct node *first = NULL, **tail = &first;
    bool negated = false;

    while (accept_word(parser, "!"))
        negated = !negated;
    for (;;) {
        *tail = parse_command(parser);
        if (!*tail || !accept(parser, TOKEN_PIPE))
            break;
        tail = &(*tail)->next;
        skip_newlines(parser);
    }
    first = wrap(parser, first, NODE_PIPELINE);
    if (first && negated) {
        /* !a inside a group: { !a; } needs no node of its own, only its text begins earlier */
        first->negated = true;
        first->source.text = start;
        node_end(parser, first);
    }
    return first;
}

static bool accept_join(struct parser *parser, enum join *join)
{
    *join = parser->token.kind == TOKEN_AND_IF ? JOIN_AND : JOIN_OR;
    return accept(parser, TOKEN_AND_IF) || accept(parser, TOKEN_OR_IF);
}

static struct node *parse_andor(struct parser *parser)
{
    struct node *first = NULL, **tail = &first;
    enum join join = JOIN_ALWAYS;

    for (;;) {
        *tail = parse_pipeline(parser);
        if (!*tail)
            break;
        (*tail)->join = join;
        if (!accept_join(parser, &join))
            break;
        tail = &(*tail)->next;
        skip_newlines(parser);
    }
    return wrap(parser, first, NODE_ANDOR);
}

static bool accept_separator(struct parser *parser, struct node *before)
{
    if (parser->token.kind == TOKEN_AMP)
        before->background = true;
    return accept(parser, TOKEN_AMP) || accept(parser, TOKEN_SEMI) || accept(parser, TOKEN_NEWLINE);
}

static struct node *parse_list(struct parser *parser)
{
    struct node *first = NULL, **tail = &first;

    skip_newlines(parser);
    while (begins_command(&parser->token)) {
        *tail = parse_andor(parser);
        if (!*tail || !accept_separator(parser, *tail))
            break;
        tail = &(*tail)->next;
        skip_newlines(parser);
    }
    return wrap(parser, first, NODE_LIST);
}

enum parse_result script_parse(struct script *script, const char *text, size_t len, int line,
                               struct parse_error *error)
{
    struct parser parser = {.arena = &script->arena, .error = error, .result = PARSE_OK};

    *script = (struct script){0};
    text = arena_strndup(&script->arena, text, len);
    lexer_init(&parser.lexer, text, len, line);
    parser.token = (struct token){.span = {text, 0}, .line = line};
    advance(&parser);
    script->root = parse_list(&parser);
    if (parser.token.kind != TOKEN_END)
        fail_unexpected(&parser);
    if (parser.result == PARSE_OK && parser.lexer.incomplete) {
        /* the text ends in \ and newline */
        fail(&parser, PARSE_INCOMPLETE, "unexpected end of input after \\");
    }
    return parser.result;
}

void script_free(struct script *script)
{
    arena_free(&script->arena);
    script->root = NULL;
}
