#include "job.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "mem.h"
#include "shell.h"
#include "term.h"

struct job *job_new(struct shell *sh, struct span text, bool background)
{
    struct job **at = &sh->jobs.first, *job = xmalloc(sizeof(*job));
    int number = 1;

    for (; *at; at = &(*at)->next)
        number = (*at)->number + 1;
    *job = (struct job){.number = number, .background = background, .text = xstrndup(text.text, text.len)};
    *at = job;
    return job;
}

static void job_drop(struct jobs *jobs, struct job *job)
{
    struct job **at = &jobs->first;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    free(job->processes);
    free(job->text);
    free(job);
}

void jobs_free(struct jobs *jobs)
{
    while (jobs->first)
        job_drop(jobs, jobs->first);
}

void job_add(struct job *job, pid_t pid, int status)
{
    job->processes = xrealloc(job->processes, (job->len + 1) * sizeof(*job->processes));
    job->processes[job->len++] = (struct process){.pid = pid, .status = status};
    if (pid)
        job->last_pid = pid;
}

static void process_ended(struct process *process, int wait_status)
{
    process->pid = 0;
    if (WIFSIGNALED(wait_status)) {
        process->signal = WTERMSIG(wait_status);
        process->status = STATUS_SIGNAL + process->signal;
    } else {
        process->status = WEXITSTATUS(wait_status);
    }
}

/* Waits for one process. False: it still runs, or waiting was interrupted. */
static bool process_wait(struct process *process, int flags)
{
    int wait_status;
    pid_t pid = waitpid(process->pid, &wait_status, flags);

    if (pid == 0 || (pid < 0 && errno == EINTR))
        return false;
    process->stopped = pid > 0 && WIFSTOPPED(wait_status);
    if (pid < 0)
        *process = (struct process){.status = STATUS_NOT_FOUND}; /* no such child */
    else if (!process->stopped)
        process_ended(process, wait_status);
    return true;
}

static bool job_running(const struct job *job)
{
    for (size_t i = 0; i < job->len; i++)
        if (job->processes[i].pid && !job->processes[i].stopped)
            return true;
    return false;
}

static bool job_stopped(const struct job *job)
{
    for (size_t i = 0; i < job->len; i++)
        if (job->processes[i].pid && job->processes[i].stopped)
            return !job_running(job);
    return false;
}

static int job_status(const struct job *job)
{
    return job->len ? job->processes[job->len - 1].status : 0;
}

/* Only a job of its own process group can stop and leave the shell running. */
static int wait_flags(const struct job *job)
{
    return job->group ? WUNTRACED : 0;
}

/* The signal that ended the job's last process, or 0. */
static int job_signal(const struct job *job)
{
    return job->len ? job->processes[job->len - 1].signal : 0;
}

static void tell_signals(struct shell *sh, const struct job *job)
{
    int last = job_signal(job);

    for (size_t i = 0; i < job->len; i++)
        if (job->processes[i].signal == SIGINT && sh->interactive)
            shell_interrupted = 1; /* meant for everything that this line of commands does */
    if (last && last != SIGPIPE && last != SIGINT)
        shell_error(sh, "%s: %s", job->text, strsignal(last));
}

static void tell(const struct job *job, const char *state)
{
    fprintf(stderr, "[%d] %-12s %s\n", job->number, state, job->text);
}

static const char *state_name(const struct job *job, char *room, size_t size)
{
    int status = job_status(job);

    if (job_running(job))
        return "Running";
    if (job_stopped(job))
        return "Stopped";
    if (job_signal(job))
        return strsignal(job_signal(job));
    if (status == 0)
        return "Done";
    snprintf(room, size, "Exit %d", status);
    return room;
}

/* A Ctrl-C that came just before the job had the terminal is the shell's signal: it is handed on. */
static void wait_for_processes(struct job *job)
{
    bool handed_on = false;

    for (size_t i = 0; i < job->len; i++)
        while (job->processes[i].pid && !job->processes[i].stopped) {
            if (shell_interrupted && job->group && !handed_on)
                handed_on = kill(-job->group, SIGINT) == 0;
            process_wait(&job->processes[i], wait_flags(job));
        }
}

int job_wait(struct shell *sh, struct job *job)
{
    int status;

    if (job->group)
        term_give(job->group); /* a $(...) among its words may have taken it back */
    wait_for_processes(job);
    if (sh->interactive)
        term_take_back();
    if (job_stopped(job)) {
        job->background = job->was_stopped = true;
        fputc('\n', stderr); /* behind the ^Z that the terminal echoed */
        tell(job, "Stopped");
        return STATUS_SIGNAL + SIGTSTP;
    }
    status = job_status(job);
    tell_signals(sh, job);
    job_drop(&sh->jobs, job);
    return status;
}

int job_wait_background(struct shell *sh, struct job *job)
{
    int status;

    for (size_t i = 0; i < job->len; i++)
        while (job->processes[i].pid && !job->processes[i].stopped) {
            process_wait(&job->processes[i], wait_flags(job));
            if (shell_interrupted)
                return STATUS_SIGNAL + SIGINT;
        }
    if (job_stopped(job))
        return STATUS_SIGNAL + SIGTSTP;
    status = job_status(job);
    job_drop(&sh->jobs, job);
    return status;
}

static void job_poll(struct job *job)
{
    for (size_t i = 0; i < job->len; i++)
        if (job->processes[i].pid)
            process_wait(&job->processes[i], wait_flags(job) | WNOHANG);
}

void jobs_poll(struct shell *sh, bool told)
{
    struct job *next;
    char room[24];

    for (struct job *job = sh->jobs.first; job; job = next) {
        next = job->next;
        if (!job->background)
            continue;
        job_poll(job);
        if (!told || job_running(job) || (job_stopped(job) && job->was_stopped))
            continue;
        tell(job, state_name(job, room, sizeof(room)));
        job->was_stopped = job_stopped(job);
        if (!job->was_stopped)
            job_drop(&sh->jobs, job);
    }
}

void jobs_print(struct shell *sh)
{
    char room[24];

    jobs_poll(sh, false);
    for (struct job *job = sh->jobs.first; job; job = job->next)
        if (job->background)
            printf("[%d] %-12s %s\n", job->number, state_name(job, room, sizeof(room)), job->text);
}

static struct job *newest(const struct jobs *jobs)
{
    struct job *found = NULL;

    for (struct job *job = jobs->first; job; job = job->next)
        if (job->background)
            found = job;
    return found;
}

struct job *jobs_find(struct shell *sh, const char *name)
{
    bool by_number = name[0] == '%';
    char *end;
    long number;

    if (!name[0] || strcmp(name, "%%") == 0 || strcmp(name, "%+") == 0)
        return newest(&sh->jobs);
    number = strtol(name + by_number, &end, 10);
    if (*end)
        return NULL;
    for (struct job *job = sh->jobs.first; job; job = job->next)
        if (job->background && (by_number ? job->number == number : job->last_pid == number))
            return job;
    return NULL;
}

bool job_continue(struct job *job)
{
    if (job->group && kill(-job->group, SIGCONT) < 0)
        return false;
    for (size_t i = 0; i < job->len; i++)
        job->processes[i].stopped = false;
    job->was_stopped = false;
    return true;
}
