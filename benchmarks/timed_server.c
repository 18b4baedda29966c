/* A streaming chat server whose timing is known exactly, for judging load generators.
 *
 * One thread, epoll and one timerfd. A request is received when the kernel says so (SO_TIMESTAMPNS), so that
 * a burst does not make the server's own record late. Its tokens are due at received + ttft + i * itl, an
 * absolute schedule: a late send does not delay the next. Headers and an empty role chunk go out at once; the
 * last token's write carries finish, usage and [DONE] too. Every request leaves a record in the log (see
 * timed_server.py, which reads it and has the same server in Python):
 *   char id[48]; u64 received_ns; u64 count; then count pairs of u64: before and after the send call.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "timed_clock.h"
#include "timed_schedule.h"
#include "timed_texts.h"

#define MAX_FD 16384
#define MAX_REQUEST (1 << 20)
#define ID_SIZE 48

typedef struct {
    char *in;               /* bytes of the request so far */
    size_t in_size, in_room;
    char *out;              /* bytes the socket has not taken yet */
    size_t out_size;
    int answering, streamed;
    uint32_t life;          /* tells this connection from earlier ones of the same descriptor */
    uint64_t arrived_ns;    /* the last bytes read */
    uint64_t received_ns;   /* the request that is answered */
    int next;               /* the token that is due next */
    char id[ID_SIZE];
    uint64_t *stamps;       /* before and after of each send */
} Connection;

static Connection *connections[MAX_FD];
static int epoll_fd, timer_fd;
static uint32_t lives;
static uint64_t armed_ns;
static uint64_t ttft_ns = 50000000, itl_ns = 20000000;
static int tokens = 50;
static FILE *log_file;
static volatile sig_atomic_t stopping;

static void die(const char *what) { perror(what); exit(2); }

static void arm_timer(void) {
    if (!heap_size || heap[0].due_ns == armed_ns) return;
    armed_ns = heap[0].due_ns;
    struct itimerspec when = {.it_value = {armed_ns / 1000000000u, armed_ns % 1000000000u}};
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL)) die("timerfd_settime");
}

/* ---- connections ---- */

static void drop(int fd) {
    Connection *c = connections[fd];
    free(c->in);
    free(c->out);
    free(c->stamps);
    free(c);
    connections[fd] = NULL;
    close(fd);
}

static void watch(int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event)) die("epoll_ctl");
}

/* Write, keeping what the socket does not take. Returns -1 when the client is gone. */
static int put(int fd, const char *data, size_t size) {
    Connection *c = connections[fd];
    ssize_t taken = 0;
    if (!c->out_size) {
        taken = send(fd, data, size, MSG_NOSIGNAL);
        if (taken < 0 && errno != EAGAIN) return -1;
        if (taken < 0) taken = 0;
    }
    if ((size_t)taken < size) {
        c->out = realloc(c->out, c->out_size + size - taken);
        memcpy(c->out + c->out_size, data + taken, size - taken);
        c->out_size += size - taken;
        watch(fd, EPOLLIN | EPOLLOUT);
    }
    return 0;
}

static void on_writable(int fd) {
    Connection *c = connections[fd];
    ssize_t taken = send(fd, c->out, c->out_size, MSG_NOSIGNAL);
    if (taken < 0) { if (errno != EAGAIN) drop(fd); return; }
    memmove(c->out, c->out + taken, c->out_size - taken);
    c->out_size -= taken;
    if (!c->out_size) watch(fd, EPOLLIN);
}

static void write_record(const Connection *c) {
    uint64_t count = c->next;
    if (!log_file) return;
    fwrite(c->id, ID_SIZE, 1, log_file);
    fwrite(&c->received_ns, 8, 1, log_file);
    fwrite(&count, 8, 1, log_file);
    fwrite(c->stamps, 16, count, log_file);
}

/* ---- requests ---- */

static int hex_digits(const char *at) { return (int)strspn(at, "0123456789abcdef"); }

/* The id: header X-Request-Id, else the first "[hex]" of the body, else empty. */
static void find_id(Connection *c, const char *body) {
    const char *header = strcasestr(c->in, "\r\nx-request-id:");
    memset(c->id, 0, ID_SIZE);
    if (header && header < body) {
        header += 15;
        header += strspn(header, " ");
        size_t size = strcspn(header, "\r");
        memcpy(c->id, header, size < ID_SIZE - 1 ? size : ID_SIZE - 1);
        return;
    }
    for (const char *at = strchr(body, '['); at; at = strchr(at + 1, '[')) {
        int size = hex_digits(at + 1);
        if (size >= 8 && size < ID_SIZE && at[1 + size] == ']') { memcpy(c->id, at + 1, size); return; }
    }
}

static int answer_json(int fd, const char *status, const char *body) {
    char answer[4096];
    int size = snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    return put(fd, answer, size);
}

/* A full request is in c->in, its body (and a 0) after `body`. Returns -1 when the client is gone. */
static int begin_answer(int fd, const char *body) {
    Connection *c = connections[fd];
    if (!strncmp(c->in, "GET /v1/models ", 15))
        return answer_json(fd, "200 OK",
                           "{\"object\":\"list\",\"data\":[{\"id\":\"timed\",\"object\":\"model\"}]}");
    if (!strncmp(c->in, "GET /health ", 12)) return answer_json(fd, "200 OK", "{\"status\":\"ok\"}");
    if (strncmp(c->in, "POST /v1/chat/completions ", 26))
        return answer_json(fd, "404 Not Found", "{\"error\":{\"message\":\"no such path\"}}");
    find_id(c, body);
    c->answering = 1;
    c->next = 0;
    c->streamed = strstr(body, "\"stream\":true") || strstr(body, "\"stream\": true");
    if (!c->streamed) {
        schedule(c->received_ns + ttft_ns + (tokens - 1) * itl_ns, fd, c->life);
        return 0;
    }
    schedule(c->received_ns + ttft_ns, fd, c->life);
    return put(fd, role_answer, role_size);
}

/* Begin the answer once the request is whole. Returns -1 when the connection must go. */
static int on_bytes(int fd) {
    Connection *c = connections[fd];
    c->in[c->in_size] = 0;
    char *body = strstr(c->in, "\r\n\r\n");
    if (!body) return c->in_size < MAX_REQUEST ? 0 : -1;
    body += 4;
    const char *length = strcasestr(c->in, "\r\ncontent-length:");
    size_t needed = (body - c->in) + (length && length < body ? strtoul(length + 17, NULL, 10) : 0);
    if (needed > MAX_REQUEST) return -1;
    if (c->in_size < needed) return 0;
    c->received_ns = c->arrived_ns;
    if (begin_answer(fd, body)) return -1;
    c->in_size -= needed;
    memmove(c->in, c->in + needed, c->in_size);
    return c->in_size && !c->answering ? on_bytes(fd) : 0;
}

static void on_readable(int fd) {
    Connection *c = connections[fd];
    if (c->in_room - c->in_size < 4096) {
        c->in_room = c->in_room ? 2 * c->in_room : 16384;
        c->in = realloc(c->in, c->in_room + 1);
    }
    struct iovec room = {c->in + c->in_size, c->in_room - c->in_size};
    char control[64];
    struct msghdr message = {.msg_iov = &room, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got = recvmsg(fd, &message, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { drop(fd); return; }
    c->in_size += got;
    c->arrived_ns = stamp_ns(&message);
    if (c->in_size > 2 * MAX_REQUEST || (!c->answering && on_bytes(fd))) drop(fd);
}

/* Send what is due and schedule the next. */
static void on_due(int fd) {
    Connection *c = connections[fd];
    int ends = !c->streamed || c->next == tokens - 1;
    uint64_t before = now_ns();
    int gone = !c->streamed ? put(fd, whole_answer, whole_size)
             : ends         ? put(fd, last_chunks, last_size)
                            : put(fd, token_chunk, token_size);
    c->stamps[2 * c->next] = before;
    c->stamps[2 * c->next + 1] = now_ns();
    c->next++;
    if (ends || gone) {
        write_record(c);
        c->answering = 0;
        if (gone || (c->in_size && on_bytes(fd))) drop(fd);
        return;
    }
    schedule(c->received_ns + ttft_ns + c->next * itl_ns, fd, c->life);
}

static void send_due(void) {
    while (heap_size && heap[0].due_ns <= now_ns()) {
        int fd = heap[0].fd;
        uint32_t life = heap[0].life;
        unschedule();
        if (connections[fd] && connections[fd]->life == life) on_due(fd);
    }
}

static void on_connection(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        if (fd >= MAX_FD) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections[fd] = calloc(1, sizeof(Connection));
        connections[fd]->life = ++lives;
        connections[fd]->stamps = malloc(16 * (size_t)tokens);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    }
}

static void serve(int listener) {
    struct epoll_event events[256];
    while (!stopping) {
        arm_timer();
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) on_connection(fd);
            else if (fd == timer_fd) armed_ns = 0; /* edge-triggered: need not be read */
            else {
                if (connections[fd] && events[i].events & EPOLLOUT) on_writable(fd);
                if (connections[fd] && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(fd);
            }
        }
        send_due();
    }
    if (log_file) fclose(log_file);
}

/* ---- start ---- */

static int listen_on(int port, const char *port_file) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on); /* what is accepted inherits it */
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096)) die("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    if (port_file) {
        char fresh[4096];
        snprintf(fresh, sizeof fresh, "%s.new", port_file);
        FILE *file = fopen(fresh, "w");
        if (!file) die(fresh);
        fprintf(file, "%d", ntohs(address.sin_port));
        fclose(file);
        if (rename(fresh, port_file)) die(port_file);
    }
    return fd;
}

/* A descriptor a connection, as many as this server has room for. */
static void allow_connections(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) die("getrlimit");
    limit.rlim_cur = limit.rlim_max < MAX_FD ? limit.rlim_max : MAX_FD;
    if (setrlimit(RLIMIT_NOFILE, &limit)) die("setrlimit");
}

static void on_signal(int number) { (void)number; stopping = 1; }

int main(int argc, char **argv) {
    int port = 0, cpu = -1;
    const char *port_file = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--port")) port = atoi(value);
        else if (!strcmp(name, "--port-file")) port_file = value;
        else if (!strcmp(name, "--log")) { if (!(log_file = fopen(value, "wb"))) die(value); }
        else if (!strcmp(name, "--cpu")) cpu = atoi(value);
        else if (!strcmp(name, "--ttft-ms")) ttft_ns = atof(value) * 1e6;
        else if (!strcmp(name, "--itl-ms")) itl_ns = atof(value) * 1e6;
        else if (!strcmp(name, "--tokens")) tokens = atoi(value);
        else { fprintf(stderr, "unknown option %s\n", name); return 2; }
    }
    if (tokens < 1 || tokens > MAX_TOKENS) {
        fprintf(stderr, "--tokens must be 1 to %d\n", MAX_TOKENS);
        return 2;
    }
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        if (sched_setaffinity(0, sizeof set, &set)) die("sched_setaffinity");
    }
    if (log_file) setvbuf(log_file, NULL, _IOFBF, 1 << 18); /* small, so that no write of it takes long */
    allow_connections();
    prctl(PR_SET_TIMERSLACK, 1);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    prepare_texts(tokens);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int listener = listen_on(port, port_file);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = timer_fd;
    event.events = EPOLLIN | EPOLLET;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    serve(listener);
    return 0;
}
