/*
 * sh: Corbel's shell.
 *
 *   text -> lex -> parse -> a tree -> exec -> expand -> redirect -> launch -> programs
 *
 * There is no fork: programs are spawned, and where POSIX wants a copy of the shell, a second shell is
 * started on the piece of text in question (subshell).
 */
#include "shell.h"

int main(int argc, char **argv)
{
    return shell_main(argc, argv);
}
