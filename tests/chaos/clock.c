/* A wall clock that is wrong by what a file says, for the process that this is preloaded into.
 *
 * The kernel's clock is the host's too, so no test may set it; only CLOCK_REALTIME is touched, as
 * clock_settime(2) does. PID 1 keeps the right time.
 *
 *     cc -shared -fPIC -O2 -o clock.so clock.c
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *wrong; /* nanoseconds */

__attribute__((constructor)) static void find(void)
{
    int file = open("/var/lib/chaos/clock", O_RDONLY | O_CLOEXEC);
    void *page = MAP_FAILED;
    if (file >= 0)
        page = mmap(NULL, sizeof *wrong, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) {
        /* A fault that has no effect would be found by nobody. */
        dprintf(STDERR_FILENO, "clock.so: /var/lib/chaos/clock cannot be read\n");
        _exit(99);
    }
    wrong = page;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && wrong && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t time = now->tv_sec * INT64_C(1000000000) + now->tv_nsec + *wrong;
        now->tv_sec = time / 1000000000;
        now->tv_nsec = time % 1000000000;
    }
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise))
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
