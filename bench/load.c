/* The load client of the bench: N connections to 127.0.0.1 from one thread with epoll, so that it is never the limit.
 *
 *     load json   port=P path=/v1/messages connections=32 head=FILE body=FILE warmup=0.5 seconds=3
 *     load stream port=P path=/v1/messages connections=200 head=FILE body=FILE [repeat=1 | seconds=60] [ramp=0] [rate=0] [abort_after=0] [limit=60]
 *
 * json is a closed loop: each connection asks, waits for the whole answer, asks again; counted is what ends after the warm-up.
 * stream opens all connections at once (or spread over `ramp` seconds), each asking `repeat` times, or again and again for
 * `seconds`, with rate=R no more than R a second in all; every "@@<monotonic ns>;" in the answer, written by bench/upstream.c, gives one lag. An answer counts as complete if it
 * ended as HTTP says and its last event was message_stop. With abort_after=N the client hangs up after N of these stamps.
 *
 * `head` is a file of header lines; host and content-length are added here. Prints one JSON object. Ends with its starter.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 32768
#define TAIL 256
#define ERRORS_MAX 200000
#define RETRY_NS 20000000LL

enum phase { WAITING, CONNECTING, SENDING, HEAD, SIZED, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, UNTIL_CLOSE, OVER };

struct conn {
    int fd;
    enum phase phase;
    size_t sent, head_len, left, line_len;
    char head[HEAD_MAX], tail[TAIL];
    size_t tail_len;
    int status, keep, used, asked, heard, marks;
    uint64_t stamp;
    long stamps;
    int64_t start, first, wake;
};

struct samples { float *ms; size_t len, room; };

static struct { int port, connections, repeat, stream; long abort_after; double warmup, seconds, ramp, rate, limit; const char *path, *head, *body; } option =
    {.connections = 1, .repeat = 1, .seconds = 0, .limit = 60, .path = "/v1/messages"};
static char *request;
static size_t request_len;
static int epoll_fd, busy;
static int64_t began, measured_from, measured_to, last_end, next_turn;
static struct samples latencies, firsts, lags, durations;
static uint64_t finished, finished_all, bytes, events, aborted, statuses[600];
static uint64_t refused, broken, reset, unreachable, incomplete, no_answer, answered;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what) { fprintf(stderr, "load: %s\n", what); exit(2); }

static void keep_sample(struct samples *s, int64_t ns) {
    if (s->len == s->room) {
        s->room = s->room ? s->room * 2 : 65536;
        s->ms = realloc(s->ms, s->room * sizeof *s->ms);
        if (!s->ms) fail("out of memory");
    }
    s->ms[s->len++] = (float)(ns / 1e6);
}

static int ascending(const void *a, const void *b) { float x = *(const float *)a, y = *(const float *)b; return (x > y) - (x < y); }

static void print_samples(const char *name, struct samples *s) {
    if (!s->len) { printf("\"%s\": null, ", name); return; }
    qsort(s->ms, s->len, sizeof *s->ms, ascending);
    printf("\"%s\": {\"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, \"max\": %.4f}, ", name, s->ms[s->len / 2], s->ms[s->len * 9 / 10],
           s->ms[s->len * 99 / 100], s->ms[s->len - 1]);
}

/* ---- one connection ---- */

static void hang_up(struct conn *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->used = 0;
}

static int64_t deadline(void) { return began + (int64_t)((option.stream && !option.seconds ? option.limit : option.warmup + option.seconds) * 1e9); }

static int another(const struct conn *c) {
    if (unreachable + reset + broken > ERRORS_MAX) return 0;
    if (option.stream && !option.seconds) return c->asked < option.repeat;
    return now_ns() < deadline();
}

static void rest(struct conn *c) { hang_up(c); c->phase = OVER; busy--; }

static void write_on(struct conn *c);

static void ask(struct conn *c) {
    c->sent = c->head_len = c->tail_len = c->line_len = 0;
    c->stamps = c->marks = c->heard = c->status = 0;
    c->first = 0;
    c->start = now_ns();
    c->asked++;
    if (c->fd >= 0) { c->phase = SENDING; write_on(c); return; }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("no socket: raise the limit of open files");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
    c->phase = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0) { c->phase = SENDING; write_on(c); }
}

/* The next request: now, or when its turn has come if there is a rate. */
static void ask_in_turn(struct conn *c) {
    if (!option.rate) { ask(c); return; }
    int64_t now = now_ns();
    if (next_turn < now) next_turn = now;
    c->phase = WAITING;
    c->wake = next_turn;
    next_turn += (int64_t)(1e9 / option.rate);
}

/* A kept connection that the server ended while we waited is no fault of anybody's. */
static void drop_if_ended(struct conn *c) {
    char byte;
    ssize_t n = c->fd < 0 ? 1 : recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) hang_up(c);
}

/* After a fault: again, but not at once, so that a dead server does not turn this into a loop. */
static void again_later(struct conn *c) {
    hang_up(c);
    if (!another(c)) { rest(c); return; }
    if (option.rate) { ask_in_turn(c); return; }
    c->phase = WAITING;
    c->wake = now_ns() + RETRY_NS;
}

static void end_of_answer(struct conn *c) {
    int64_t now = now_ns();
    int whole = !option.stream || memmem(c->tail, c->tail_len, "message_stop", 12) != NULL;
    last_end = now;
    answered++;
    finished_all++;
    if (c->status >= 0 && c->status < 600) statuses[c->status]++;
    if (c->status != 200) refused++;
    else if (!whole) incomplete++;
    else if (option.stream) {
        finished++;
        keep_sample(&firsts, c->first - c->start);
        keep_sample(&durations, now - c->start);
    } else if (now >= measured_from && now <= measured_to) {
        finished++;
        if (c->start >= measured_from) keep_sample(&latencies, now - c->start);
    }
    c->used = 1;
    if (!c->keep) hang_up(c);
    if (c->status != 200) { again_later(c); return; }
    if (another(c)) ask_in_turn(c);
    else rest(c);
}

static void lost(struct conn *c, uint64_t *counter) {
    (*counter)++;
    last_end = now_ns();
    if (c->heard) { answered++; finished_all++; }
    else if (counter != &unreachable) no_answer++;
    again_later(c);
}

static void write_on(struct conn *c) {
    while (c->sent < request_len) {
        ssize_t n = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) return;
            lost(c, &reset);
            return;
        }
        c->sent += (size_t)n;
    }
    c->phase = HEAD;
}

static void read_head(struct conn *c) {
    char *chunked = NULL, *length = NULL, *closing = NULL;
    c->head[c->head_len] = 0;
    c->status = atoi(c->head + 9);
    for (char *line = c->head; (line = strstr(line, "\r\n")); line += 2) {
        if (!strncasecmp(line + 2, "transfer-encoding:", 18)) chunked = line;
        else if (!strncasecmp(line + 2, "content-length:", 15)) length = line + 17;
        else if (!strncasecmp(line + 2, "connection: close", 17)) closing = line;
    }
    c->keep = !closing && (chunked || length);
    c->left = length ? (size_t)strtoul(length, NULL, 10) : 0;
    c->phase = chunked ? CHUNK_SIZE : length ? SIZED : UNTIL_CLOSE;
    c->heard = 1;
}

/* Looks for "@@<ns>;" across any cutting, and keeps the last bytes. Returns 1 when it is time to hang up. */
static int read_body(struct conn *c, const char *data, size_t len) {
    if (!c->first && len) c->first = now_ns();
    bytes += len;
    if (!option.stream) return 0;
    int64_t now = now_ns();
    for (size_t i = 0; i < len; i++) {
        if (c->marks < 2) {
            if (!c->marks) {
                const char *at = memchr(data + i, '@', len - i);
                if (!at) break;
                i = (size_t)(at - data);
            }
            c->marks = data[i] == '@' ? c->marks + 1 : 0;
            c->stamp = 0;
        } else if (data[i] >= '0' && data[i] <= '9') c->stamp = c->stamp * 10 + (uint64_t)(data[i] - '0');
        else {
            c->marks = 0;
            if (data[i] != ';') continue;
            c->stamps++;
            events++;
            keep_sample(&lags, now - (int64_t)c->stamp);
        }
    }
    size_t fresh = len < TAIL ? len : TAIL, old = c->tail_len + fresh > TAIL ? TAIL - fresh : c->tail_len;
    memmove(c->tail, c->tail + c->tail_len - old, old);
    memcpy(c->tail + old, data + len - fresh, fresh);
    c->tail_len = old + fresh;
    return option.abort_after && c->stamps >= option.abort_after;
}

/* Takes what arrived through the phases of an answer. Returns 0 if the connection must not be touched any more. */
static int take(struct conn *c, const char *data, size_t len) {
    size_t at = 0;
    while (at < len && c->phase >= HEAD && c->phase < OVER) {
        size_t part = len - at;
        switch (c->phase) {
        case HEAD: {
            c->head[c->head_len++] = data[at++];
            if (c->head_len >= HEAD_MAX - 1) { lost(c, &broken); return 0; }
            if (c->head_len >= 4 && !memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4)) {
                read_head(c);
                if (c->status == 100) { c->phase = HEAD; c->head_len = 0; c->heard = 0; }
                else if (c->phase == SIZED && !c->left) { end_of_answer(c); return 0; }
            }
            break;
        }
        case CHUNK_SIZE: {
            char byte = data[at++];
            if (byte != '\n') {
                if (c->line_len < 16) c->head[c->line_len++] = byte;
                break;
            }
            c->head[c->line_len] = 0;
            c->left = (size_t)strtoul(c->head, NULL, 16);
            c->line_len = 0;
            c->phase = c->left ? CHUNK : TRAILER;
            break;
        }
        case CHUNK_END:
            if (data[at++] == '\n') c->phase = CHUNK_SIZE;
            break;
        case TRAILER: { /* an empty line ends it */
            char byte = data[at++];
            if (byte == '\n') {
                if (!c->line_len) { end_of_answer(c); return 0; }
                c->line_len = 0;
            } else if (byte != '\r') c->line_len++;
            break;
        }
        default: { /* SIZED, CHUNK, UNTIL_CLOSE: the body */
            if (c->phase != UNTIL_CLOSE && part > c->left) part = c->left;
            if (read_body(c, data + at, part)) {
                aborted++, answered++, finished_all++;
                last_end = now_ns();
                hang_up(c);
                if (another(c)) ask_in_turn(c);
                else rest(c);
                return 0;
            }
            at += part;
            if (c->phase == UNTIL_CLOSE) break;
            c->left -= part;
            if (c->left) break;
            if (c->phase == SIZED) { end_of_answer(c); return 0; }
            c->phase = CHUNK_END;
        }
        }
    }
    return 1;
}

static void read_on(struct conn *c) {
    static char buffer[262144];
    while (c->fd >= 0 && c->phase >= SENDING && c->phase < OVER) {
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n > 0) {
            if (!take(c, buffer, (size_t)n)) return;
            continue;
        }
        if (n == 0 && c->phase == UNTIL_CLOSE) end_of_answer(c);
        else if (n == 0) {
            if (!c->heard && c->used) { c->asked--; hang_up(c); ask(c); return; } /* the server ended a kept connection: no fault */
            lost(c, &broken);
        } else lost(c, &reset);
        return;
    }
}

static void connected(struct conn *c) {
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) { lost(c, &unreachable); return; }
    c->phase = SENDING;
    write_on(c);
}

/* ---- the run ---- */

static char *slurp(const char *path, size_t *len) {
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (!file) fail("head= and body= must name readable files");
    char *text = malloc(64 << 20);
    if (!text) fail("out of memory");
    *len = fread(text, 1, 64 << 20, file);
    fclose(file);
    return text;
}

static void make_request(void) {
    size_t head_len, body_len;
    char *head = slurp(option.head, &head_len), *body = slurp(option.body, &body_len);
    request = malloc(head_len + body_len + 4096);
    if (!request) fail("out of memory");
    size_t len = (size_t)sprintf(request, "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-length: %zu\r\n", option.path, option.port, body_len);
    for (size_t i = 0; i < head_len; i++) {
        if (head[i] == '\n') request[len++] = '\r';
        request[len++] = head[i];
    }
    len += (size_t)sprintf(request + len, "\r\n");
    memcpy(request + len, body, body_len);
    request_len = len + body_len;
    free(head), free(body);
}

static void read_options(int argc, char **argv) {
    if (argc < 2) fail("say json or stream; see the top of bench/load.c");
    option.stream = !strcmp(argv[1], "stream");
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value) fail("options are name=value");
        *value++ = 0;
        if (!strcmp(argv[i], "port")) option.port = atoi(value);
        else if (!strcmp(argv[i], "path")) option.path = value;
        else if (!strcmp(argv[i], "head")) option.head = value;
        else if (!strcmp(argv[i], "body")) option.body = value;
        else if (!strcmp(argv[i], "connections")) option.connections = atoi(value);
        else if (!strcmp(argv[i], "repeat")) option.repeat = atoi(value);
        else if (!strcmp(argv[i], "abort_after")) option.abort_after = atol(value);
        else if (!strcmp(argv[i], "warmup")) option.warmup = atof(value);
        else if (!strcmp(argv[i], "seconds")) option.seconds = atof(value);
        else if (!strcmp(argv[i], "ramp")) option.ramp = atof(value);
        else if (!strcmp(argv[i], "rate")) option.rate = atof(value);
        else if (!strcmp(argv[i], "limit")) option.limit = atof(value);
        else fail("unknown option");
    }
}

static void report(double wall_s, double window_s, int unfinished) {
    printf("{\"finished\": %llu, \"finished_all\": %llu, \"answered\": %llu, \"no_answer\": %llu, \"seconds\": %.4f, \"per_second\": %.2f, ",
           (unsigned long long)finished, (unsigned long long)finished_all, (unsigned long long)answered, (unsigned long long)no_answer,
           wall_s, window_s > 0 ? (double)finished / window_s : 0);
    printf("\"bytes\": %llu, \"events\": %llu, \"events_per_second\": %.1f, \"aborted\": %llu, ", (unsigned long long)bytes,
           (unsigned long long)events, wall_s > 0 ? (double)events / wall_s : 0, (unsigned long long)aborted);
    print_samples("latency_ms", &latencies);
    print_samples("first_byte_ms", &firsts);
    print_samples("event_lag_ms", &lags);
    print_samples("duration_ms", &durations);
    printf("\"errors\": {\"refused\": %llu, \"broken\": %llu, \"reset\": %llu, \"unreachable\": %llu, \"incomplete\": %llu, \"unfinished\": %d}, ",
           (unsigned long long)refused, (unsigned long long)broken, (unsigned long long)reset, (unsigned long long)unreachable,
           (unsigned long long)incomplete, unfinished);
    printf("\"statuses\": {");
    for (int i = 0, comma = 0; i < 600; i++)
        if (statuses[i]) printf("%s\"%d\": %llu", comma++ ? ", " : "", i, (unsigned long long)statuses[i]);
    printf("}}\n");
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    read_options(argc, argv);
    make_request();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct conn *all = calloc((size_t)option.connections, sizeof *all);
    struct epoll_event ready[512];
    if (!all) fail("out of memory");
    began = now_ns();
    measured_from = began + (int64_t)(option.warmup * 1e9);
    measured_to = measured_from + (int64_t)(option.seconds * 1e9);
    busy = option.connections;
    next_turn = began + (option.rate ? (int64_t)(1e9 * option.connections / option.rate) : 0);
    for (int i = 0; i < option.connections; i++) {
        all[i].fd = -1;
        all[i].wake = began + (int64_t)(option.rate ? 1e9 * i / option.rate : option.ramp * 1e9 * i / option.connections);
    }
    /* A stream that has begun may end after the time is up; a plain answer may not. */
    int64_t stop = deadline() + (option.stream && option.seconds ? (int64_t)(option.limit * 1e9) : 0);
    while (busy && now_ns() < stop) {
        int64_t now = now_ns(), next = stop;
        for (int i = 0; i < option.connections; i++) {
            if (all[i].phase != WAITING) continue;
            if (!another(&all[i])) rest(&all[i]);
            else if (all[i].wake <= now) { drop_if_ended(&all[i]); ask(&all[i]); }
            else if (all[i].wake < next) next = all[i].wake;
        }
        int64_t rest_ms = (next - now_ns() + 999999) / 1000000;
        int n = epoll_wait(epoll_fd, ready, 512, rest_ms < 0 ? 0 : rest_ms > 200 ? 200 : (int)rest_ms);
        for (int i = 0; i < n; i++) {
            struct conn *c = ready[i].data.ptr;
            if (c->phase == CONNECTING && ready[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected(c);
            else if (c->phase == SENDING && ready[i].events & EPOLLOUT) write_on(c);
            if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_on(c);
        }
    }
    int64_t end = option.stream ? (last_end ? last_end : now_ns()) : now_ns();
    double wall_s = (double)(end - began) / 1e9;
    report(wall_s, option.stream ? wall_s : option.seconds, option.stream ? busy : 0);
    return 0;
}
