/* bomb [WIDTH]: spawns so many copies of itself that do the same, until nobody lets it; then all sleep. */
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int width = argc > 1 ? atoi(argv[1]) : 2;
    pid_t pid;

    for (int i = 0; i < width && posix_spawn(&pid, "/bin/bomb", NULL, NULL, argv, environ) == 0; i++)
        ;
    for (;;)
        pause();
}
