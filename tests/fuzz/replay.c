/* Runs each file of a folder through the target, in a process of its own, and counts: the kept corpus without libFuzzer.
 *
 *     build/host/fuzz/calls tests/fuzz/corpus/calls [file...]
 *
 * The last line is `calls: 120 inputs, 0 failed`. */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_SECONDS 60u

static unsigned ninputs, nfailed;

/* Each input has a process of its own, which begins with fresh variables. */
void fuzz_reset(void)
{
}

static void run(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    long size;

    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET)) {
        perror(path);
        exit(2);
    }
    data = malloc((size_t)size + 1);
    if (fread(data, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
}

static void replay(const char *path)
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(INPUT_SECONDS);
        run(path);
        exit(0);
    }
    ninputs++;
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    nfailed++;
    printf("not ok - %s\n", path);
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_folder(const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, is_input, alphasort);

    if (n < 0) {
        perror(folder);
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
        replay(path);
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');

    for (int i = 1; i < argc; i++) {
        struct stat about;

        if (stat(argv[i], &about) == 0 && S_ISDIR(about.st_mode))
            replay_folder(argv[i]);
        else
            replay(argv[i]);
    }
    printf("%s: %u inputs, %u failed\n", name ? name + 1 : argv[0], ninputs, nfailed);
    return nfailed || ninputs == 0;
}
