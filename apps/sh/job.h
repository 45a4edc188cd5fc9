/*
 * Job: a pipeline that was started, and what became of its processes.
 *
 * A job is in the list of jobs from job_new() on. A foreground job leaves it when job_wait() has seen
 * its end; a background job when its end has been told.
 */
#ifndef SH_JOB_H
#define SH_JOB_H

#include <stdbool.h>
#include <sys/types.h>

#include "str.h"

struct shell;

struct process {
    pid_t pid; /* 0: it never ran, or has ended */
    int status;
    int signal; /* that ended it, or 0 */
    bool stopped;
};

struct job {
    struct job *next;
    int number;
    pid_t group; /* process group, 0: the shell's own */
    pid_t last_pid;
    struct process *processes;
    size_t len;
    char *text;
    bool background;
    bool was_stopped; /* told as such */
};

struct jobs {
    struct job *first; /* by number */
};

struct job *job_new(struct shell *sh, struct span text, bool background);
/* A process of the job; pid 0 and a status for one that did not start or ran inside the shell. */
void job_add(struct job *job, pid_t pid, int status);
/* In the foreground until it ends or stops; its status. */
int job_wait(struct shell *sh, struct job *job);
/* For a job in the background: waits for its end; its status. */
int job_wait_background(struct shell *sh, struct job *job);
/* Looks what became of the background jobs; tell: says so on stderr. */
void jobs_poll(struct shell *sh, bool tell);
void jobs_print(struct shell *sh);
/* "%2", "2", "%%", "" (the newest), or a process id; NULL: there is none. */
struct job *jobs_find(struct shell *sh, const char *name);
/* Lets a stopped job go on, and forgets that it stopped. False: errno says why not. */
bool job_continue(struct job *job);
void jobs_free(struct jobs *jobs);

#endif
