/* Reading directories (POSIX.1-2008, <dirent.h>). */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libos/libc/result.h"
#include "os/vfs.h"

#define BUFFER 4096u

struct __corbel_dir {
    int fd;
    size_t at, len; /* in the buffer */
    uint64_t next;  /* where the directory goes on behind the entry given last */
    struct dirent entry;
    uint64_t buffer[BUFFER / 8];
};

DIR *fdopendir(int fd)
{
    struct vfs_file *file = vfs_file(fd);
    struct fs_stat st = {.kind = 0};
    int err = file == NULL ? -EBADF : vfs_stat(file, &st);
    if (file != NULL)
        vfs_unref(file);
    if (err == 0 && st.kind != FS_KIND_DIR)
        err = -ENOTDIR;
    DIR *dir = err != 0 ? NULL : calloc(1, sizeof(*dir));
    if (err != 0)
        libc_result(err);
    if (dir == NULL)
        return NULL;
    dir->fd = fd;
    vfs_fd_set_cloexec(fd, true);
    return dir;
}

DIR *opendir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (dir == NULL)
        close(fd);
    return dir;
}

int closedir(DIR *dir)
{
    int fd = dir->fd;
    free(dir);
    return close(fd);
}

int dirfd(DIR *dir)
{
    return dir->fd;
}

static unsigned char type_of(uint32_t kind)
{
    switch (kind) {
    case FS_KIND_FILE:
        return DT_REG;
    case FS_KIND_DIR:
        return DT_DIR;
    case FS_KIND_DEVICE:
        return DT_CHR;
    default:
        return DT_UNKNOWN;
    }
}

/* true: there is an entry at `at`. */
static bool fill(DIR *dir)
{
    if (dir->at < dir->len)
        return true;
    struct vfs_file *file = vfs_file(dir->fd);
    int64_t n = file == NULL ? -EBADF : vfs_readdir(file, dir->buffer, sizeof(dir->buffer));
    if (file != NULL)
        vfs_unref(file);
    dir->at = 0;
    dir->len = n < 0 ? 0 : (size_t)n;
    libc_result(n);
    return n > 0;
}

struct dirent *readdir(DIR *dir)
{
    if (!fill(dir))
        return NULL;
    const char *at = (const char *)dir->buffer + dir->at;
    struct fs_dirent from;
    memcpy(&from, at, sizeof(from));
    dir->at += from.bytes;
    dir->next = from.next;
    dir->entry.d_ino = (ino_t)from.ino;
    dir->entry.d_type = type_of(from.kind);
    memcpy(dir->entry.d_name, at + sizeof(from), min_u64(from.name_len, MAXNAMLEN));
    dir->entry.d_name[min_u64(from.name_len, MAXNAMLEN)] = 0;
    return &dir->entry;
}

void seekdir(DIR *dir, long where)
{
    struct vfs_file *file = vfs_file(dir->fd);
    if (file == NULL)
        return;
    int64_t at = vfs_seek(file, where, FS_SEEK_SET);
    vfs_unref(file);
    if (at < 0)
        return;
    dir->at = dir->len = 0;
    dir->next = (uint64_t)where;
}

long telldir(DIR *dir)
{
    return (long)dir->next;
}

void rewinddir(DIR *dir)
{
    seekdir(dir, 0);
}

/* ---- whole directories ------------------------------------------------------------------------------------------ */

int alphasort(const struct dirent **a, const struct dirent **b)
{
    return strcoll((*a)->d_name, (*b)->d_name);
}

/* Entries are copied as long as their names are. */
static struct dirent *entry_copy(const struct dirent *entry)
{
    size_t bytes = offsetof(struct dirent, d_name) + strlen(entry->d_name) + 1;
    struct dirent *copy = malloc(bytes);
    return copy == NULL ? NULL : memcpy(copy, entry, bytes);
}

static bool list_add(struct dirent ***list, int *n, const struct dirent *entry)
{
    struct dirent **more = *list;
    if ((*n & (*n - 1)) == 0) /* a power of two: full */
        more = realloc(*list, (*n == 0 ? 1 : 2 * (size_t)*n) * sizeof(*more));
    if (more == NULL)
        return false;
    *list = more;
    more[*n] = entry_copy(entry);
    return more[*n] != NULL && ++*n > 0;
}

static void list_free(struct dirent **list, int n)
{
    while (n > 0)
        free(list[--n]);
    free(list);
}

typedef int compare_fn(const void *a, const void *b);

int scandir(const char *path, struct dirent ***out, int (*wanted)(const struct dirent *),
            int (*compare)(const struct dirent **, const struct dirent **))
{
    struct dirent **list = NULL, *entry;
    int n = 0;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -1;
    while ((entry = readdir(dir)) != NULL) {
        if ((wanted == NULL || wanted(entry) != 0) && !list_add(&list, &n, entry)) {
            list_free(list, n);
            closedir(dir);
            return (int)libc_result(-ENOMEM);
        }
    }
    closedir(dir);
    if (compare != NULL && n > 1)
        qsort(list, (size_t)n, sizeof(*list), (compare_fn *)(void *)compare);
    *out = list;
    return n;
}
