/*
 * A function for GNU make, $(corbel_exit STATUS,FILE...): removes the files, and ends make at once with
 * STATUS. make itself ends with 0, 1 or 2 and nothing else, but `make run CMD=...` promises the exit
 * status of the line that it ran.
 *
 * Declares what it uses of gnumake.h itself, so that it builds where that header is not installed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef char *(*gmk_func_ptr)(const char *name, unsigned int argc, char **argv);
void gmk_add_function(const char *name, gmk_func_ptr func, unsigned int min_args, unsigned int max_args,
                      unsigned int flags);

int plugin_is_GPL_compatible;
int make_exit_gmk_setup(void);

static char *corbel_exit(const char *name, unsigned int argc, char **argv)
{
    (void)name;
    for (unsigned int i = 1; i < argc; i++)
        unlink(argv[i]);
    fflush(NULL);
    _exit(atoi(argv[0]));
}

int make_exit_gmk_setup(void)
{
    gmk_add_function("corbel_exit", corbel_exit, 1, 0, 0);
    return 1;
}
