/* proctest: processes and services as a program meets them; proctest hostile N SEED: a client that sends
 * rubbish to every server it reaches. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/exo.h"
#include "os/ipc.h"
#include "os/proc.h"
#include "proctest.h"

static int failures;

static void check(bool good, const char *what)
{
    printf("%sok - %s\n", good ? "" : "not ", what);
    fflush(stdout);
    failures += !good;
}

/* ---- spawning --------------------------------------------------------------------------------------------- */

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})
#define WORD(s) ((char *)(uintptr_t)(s))

static int spawn(pid_t *pid, char *const argv[])
{
    return posix_spawnp(pid, argv[0], NULL, NULL, argv, environ);
}

/* The status as waitpid gives it, or -1. */
static int run(char *const argv[])
{
    pid_t pid;
    int status;

    if (spawn(&pid, argv) || waitpid(pid, &status, 0) != pid)
        return -1;
    return status;
}

static void statuses(void) /* P1 */
{
    int status = run(WORDS(WORD("true")));

    check(status == 0, "P1 exit status 0");
    status = run(WORDS(WORD("sh"), WORD("-c"), WORD("exit 42")));
    check(WIFEXITED(status) && WEXITSTATUS(status) == 42, "P1 exit status 42");
    status = run(WORDS(WORD("proctest"), WORD("raw")));
    check(WIFEXITED(status) && WEXITSTATUS(status) == 3, "P1 env_exit(3) is exit status 3");
    check(waitpid(-1, &status, 0) == -1 && errno == ECHILD, "P1 no children: ECHILD");
    check(posix_spawn(NULL, "/nosuch", NULL, NULL, WORDS(WORD("x")), environ) == ENOENT,
          "P1 no program: ENOENT");
    check(posix_spawn(NULL, "/bin", NULL, NULL, WORDS(WORD("x")), environ) == EACCES,
          "P1 a directory: EACCES");
}

static void signals(void) /* P1, P2, K2 */
{
    pid_t pid;
    int status = 0;

    check(spawn(&pid, WORDS(WORD("sleep"), WORD("100"))) == 0, "P1 a sleeper");
    check(waitpid(pid, &status, WNOHANG) == 0, "P1 WNOHANG: 0 while it lives");
    check(kill(pid, 0) == 0 && kill(pid, SIGTERM) == 0, "P2 kill");
    check(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM,
          "P2 ended by SIGTERM");
    check(kill(pid, 0) == -1 && errno == ESRCH, "P2 it is gone: ESRCH");
    check(spawn(&pid, WORDS(WORD("sleep"), WORD("100"))) == 0 && kill(pid, SIGKILL) == 0, "P2 SIGKILL");
    check(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
          "P2 ended by SIGKILL");
    check(kill(1, SIGKILL) == -1 && errno == EPERM, "K2 nobody kills pid 1");
    check(kill(2, SIGKILL) == -1 && errno == EPERM, "K2 nor another application");
    check(os_interrupt(2, SIGINT) == -EPERM, "K2 nor plays the terminal");
}

static void file_actions(void) /* P1 */
{
    posix_spawn_file_actions_t actions;
    char text[16] = "";
    int fds[2];
    pid_t pid;
    ssize_t n;

    check(pipe(fds) == 0 && posix_spawn_file_actions_init(&actions) == 0, "P1 a pipe, and file actions");
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    posix_spawn_file_actions_addclose(&actions, fds[1]);
    check(posix_spawn(&pid, "/bin/echo", &actions, NULL, WORDS(WORD("echo"), WORD("through")), environ) == 0,
          "P1 posix_spawn with file actions");
    close(fds[1]);
    n = read(fds[0], text, sizeof(text) - 1);
    check(n == 8 && strcmp(text, "through\n") == 0, "P1 what the child wrote");
    check(read(fds[0], text, sizeof(text)) == 0, "P1 then the end, as the writer has ended");
    close(fds[0]);
    waitpid(pid, NULL, 0);
    posix_spawn_file_actions_destroy(&actions);
}

static void orphans(void) /* P1 */
{
    struct os_proc_entry e;
    bool adopted = false;

    run(WORDS(WORD("sh"), WORD("-c"), WORD("sleep 2 &")));
    for (uint32_t slot = 0; os_proc_next(&slot, &e);)
        adopted |= strcmp(e.name, "sleep") == 0 && e.ppid == 1;
    check(adopted, "P1 an orphan is init's");
}

/* ---- limits and grants ------------------------------------------------------------------------------------ */

static void limits(void)
{
    pid_t pids[8];
    int n = 0, error = 0;

    while (n < 8 && (error = spawn(&pids[n], WORDS(WORD("sleep"), WORD("100")))) == 0)
        n++;
    check(n <= 5 && error == EAGAIN, "`processes` holds: EAGAIN");
    while (n > 0) {
        kill(pids[--n], SIGKILL);
        waitpid(pids[n], NULL, 0);
    }
    check(run(WORDS(WORD("true"))) == 0, "and again, when they have gone");
    check(os_spawn(&(struct os_spawn){.path = "/bin/huge", .argv = WORDS(WORD("x"))}) == -ENOMEM,
          "`memory` is refused: ENOMEM");
    check(strstr(os_proc_error(), "/bin/huge") != NULL, "with a sentence");
}

static void grants(void)
{
    static struct os_server impostor = {.name = "fs", .max_peers = 1};
    struct os_session s;

    check(os_connect("secret", 0, &s) == -EACCES, "a service that the manifest does not list: EACCES");
    check(os_connect("nosuch", 0, &s) == -EACCES, "a service that is none: EACCES");
    check(os_connect("Not A Name", 0, &s) == -EINVAL, "I6 names are validated");
    check(os_server_start(&impostor) == -EACCES, "a service that it may not offer: EACCES");
    check(os_start_grant_nth(os_start_block(), OS_GRANT_NONE, 0) == NULL,
          "no device that the manifest does not grant");
}

/* K29, I1: its end is an error at once, and the next connection reaches the one that was started in its place. */
static void restart(void)
{
    struct os_words w = {.w = {OS_OP_FIRST}};
    struct os_session s;

    for (int i = 0; i < 2; i++) {
        check(os_connect("flaky", PAGE_SIZE, &s) == 0, "I6 connecting waits for the service");
        check(os_request(&s, &w, EXO_FOREVER) == -EPIPE, "I1 its end in the middle of a call: EPIPE");
        w.w[0] = OS_OP_FIRST;
        check(os_request(&s, &w, EXO_FOREVER) == -EPIPE, "I1 and after it: EPIPE");
        w.w[0] = OS_OP_FIRST;
        os_disconnect(&s);
    }
}

/* ---- nothing is left over ---------------------------------------------------------------------------------- */

static uint64_t free_frames(void)
{
    return exo_frames(os_system(), EXO_FRAME_FREE);
}

static void no_leaks(void) /* P4 */
{
    static const char not_elf[] =
        "#!/bin/sh, or so it says, but it is not a program at all, not in the least, by any standard";
    FILE *f = fopen("/tmp/bad", "w");
    uint64_t before;
    bool all = true;

    check(f && fputs(not_elf, f) >= 0 && fclose(f) == 0 && chmod("/tmp/bad", 0755) == 0,
          "a file that is no program");
    run(WORDS(WORD("true")));
    (void)posix_spawn(NULL, "/tmp/bad", NULL, NULL, WORDS(WORD("x")), environ);
    before = free_frames();
    for (int i = 0; i < 100; i++)
        all = all && posix_spawn(NULL, "/tmp/bad", NULL, NULL, WORDS(WORD("x")), environ) == ENOEXEC;
    check(all && strstr(os_proc_error(), "/tmp/bad: not an ELF file"),
          "P4 not a program: ENOEXEC and a sentence, 100 times");
    check(free_frames() == before, "P4 and no page less");
    for (int i = 0; i < 200; i++)
        all = all && run(WORDS(WORD("true"))) == 0;
    check(all, "P4 200 processes, one after the other");
    check(free_frames() == before, "P4 and no page less");
    unlink("/tmp/bad");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "raw") == 0)
        exo_env_exit(3);
    if (argc > 3 && strcmp(argv[1], "hostile") == 0)
        return hostile(strtoul(argv[2], NULL, 0), strtoul(argv[3], NULL, 0));
    statuses();
    signals();
    file_actions();
    limits();
    grants();
    restart();
    no_leaks();
    orphans();
    return failures ? 1 : 0;
}
