/*
 * Preloaded into a process, it lets that process find its disk full while the number in the file that PERCH_DISK_FULL names is
 * not zero: whatever would make a file longer, or write into one, fails with ENOSPC. Standard output and standard error go on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile long long *full;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("PERCH_DISK_FULL");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *shared = mmap(NULL, sizeof(long long), PROT_READ, MAP_SHARED, file, 0);
    if (shared != MAP_FAILED) full = shared;
    close(file);
}

static int refuses(int file) {
    struct stat about;
    if (!full || !*full || file <= STDERR_FILENO || fstat(file, &about) || !S_ISREG(about.st_mode)) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int file, const void *bytes, size_t length) {
    return refuses(file) ? -1 : syscall(SYS_write, file, bytes, length);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    return refuses(file) ? -1 : syscall(SYS_writev, file, parts, count);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
    return refuses(file) ? -1 : syscall(SYS_pwrite64, file, bytes, length, at);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t at) {
    return refuses(file) ? -1 : syscall(SYS_pwritev, file, parts, count, at, 0L);
}

int posix_fallocate(int file, off_t from, off_t length) {
    if (refuses(file)) return ENOSPC;
    return syscall(SYS_fallocate, file, 0, from, length) ? errno : 0;
}

/* On 64-bit systems these are the same calls under other names. */
ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));
ssize_t pwritev64(int, const struct iovec *, int, off_t) __attribute__((alias("pwritev")));
int posix_fallocate64(int, off_t, off_t) __attribute__((alias("posix_fallocate")));
