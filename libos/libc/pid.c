/* Processes as POSIX names them, over os/proc.h.  newlib's own wrappers call the names with an underscore. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libc/result.h"
#include "os/proc.h"

pid_t _getpid(void);
int _kill(pid_t pid, int sig);
pid_t _fork(void);
int _execve(const char *path, char *const argv[], char *const envp[]);

void _exit(int status)
{
    os_exit(status);
}

pid_t _getpid(void)
{
    return (pid_t)os_pid();
}

pid_t getpid(void)
{
    return (pid_t)os_pid();
}

pid_t getppid(void)
{
    return (pid_t)os_ppid();
}

/* ---- waiting, signals ------------------------------------------------------------------------------------- */

pid_t waitpid(pid_t pid, int *status, int options)
{
    if (options & ~(WNOHANG | WUNTRACED))
        return (pid_t)libc_result(-EINVAL);
    return (pid_t)libc_result(os_wait(pid, status, options & WNOHANG ? OS_WAIT_NOHANG : 0));
}

pid_t wait(int *status)
{
    return waitpid(-1, status, 0);
}

pid_t _wait(int *status)
{
    return waitpid(-1, status, 0);
}

int _kill(pid_t pid, int sig)
{
    return (int)libc_result(os_kill(pid, sig));
}

int kill(pid_t pid, int sig)
{
    return (int)libc_result(os_kill(pid, sig));
}

int killpg(pid_t group, int sig)
{
    if (group < 0 || group == 1)
        return (int)libc_result(-EINVAL);
    return (int)libc_result(os_kill(-group, sig));
}

/* ---- groups, users ----------------------------------------------------------------------------------------- */

pid_t getpgid(pid_t pid)
{
    return pid < 0 ? (pid_t)libc_result(-ESRCH) : (pid_t)libc_result(os_getpgid((uint32_t)pid));
}

pid_t getpgrp(void)
{
    return getpgid(0);
}

int setpgid(pid_t pid, pid_t group)
{
    if (pid < 0 || group < 0)
        return (int)libc_result(-EINVAL);
    return (int)libc_result(os_setpgid((uint32_t)pid, (uint32_t)group));
}

/* A session is the job that init started; who is in one cannot leave it. */
pid_t getsid(pid_t pid)
{
    struct os_proc_entry entry;

    if (pid < 0 || !os_proc_find(pid ? (uint32_t)pid : os_pid(), &entry))
        return (pid_t)libc_result(-ESRCH);
    return (pid_t)entry.job;
}

pid_t setsid(void)
{
    return (pid_t)libc_result(-EPERM);
}

/* There are no users: what a program may do stands in the manifest. */
uid_t getuid(void)
{
    return 0;
}

uid_t geteuid(void)
{
    return 0;
}

gid_t getgid(void)
{
    return 0;
}

gid_t getegid(void)
{
    return 0;
}

/* ---- not yet ------------------------------------------------------------------------------------------------- */

pid_t _fork(void)
{
    return (pid_t)libc_result(-ENOSYS);
}

pid_t fork(void)
{
    return (pid_t)libc_result(-ENOSYS);
}

pid_t vfork(void)
{
    return (pid_t)libc_result(-ENOSYS);
}

int _execve(const char *path, char *const argv[], char *const envp[])
{
    (void)path, (void)argv, (void)envp;
    return (int)libc_result(-ENOSYS);
}

int execve(const char *path, char *const argv[], char *const envp[])
{
    return _execve(path, argv, envp);
}
