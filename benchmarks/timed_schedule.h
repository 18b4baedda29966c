/* What is due when: a binary heap of (due, connection). What a dropped connection leaves is told from its
 * successor on the same descriptor by `life`, and skipped when due. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAP_ROOM 65536

static struct { uint64_t due_ns; int fd; uint32_t life; } heap[HEAP_ROOM];
static int heap_size;

static void schedule(uint64_t due_ns, int fd, uint32_t life) {
    if (heap_size == HEAP_ROOM) { fprintf(stderr, "too many answers under way\n"); exit(2); }
    int i = heap_size++;
    for (; i && heap[(i - 1) / 2].due_ns > due_ns; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i].due_ns = due_ns;
    heap[i].fd = fd;
    heap[i].life = life;
}

/* Take the first out. */
static void unschedule(void) {
    __typeof__(heap[0]) last = heap[--heap_size];
    int i = 0;
    for (;;) {
        int least = 2 * i + 1;
        if (least >= heap_size) break;
        if (least + 1 < heap_size && heap[least + 1].due_ns < heap[least].due_ns) least++;
        if (heap[least].due_ns >= last.due_ns) break;
        heap[i] = heap[least];
        i = least;
    }
    heap[i] = last;
}
