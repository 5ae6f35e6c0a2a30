/*
 * Counts and delays the flushes of one process. LD_PRELOAD puts it before the C library; the counters lie in the file
 * named by CAIRN_BENCH_FLUSHES, mapped shared, where the load generator reads them while the process runs.
 *
 * It sees calls through the C library's symbols: SQLite's, of the commits and of the checkpoints, and the Rust standard
 * library's. A program that makes its own system calls (Go) is not counted.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct flushes {
    _Atomic uint64_t fsync;
    _Atomic uint64_t fdatasync;
};

static struct flushes *flushes;
static struct timespec delay;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("CAIRN_BENCH_FLUSHES");
    const char *milliseconds = getenv("CAIRN_BENCH_FLUSH_DELAY_MS");
    if (milliseconds != NULL) {
        long delay_ms = strtol(milliseconds, NULL, 10);
        delay.tv_sec = delay_ms / 1000;
        delay.tv_nsec = delay_ms % 1000 * 1000000;
    }
    /* What the process starts is not what is measured. */
    unsetenv("LD_PRELOAD");
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(struct flushes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        flushes = map;
}

static void slow_down(void) {
    struct timespec rest = delay;
    if (rest.tv_sec != 0 || rest.tv_nsec != 0)
        while (nanosleep(&rest, &rest) != 0)
            ;
}

int fsync(int fd) {
    if (flushes != NULL)
        atomic_fetch_add_explicit(&flushes->fsync, 1, memory_order_relaxed);
    slow_down();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    if (flushes != NULL)
        atomic_fetch_add_explicit(&flushes->fdatasync, 1, memory_order_relaxed);
    slow_down();
    return (int)syscall(SYS_fdatasync, fd);
}
