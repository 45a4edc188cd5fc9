/*
 * Edit: one line, typed with cursor keys, history and completion.
 *
 * The keys are decoded and carried out without a terminal (edit_key), so that tests can type; only
 * edit_line() reads and writes.
 *
 *   left ^B, right ^F, home ^A, end ^E      move         ^K, ^U, ^W   cut to the end, the start, a word
 *   up ^P, down ^N                          history      ^L           clear the screen
 *   backspace, delete ^D                    erase        ^C           cancel the line
 *   tab                                     complete     ^D           end of input on an empty line
 */
#ifndef SH_EDIT_H
#define SH_EDIT_H

#include <stdbool.h>

#include "shell.h"

enum edit_result {
    EDIT_MORE,      /* the line goes on */
    EDIT_LINE,      /* Enter: the line is whole */
    EDIT_CANCELLED, /* ^C */
    EDIT_END,       /* ^D on an empty line, or the input ended */
    EDIT_UNABLE,    /* no terminal to edit on */
};

struct edit {
    struct shell *sh;
    struct str line;
    size_t at;          /* the cursor, in bytes; never inside a character */
    size_t shown;       /* the line in history that is shown; lines.len: the new one */
    struct str newest;  /* the new line, while an older one is shown */
    struct list offers; /* completions to show; filled by a tab that cannot go on */
    bool clear_screen;  /* ^L was typed */
    int escape;         /* how far we are in an escape sequence */
    int number;         /* its number so far */
};

void edit_init(struct edit *edit, struct shell *sh);
void edit_free(struct edit *edit);
/* Takes in one byte from the keyboard. */
enum edit_result edit_key(struct edit *edit, unsigned char key);
/* Reads a line with its newline, with the terminal raw. */
enum edit_result edit_line(struct shell *sh, const char *prompt, struct str *line);

#endif
