/* A library that makes one call of the process fail, for tests/injected_faults.rs, which loads it by LD_PRELOAD.
 *
 * INJECT_CALL   the kind of call: open, read, write, sync, rename, link, mkdir or thread
 * INJECT_AT     which call of this kind fails, counted from 1
 * INJECT_LATER  optional: all later calls of this kind fail too
 * INJECT_ALL    optional: a kind of call of which every call fails
 * INJECT_RUN    optional: a shell command that runs before the call, which then does not fail
 * INJECT_FOLDER only calls on files in this folder count, and on pipes; not on standard error
 * INJECT_LOG    a file that is created when the call fails
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static int is_in_folder(const char *path) {
    const char *folder = getenv("INJECT_FOLDER");
    return path[0] != '/' || strncmp(path, folder, strlen(folder)) == 0;
}

static int counts(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (fd == STDERR_FILENO || len < 0) {
        return 0;
    }
    path[len] = 0;
    return strncmp(path, "pipe:", 5) == 0 || (path[0] == '/' && is_in_folder(path));
}

/* Whether this call fails. */
static int fails(const char *call) {
    const char *wanted = getenv("INJECT_CALL"), *all = getenv("INJECT_ALL");
    if (all != NULL && strcmp(all, call) == 0) {
        return 1;
    }
    if (wanted == NULL || strcmp(wanted, call) != 0) {
        return 0;
    }
    long number = atomic_fetch_add(&calls, 1) + 1, first = atol(getenv("INJECT_AT"));
    if (number != first && (number < first || getenv("INJECT_LATER") == NULL)) {
        return 0;
    }
    close(NEXT(open)(getenv("INJECT_LOG"), O_CREAT | O_WRONLY, 0600));
    const char *command = getenv("INJECT_RUN");
    if (command != NULL) {
        unsetenv("LD_PRELOAD");
        if (system(command) != 0) {
            abort();
        }
        return 0;
    }
    return 1;
}

static int fail(int error) {
    errno = error;
    return -1;
}

static int open_file(const char *name, const char *path, int flags, va_list arguments) {
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    return is_in_folder(path) && fails("open") ? fail(EIO) : next(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    int fd = open_file("open", path, flags, arguments);
    va_end(arguments);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    int fd = open_file("open64", path, flags, arguments);
    va_end(arguments);
    return fd;
}

DIR *opendir(const char *path) {
    if (is_in_folder(path) && fails("open")) {
        errno = EIO;
        return NULL;
    }
    return NEXT(opendir)(path);
}

struct dirent64 *readdir64(DIR *folder) {
    if (counts(dirfd(folder)) && fails("read")) {
        errno = EIO;
        return NULL;
    }
    return NEXT(readdir64)(folder);
}

ssize_t read(int fd, void *buffer, size_t len) {
    return counts(fd) && fails("read") ? fail(EIO) : NEXT(read)(fd, buffer, len);
}

ssize_t write(int fd, const void *buffer, size_t len) {
    return counts(fd) && fails("write") ? fail(ENOSPC) : NEXT(write)(fd, buffer, len);
}

ssize_t writev(int fd, const struct iovec *buffers, int count) {
    return counts(fd) && fails("write") ? fail(ENOSPC) : NEXT(writev)(fd, buffers, count);
}

int fsync(int fd) {
    return counts(fd) && fails("sync") ? fail(EIO) : NEXT(fsync)(fd);
}

int rename(const char *from, const char *to) {
    return fails("rename") ? fail(EPERM) : NEXT(rename)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    return fails("link") ? fail(EPERM) : NEXT(linkat)(from_folder, from, to_folder, to, flags);
}

int mkdir(const char *path, mode_t mode) {
    return fails("mkdir") ? fail(EIO) : NEXT(mkdir)(path, mode);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    return fails("thread") ? EAGAIN : NEXT(pthread_create)(thread, attributes, start, argument);
}
