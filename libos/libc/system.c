/* system() and popen's kin need a shell: /bin/sh. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int system(const char *line)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)line, NULL};
    int status, error;
    pid_t pid;

    if (!line)
        return access("/bin/sh", X_OK) == 0;
    error = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
    if (error) {
        errno = error;
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}
