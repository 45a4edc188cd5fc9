/* kill: sends a signal to processes. */
#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>

#include "../common/tool.h"

static const char help[] = "usage: kill [-SIGNAL | -s SIGNAL] PID...\n"
                           "       kill -l [NUMBER]\n"
                           "Sends SIGNAL, a name or a number, TERM if there is none, to each process.\n"
                           "PID 0 is one's own process group, -PID the process group PID.\n";

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ILL", SIGILL},     {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT}, {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"BUS", SIGBUS},     {"SEGV", SIGSEGV},
    {"SYS", SIGSYS},   {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},   {"URG", SIGURG},
    {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"CONT", SIGCONT}, {"CHLD", SIGCHLD},   {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"WINCH", SIGWINCH},
};

enum { NSIGNALS = sizeof(signals) / sizeof(signals[0]) };

static bool number_of(const char *text, long *number)
{
    char *end;

    errno = 0;
    *number = strtol(text, &end, 10);
    return !errno && end != text && !*end && *number == (int)*number;
}

/* A name with or without SIG, or a number; -1: neither. */
static int signal_of(const char *text)
{
    long number;

    if (isdigit((unsigned char)text[0]))
        return number_of(text, &number) && number >= 0 && number < NSIG ? (int)number : -1;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (int i = 0; i < NSIGNALS; i++)
        if (strcasecmp(signals[i].name, text) == 0)
            return signals[i].number;
    return -1;
}

static void print_signal(int i, bool name_only)
{
    if (!name_only)
        printf("%2d ", signals[i].number);
    puts(signals[i].name);
}

static int list(const char *which)
{
    long wanted = 0;

    if (which && !number_of(which, &wanted))
        return tool_usage("kill", "-l takes a number", help);
    if (wanted > 128)
        wanted -= 128; /* an exit status */
    for (int i = 0; i < NSIGNALS; i++)
        if (!which || signals[i].number == wanted)
            print_signal(i, which != NULL);
    return tool_finish("kill", TOOL_OK);
}

/* The signal that the first arguments name; *next: the first argument behind them. -1: wrong use. */
static int take_signal(int argc, char **argv, int *next)
{
    *next = 1;
    if (argc > 1 && strcmp(argv[1], "--") == 0) {
        *next = 2;
        return SIGTERM;
    }
    if (argc > 2 && strcmp(argv[1], "-s") == 0) {
        *next = 3;
        return signal_of(argv[2]);
    }
    if (argc > 1 && argv[1][0] == '-') {
        *next = argc > 2 && strcmp(argv[2], "--") == 0 ? 3 : 2;
        return signal_of(argv[1] + 1);
    }
    return SIGTERM;
}

static int kill_one(const char *text, int number)
{
    long pid;

    if (!number_of(text, &pid)) {
        tool_complain("kill", text, "not a process id");
        return TOOL_USAGE;
    }
    if (kill((pid_t)pid, number) == 0)
        return TOOL_OK;
    tool_error("kill", text);
    return TOOL_FAILED;
}

int main(int argc, char **argv)
{
    int number, next, status = TOOL_OK;

    if (tool_help(argc, argv, help))
        return TOOL_OK;
    if (argc > 1 && strcmp(argv[1], "-l") == 0)
        return list(argv[2]);
    number = take_signal(argc, argv, &next);
    if (number < 0) {
        tool_complain("kill", argv[next - 1], "no such signal; kill -l lists them");
        return TOOL_USAGE;
    }
    if (next == argc)
        return tool_usage("kill", "which process?", help);
    for (; next < argc; next++) {
        int result = kill_one(argv[next], number);

        status = result > status ? result : status;
    }
    return status;
}
