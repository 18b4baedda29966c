/* The monotonic clock, and the kernel's receive stamps on it. */
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

/* When the kernel took the last bytes in, on the monotonic clock: now less the age of its stamp. */
static uint64_t stamp_ns(struct msghdr *message) {
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    struct timespec real, stamp;
    uint64_t now = now_ns();
    if (!control || control->cmsg_type != SCM_TIMESTAMPNS) return now;
    memcpy(&stamp, CMSG_DATA(control), sizeof stamp);
    clock_gettime(CLOCK_REALTIME, &real);
    int64_t age = (real.tv_sec - stamp.tv_sec) * 1000000000ll + (real.tv_nsec - stamp.tv_nsec);
    return age >= 0 && age < 10000000000ll ? now - (uint64_t)age : now;
}
