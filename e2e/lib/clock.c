// A clock that is set from outside: loaded before the C library (LD_PRELOAD), it adds the seconds in the file that
// CLOCK_OFFSET names to what the system says the time is. Clocks that nobody sets run as they do.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    const char *path = getenv("CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    char text[32] = {0};
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    return length > 0 ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, which, now);
    if (failed == 0 && which == CLOCK_REALTIME) now->tv_sec += offset();
    return failed;
}
