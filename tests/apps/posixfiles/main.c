/* The file functions of POSIX as programs use them, on the real servers: the last line says how many hold, the
 * status whether all do.  P6 P7 F1 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static int passed, failed;

static void check(int holds, const char *what, int line)
{
    if (holds)
        passed++;
    else
        printf("not ok - line %d: %s (errno: %s)\n", line, what, strerror(errno));
    failed += !holds;
}

#define CHECK(what) check((what) ? 1 : 0, #what, __LINE__)
#define FAILS(what, error)                                                                                   \
    check((errno = 0, (what) == -1) && errno == (error), #what " fails with " #error, __LINE__)

static char buf[70000];

static int reads(int fd, const char *want)
{
    size_t len = strlen(want);
    return read(fd, buf, len) == (ssize_t)len && memcmp(buf, want, len) == 0;
}

static void descriptors(void)
{
    int fd = open("a", O_RDWR | O_CREAT | O_TRUNC, 0644), twin;
    struct stat st;
    CHECK(fd == 3);
    CHECK(write(fd, "hello world", 11) == 11);
    CHECK((twin = dup(fd)) == 4);
    CHECK(lseek(twin, 6, SEEK_SET) == 6);
    CHECK(reads(fd, "world")); /* one offset for both */
    CHECK(close(fd) == 0);
    FAILS(close(fd), EBADF);
    CHECK(dup2(twin, 9) == 9);
    CHECK(fcntl(twin, F_DUPFD, 9) == 10);
    CHECK(fcntl(9, F_GETFD) == 0 && fcntl(9, F_SETFD, FD_CLOEXEC) == 0 && fcntl(9, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(9, F_GETFL) == O_RDWR && fcntl(9, F_SETFL, O_APPEND) == 0 &&
          fcntl(10, F_GETFL) == (O_RDWR | O_APPEND));
    CHECK(lseek(9, 0, SEEK_SET) == 0 && write(10, "!", 1) == 1);
    CHECK(fstat(9, &st) == 0 && st.st_size == 12 && S_ISREG(st.st_mode));
    CHECK(ftruncate(9, 5) == 0 && lseek(9, 0, SEEK_END) == 5);
    CHECK(pread(9, buf, 3, 1) == 3 && memcmp(buf, "ell", 3) == 0);
    CHECK(lseek(9, 0, SEEK_CUR) == 5);
    FAILS(lseek(9, -1, SEEK_SET), EINVAL);
    CHECK(close(twin) == 0 && close(9) == 0 && close(10) == 0);
    FAILS(open("none", O_RDONLY), ENOENT);
    FAILS(open("a", O_WRONLY | O_CREAT | O_EXCL, 0), EEXIST);
    FAILS(open(".", O_WRONLY), EISDIR);
    FAILS(open("a/b", O_RDONLY), ENOTDIR);
    FAILS(open("a", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

static void names(void)
{
    struct stat st;
    int fd = open("open", O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, "x", 1) == 1 && unlink("open") == 0);
    FAILS(stat("open", &st), ENOENT);
    CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && pread(fd, buf, 9, 0) == 1);
    CHECK(close(fd) == 0);
    CHECK(mkdir("d", 0755) == 0 && chdir("d") == 0);
    CHECK(getcwd(buf, sizeof(buf)) != NULL && strcmp(buf + strlen(buf) - 2, "/d") == 0);
    CHECK(rename("../a", "b") == 0 && access("b", R_OK) == 0);
    FAILS(access("../a", F_OK), ENOENT);
    FAILS(rename("..", "x"), EINVAL);
    CHECK(link("b", "c") == 0 && stat("c", &st) == 0 && st.st_nlink == 2);
    CHECK(chdir("..") == 0);
    FAILS(rmdir("d"), ENOTEMPTY);
    FAILS(unlink("d"), EISDIR);
    FAILS(chdir("d/b"), ENOTDIR);
    int n = 0;
    DIR *dir = opendir("d");
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL; n++)
        CHECK(e->d_type == DT_REG && (strcmp(e->d_name, "b") == 0 || strcmp(e->d_name, "c") == 0));
    CHECK(n == 2 && closedir(dir) == 0);
    CHECK(remove("d/b") == 0 && remove("d/c") == 0 && remove("d") == 0);
}

static void pipes(void)
{
    int p[2];
    CHECK(pipe(p) == 0);
    CHECK(write(p[1], "through", 7) == 7 && reads(p[0], "through"));
    FAILS(lseek(p[0], 0, SEEK_SET), ESPIPE);
    CHECK(fcntl(p[0], F_SETFL, O_NONBLOCK) == 0);
    FAILS(read(p[0], buf, 1), EAGAIN);
    CHECK(fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
    CHECK(write(p[1], buf, sizeof(buf)) > 4096);
    FAILS(write(p[1], buf, 1), EAGAIN);
    CHECK(close(p[1]) == 0);
    while (read(p[0], buf, sizeof(buf)) > 0)
        ;
    CHECK(read(p[0], buf, 1) == 0);
    CHECK(close(p[0]) == 0);
    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe(p) == 0 && close(p[0]) == 0);
    FAILS(write(p[1], "x", 1), EPIPE);
    CHECK(close(p[1]) == 0);
}

static void devices(void)
{
    struct termios t;
    int fd = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY), tty = open("/dev/tty", O_RDWR);
    struct stat st;
    CHECK(read(fd, buf, 9) == 0 && write(fd, buf, 9) == 9);
    CHECK(fstat(fd, &st) == 0 && S_ISCHR(st.st_mode));
    CHECK(read(zero, buf, 9) == 9 && buf[8] == 0);
    CHECK(isatty(tty) && !isatty(fd) && tcgetattr(tty, &t) == 0 && (t.c_lflag & ECHO));
    FAILS(tcgetattr(fd, &t), ENOTTY);
    CHECK(tcsetattr(tty, TCSADRAIN, &t) == 0);
    CHECK(close(fd) == 0 && close(zero) == 0 && close(tty) == 0);
}

/* The bundle's files are there, can be read past one request's size, and written without touching the bundle. */
static void streams(void)
{
    FILE *f = fopen("/bin/sh", "r");
    CHECK(f != NULL && fread(buf, 1, sizeof(buf), f) == sizeof(buf) && memcmp(buf, "\177ELF", 4) == 0);
    CHECK(f != NULL && fclose(f) == 0);
    f = fopen("big", "w+");
    for (int i = 0; i < 20000; i++)
        fprintf(f, "%07d\n", i);
    CHECK(fseek(f, 8 * 12345, SEEK_SET) == 0 && fscanf(f, "%d", (int *)(void *)buf) == 1 &&
          *(int *)(void *)buf == 12345);
    CHECK(ftell(f) == 8 * 12345 + 7 && fclose(f) == 0);
    CHECK(truncate("big", 16) == 0 && (f = fopen("big", "a")) != NULL && fputs("end", f) >= 0 &&
          fclose(f) == 0);
    struct stat st;
    CHECK(stat("big", &st) == 0 && st.st_size == 19 && unlink("big") == 0);
}

int main(void)
{
    static char place[] = "/tmp/posixfiles";
    CHECK(mkdir(place, 0755) == 0 && chdir(place) == 0);
    descriptors();
    names();
    pipes();
    devices();
    streams();
    CHECK(chdir("/") == 0 && rmdir(place) == 0);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
