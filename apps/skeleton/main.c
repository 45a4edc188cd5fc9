/*
 * skeleton: copy this folder to begin a program of your own.
 *
 *   1. cp -r apps/skeleton apps/NAME          the folder's name is the program's name
 *   2. change this file, add others: each *.c in the folder is compiled and linked
 *   3. make run CMD='NAME argument'           it is in the bundle, as /bin/NAME, without another word
 *
 * A program may use the C library, POSIX, and whatever include/os and include/exo declare. It starts
 * with what its parent hands it: arguments, environment, descriptors 0, 1 and 2. A program that
 * needs more (a device, a service, more memory) asks for it in the manifest, apps/manifest.dts.
 */
#include <stdio.h>
#include <string.h>

/* What --help prints; its first line is what wrong use gets to see. */
static const char help[] = "usage: skeleton [NAME]\n"
                           "Greets NAME, or the world.\n";

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (argc > 2) {
        /* Say what is wrong on stderr, in the form "program: what: why", and leave with 2. */
        fprintf(stderr, "skeleton: %s: one name is enough\n%s", argv[2], help);
        return 2;
    }
    printf("Hello, %s!\n", argc > 1 ? argv[1] : "world");
    return 0; /* 0: all done; 1: something failed and was told */
}
