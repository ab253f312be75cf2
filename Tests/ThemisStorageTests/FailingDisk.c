// Preloaded into a child by FaultTests: while the file $THEMIS_FAULT/sync exists every fsync and fdatasync fails with EIO, while
// $THEMIS_FAULT/space exists every write to a *.log file fails with ENOSPC.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_switched_on(const char *name) {
    const char *directory = getenv("THEMIS_FAULT");
    char path[512];
    if (directory == NULL || snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) return 0;
    return access(path, F_OK) == 0;
}

static int is_log(int file) {
    char link[64];
    char path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 4) return 0;
    path[length] = 0;
    return strcmp(path + length - 4, ".log") == 0;
}

int fsync(int file) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (!is_switched_on("sync")) return real(file);
    errno = EIO;
    return -1;
}

int fdatasync(int file) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (!is_switched_on("sync")) return real(file);
    errno = EIO;
    return -1;
}

ssize_t write(int file, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (real == NULL) real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (!is_switched_on("space") || !is_log(file)) return real(file, bytes, count);
    errno = ENOSPC;
    return -1;
}
