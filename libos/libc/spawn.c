/* posix_spawn and its attributes and file actions, over os_spawn and os/inherit.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libos/libc/file.h"
#include "os/inherit.h"
#include "os/proc.h"

#define PATH_BYTES 1024u

/* ---- file actions ----------------------------------------------------------------------------------------- */

enum action_kind { ACTION_OPEN, ACTION_DUP2, ACTION_CLOSE };

struct action {
    struct action *next;
    enum action_kind kind;
    int fd, from;
    int oflag;
    mode_t mode;
    char path[]; /* OPEN */
};

struct __posix_spawn_file_actions {
    struct action *first;
    struct action **last;
};

int posix_spawn_file_actions_init(posix_spawn_file_actions_t *out)
{
    struct __posix_spawn_file_actions *list = malloc(sizeof(*list));

    if (!list)
        return ENOMEM;
    list->first = NULL;
    list->last = &list->first;
    *out = list;
    return 0;
}

int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)
{
    struct action *next;

    for (struct action *a = (*actions)->first; a; a = next) {
        next = a->next;
        free(a);
    }
    free(*actions);
    *actions = NULL;
    return 0;
}

static int add(struct __posix_spawn_file_actions *list, const struct action *model, const char *path)
{
    size_t bytes = path ? strlen(path) + 1 : 0;
    struct action *a = malloc(sizeof(*a) + bytes);

    if (model->fd < 0 || model->from < 0) {
        free(a);
        return EBADF;
    }
    if (!a)
        return ENOMEM;
    *a = *model;
    if (path)
        memcpy(a->path, path, bytes);
    *list->last = a;
    list->last = &a->next;
    return 0;
}

int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *restrict actions, int fd,
                                     const char *restrict path, int oflag, mode_t mode)
{
    return add(*actions, &(struct action){.kind = ACTION_OPEN, .fd = fd, .oflag = oflag, .mode = mode}, path);
}

int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int from, int fd)
{
    return add(*actions, &(struct action){.kind = ACTION_DUP2, .fd = fd, .from = from}, NULL);
}

int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t *actions, int fd)
{
    return add(*actions, &(struct action){.kind = ACTION_CLOSE, .fd = fd}, NULL);
}

static int apply(struct os_inherit *plan, const struct action *a)
{
    switch (a->kind) {
    case ACTION_OPEN:
        return os_inherit_open(plan, a->fd, a->path, a->oflag, a->mode);
    case ACTION_DUP2:
        return os_inherit_dup2(plan, a->from, a->fd);
    default:
        (void)os_inherit_close(plan, a->fd); /* closing what is not open is no error here */
        return 0;
    }
}

/* ---- attributes -------------------------------------------------------------------------------------------- */

struct __posix_spawnattr {
    short flags;
    pid_t group;
    sigset_t defaults;
    sigset_t mask;
};

int posix_spawnattr_init(posix_spawnattr_t *out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : ENOMEM;
}

int posix_spawnattr_destroy(posix_spawnattr_t *attr)
{
    free(*attr);
    *attr = NULL;
    return 0;
}

int posix_spawnattr_getflags(const posix_spawnattr_t *restrict attr, short *restrict flags)
{
    *flags = (*attr)->flags;
    return 0;
}

int posix_spawnattr_setflags(posix_spawnattr_t *attr, short flags)
{
    if (flags &
        ~(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_RESETIDS))
        return EINVAL;
    (*attr)->flags = flags;
    return 0;
}

int posix_spawnattr_getpgroup(const posix_spawnattr_t *restrict attr, pid_t *restrict group)
{
    *group = (*attr)->group;
    return 0;
}

int posix_spawnattr_setpgroup(posix_spawnattr_t *attr, pid_t group)
{
    (*attr)->group = group;
    return 0;
}

int posix_spawnattr_getsigdefault(const posix_spawnattr_t *restrict attr, sigset_t *restrict set)
{
    *set = (*attr)->defaults;
    return 0;
}

int posix_spawnattr_setsigdefault(posix_spawnattr_t *restrict attr, const sigset_t *restrict set)
{
    (*attr)->defaults = *set;
    return 0;
}

int posix_spawnattr_getsigmask(const posix_spawnattr_t *restrict attr, sigset_t *restrict set)
{
    *set = (*attr)->mask;
    return 0;
}

int posix_spawnattr_setsigmask(posix_spawnattr_t *restrict attr, const sigset_t *restrict set)
{
    (*attr)->mask = *set;
    return 0;
}

/* ---- the program's file ------------------------------------------------------------------------------------- */

static int64_t image_read(void *ctx, uint64_t offset, void *buf, size_t bytes)
{
    int fd = *(const int *)ctx;
    size_t done = 0;

    if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
        return -errno;
    while (done < bytes) {
        ssize_t n = read(fd, (char *)buf + done, bytes - done);

        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int image_open(const char *path, int *fd, struct os_image *image)
{
    struct stat st;

    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return errno;
    *image = (struct os_image){.read = image_read, .ctx = fd};
    if (fstat(*fd, &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
        return EACCES;
    image->bytes = (uint64_t)st.st_size;
    return 0;
}

/* ---- spawning ------------------------------------------------------------------------------------------------ */

static int inherit(void *ctx, uint32_t pid, struct os_start_fd *fds, unsigned max)
{
    return os_inherit_finish(ctx, pid, fds, max);
}

static int plan_make(const posix_spawn_file_actions_t *actions, struct os_inherit **plan)
{
    int rc = os_inherit_begin(plan);

    for (const struct action *a = !rc && actions && *actions ? (*actions)->first : NULL; a && !rc;
         a = a->next)
        rc = apply(*plan, a);
    return -rc;
}

static int absolute_path(const char *path, char out[PATH_BYTES])
{
    size_t n = 0;

    if (path[0] != '/') {
        if (!getcwd(out, PATH_BYTES))
            return errno;
        n = strlen(out);
        if (n > 1 && n + 1 < PATH_BYTES)
            out[n++] = '/';
    }
    if (strlen(path) >= PATH_BYTES - n)
        return ENAMETOOLONG;
    strcpy(out + n, path);
    return 0;
}

static int spawn_planned(pid_t *pid, const char *path, const struct os_image *image, struct os_inherit *plan,
                         const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    bool group = attr && *attr && (*attr)->flags & POSIX_SPAWN_SETPGROUP;
    const struct os_spawn what = {.path = path,
                                  .argv = argv,
                                  .envp = envp,
                                  .cwd = os_inherit_cwd(plan),
                                  .umask = (uint32_t)libc_umask,
                                  .pgid = group ? (*attr)->group : -1,
                                  .image = image,
                                  .inherit = inherit,
                                  .inherit_ctx = plan};
    int rc = os_spawn(&what);

    if (rc < 0)
        return -rc;
    if (pid)
        *pid = (pid_t)rc;
    return 0;
}

int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *restrict attr, char *const argv[], char *const envp[])
{
    struct os_inherit *plan = NULL;
    char absolute[PATH_BYTES];
    struct os_image image;
    int fd = -1, saved = errno;
    int error = absolute_path(path, absolute);

    if (!error)
        error = image_open(path, &fd, &image);
    if (!error)
        error = plan_make(actions, &plan);
    if (!error)
        error = spawn_planned(pid, absolute, &image, plan, attr, argv, envp);
    if (plan)
        os_inherit_drop(plan);
    if (fd >= 0)
        close(fd);
    errno = saved;
    return error;
}

/* Each directory of PATH in turn; the first error that is not "not there" counts. */
int posix_spawnp(pid_t *restrict pid, const char *restrict file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *restrict attr, char *const argv[], char *const envp[])
{
    const char *dirs = getenv("PATH");
    int error = ENOENT;

    if (strchr(file, '/'))
        return posix_spawn(pid, file, actions, attr, argv, envp);
    for (dirs = dirs ? dirs : "/bin"; error == ENOENT || error == ENOTDIR; dirs++) {
        size_t n = strcspn(dirs, ":");
        char path[PATH_BYTES];

        if (n + 1 + strlen(file) < sizeof(path)) {
            memcpy(path, dirs, n);
            path[n] = '/';
            strcpy(path + n + (n > 0), file);
            error = posix_spawn(pid, path, actions, attr, argv, envp);
        }
        dirs += n;
        if (!*dirs)
            break;
    }
    return error;
}
