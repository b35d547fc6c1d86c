/* The fake upstream of the bench: Google's token endpoint, Vertex rawPredict and streamRawPredict, Anthropic /v1/messages.
 *
 * In C, one thread, epoll: its own ceiling must lie at least ten times above any gateway's (a Python server would be the limit
 * itself), and it must not take the CPU that the measured process needs. Answers are prepared; a request is only skimmed.
 *
 *     upstream [PORT]     listens on 127.0.0.1 (0 = a free port) and prints "port N"
 *
 * The prompt steers the answer, anywhere in the request body: "bench:ev=100,iv=20,fault=cut," means 100 text deltas, 20 ms apart
 * (0 = all at once), cut off halfway. Each delta carries "@@<monotonic ns>;", the moment it was written, so that a client on
 * the same machine can tell how long it was on its way.
 *
 * Faults: cut (closes halfway), reset (RST halfway; at once if unstreamed), slow (300 ms before the answer begins), refuse (503).
 * GET /stats counts requests by kind. It ends with the process that started it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 65536
#define BODY_MAX (64L << 20)
#define SLOW_NS 300000000LL
#define FILLER "Once the gate is open, every word that comes in goes out again. "

enum kind { PLAIN, STREAM, TOKEN, COUNT, STATS, UNKNOWN, KINDS };
enum fault { NONE, CUT, RESET, SLOW, REFUSE };

struct conn {
    int fd;
    char *in;
    size_t in_len, in_room, head_len, need; /* need = head + body, once the head is there */
    char *out;
    size_t out_len, out_off, out_room;
    int answering, heap_at; /* heap_at = place in the timer heap, 0 = no timer */
    int64_t due, interval;
    long events, sent;
    enum kind kind;
    enum fault fault;
    int begun, wants_write, last, dead;
};

static int epoll_fd;
static struct conn **heap, **graves;
static size_t heap_len, heap_room, graves_len, graves_room;
static uint64_t counts[KINDS], faults_made, connections;
static char plain_answer[4096], token_answer[512], count_answer[256], refusal[512];
static size_t plain_len, token_len, count_len, refusal_len;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *must(void *p) {
    if (!p) { fprintf(stderr, "upstream: out of memory\n"); exit(1); }
    return p;
}

/* ---- timers: a binary heap by due time, places counted from 1 ---- */

static void place(struct conn *c, size_t at) { heap[at] = c; c->heap_at = (int)at; }

static void sift(size_t at) {
    struct conn *c = heap[at];
    for (; at > 1 && heap[at / 2]->due > c->due; at /= 2) place(heap[at / 2], at);
    for (;;) {
        size_t child = at * 2;
        if (child > heap_len) break;
        if (child < heap_len && heap[child + 1]->due < heap[child]->due) child++;
        if (heap[child]->due >= c->due) break;
        place(heap[child], at);
        at = child;
    }
    place(c, at);
}

static void timer_set(struct conn *c, int64_t due) {
    c->due = due;
    if (!c->heap_at) {
        if (heap_len + 2 > heap_room) {
            heap_room = heap_room ? heap_room * 2 : 1024;
            heap = must(realloc(heap, heap_room * sizeof *heap));
        }
        place(c, ++heap_len);
    }
    sift((size_t)c->heap_at);
}

static void timer_clear(struct conn *c) {
    if (!c->heap_at) return;
    size_t at = (size_t)c->heap_at;
    struct conn *moved = heap[heap_len--];
    c->heap_at = 0;
    if (moved != c) { place(moved, at); sift(at); }
}

/* ---- connections ---- */

/* Freed after the batch of epoll events: a later event of the batch may still name it. */
static void bury(struct conn *c, int hard) {
    if (c->dead) return;
    if (hard) {
        struct linger now = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    timer_clear(c);
    close(c->fd);
    c->dead = 1;
    if (graves_len == graves_room) {
        graves_room = graves_room ? graves_room * 2 : 256;
        graves = must(realloc(graves, graves_room * sizeof *graves));
    }
    graves[graves_len++] = c;
}

static void watch(struct conn *c, int write) {
    if (c->wants_write == write) return;
    c->wants_write = write;
    struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static void put(struct conn *c, const void *data, size_t len) {
    if (c->out_len + len > c->out_room) {
        c->out_room = (c->out_len + len) * 2 + 4096;
        c->out = must(realloc(c->out, c->out_room));
    }
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
}

static void flush(struct conn *c) {
    while (c->out_off < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) { watch(c, 1); return; }
            bury(c, 0);
            return;
        }
        c->out_off += (size_t)n;
    }
    c->out_len = c->out_off = 0;
    watch(c, 0);
    if (c->last) bury(c, 0);
}

/* One chunk of chunked transfer coding. */
static void put_chunk(struct conn *c, const char *text, size_t len) {
    char size[16];
    put(c, size, (size_t)sprintf(size, "%zx\r\n", len));
    put(c, text, len);
    put(c, "\r\n", 2);
}

static void put_event(struct conn *c, const char *name, const char *format, ...) {
    char text[2048];
    int len = sprintf(text, "event: %s\ndata: ", name);
    va_list arguments;
    va_start(arguments, format);
    len += vsnprintf(text + len, sizeof text - (size_t)len - 2, format, arguments);
    va_end(arguments);
    len += sprintf(text + len, "\n\n");
    put_chunk(c, text, (size_t)len);
}

/* ---- answers ---- */

static void begin_stream(struct conn *c) {
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
                               "request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n";
    put(c, head, sizeof head - 1);
    put_event(c, "message_start",
              "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\","
              "\"model\":\"claude-sonnet-4-6\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":350,"
              "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1}}}");
    put_event(c, "content_block_start",
              "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
    c->begun = 1;
}

static void end_stream(struct conn *c) {
    put_event(c, "content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}");
    put_event(c, "message_delta",
              "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
              "\"usage\":{\"output_tokens\":%ld}}", c->events);
    put_event(c, "message_stop", "{\"type\":\"message_stop\"}");
    put(c, "0\r\n\r\n", 5);
    c->answering = 0;
}

static void answer_more(struct conn *c);

/* Writes every event that is due by now, then rests until the next. */
static void go_on(struct conn *c) {
    int64_t now = now_ns();
    if (!c->begun) begin_stream(c);
    while (c->sent < c->events && c->due <= now) {
        if (c->sent == c->events / 2 && (c->fault == CUT || c->fault == RESET)) {
            faults_made++;
            flush(c);
            bury(c, c->fault == RESET);
            return;
        }
        put_event(c, "content_block_delta",
                  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"@@%lld; and so on \"}}",
                  (long long)now_ns());
        c->sent++;
        c->due += c->interval;
    }
    if (c->sent < c->events) timer_set(c, c->due);
    else { timer_clear(c); end_stream(c); }
    flush(c);
    if (!c->dead && !c->answering) answer_more(c);
}

static void answer_plain(struct conn *c) {
    timer_clear(c);
    put(c, plain_answer, plain_len);
    c->answering = 0;
    flush(c);
    if (!c->dead) answer_more(c);
}

static void answer_stats(struct conn *c) {
    char body[512], head[128];
    int len = sprintf(body, "{\"plain\":%llu,\"stream\":%llu,\"token\":%llu,\"count\":%llu,\"unknown\":%llu,\"faults\":%llu,\"connections\":%llu}",
                      (unsigned long long)counts[PLAIN], (unsigned long long)counts[STREAM], (unsigned long long)counts[TOKEN],
                      (unsigned long long)counts[COUNT], (unsigned long long)counts[UNKNOWN], (unsigned long long)faults_made,
                      (unsigned long long)connections);
    put(c, head, (size_t)sprintf(head, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n", len));
    put(c, body, (size_t)len);
}

/* ---- requests ---- */

static enum kind kind_of(const struct conn *c) {
    const char *end = memchr(c->in, '\r', c->head_len);
    size_t line = end ? (size_t)(end - c->in) : 0;
    const char *body = c->in + c->head_len;
    size_t body_len = c->need - c->head_len;
    if (memmem(c->in, line, "treamRawPredict", 15)) return STREAM;
    if (memmem(c->in, line, "count-tokens", 12) || memmem(c->in, line, "count_tokens", 12)) return COUNT;
    if (memmem(c->in, line, ":rawPredict", 11)) return PLAIN;
    if (memmem(c->in, line, "/v1/messages", 12))
        return memmem(body, body_len, "\"stream\":true", 13) || memmem(body, body_len, "\"stream\": true", 14) ? STREAM : PLAIN;
    if (memmem(c->in, line, "/token", 6)) return TOKEN;
    return memmem(c->in, line, "/stats", 6) ? STATS : UNKNOWN;
}

/* Reads "bench:ev=…,iv=…,fault=…," out of the body; ten events, all at once, if it is not there. */
static void read_orders(struct conn *c) {
    c->events = 10, c->interval = 0, c->fault = NONE;
    char text[128] = "";
    const char *found = memmem(c->in + c->head_len, c->need - c->head_len, "bench:ev=", 9);
    if (!found) return;
    size_t len = (size_t)(c->in + c->need - found);
    memcpy(text, found, len < sizeof text - 1 ? len : sizeof text - 1);
    long events = 10, interval_ms = 0;
    char fault[16] = "";
    sscanf(text, "bench:ev=%ld,iv=%ld,fault=%15[a-z]", &events, &interval_ms, fault);
    c->events = events;
    c->interval = interval_ms * 1000000LL;
    c->fault = !strcmp(fault, "cut") ? CUT : !strcmp(fault, "reset") ? RESET : !strcmp(fault, "slow") ? SLOW : !strcmp(fault, "refuse") ? REFUSE : NONE;
}

static void answer(struct conn *c) {
    counts[c->kind = kind_of(c)]++;
    c->begun = 0, c->sent = 0;
    if (c->kind == PLAIN || c->kind == STREAM) {
        read_orders(c);
        if (c->fault == REFUSE) { faults_made++; put(c, refusal, refusal_len); return; }
        if (c->fault == RESET && c->kind == PLAIN) { faults_made++; bury(c, 1); return; }
        int64_t start = now_ns();
        if (c->fault == SLOW) { faults_made++; start += SLOW_NS; }
        if (c->kind == PLAIN && c->fault != SLOW) { put(c, plain_answer, plain_len); return; }
        c->answering = 1;
        timer_set(c, start);
    } else if (c->kind == TOKEN) put(c, token_answer, token_len);
    else if (c->kind == COUNT) put(c, count_answer, count_len);
    else if (c->kind == STATS) answer_stats(c);
    else {
        static const char nothing[] = "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        put(c, nothing, sizeof nothing - 1);
    }
}

/* Finds the head's end and the body's length; 0 if more must come, -1 if it is no request we understand. */
static int measure(struct conn *c) {
    char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end) return c->in_len > HEAD_MAX ? -1 : 0;
    c->head_len = (size_t)(end - c->in) + 4;
    c->need = c->head_len;
    for (char *line = memchr(c->in, '\n', c->head_len); line && line < end; line = memchr(line + 1, '\n', (size_t)(end - line))) {
        if (!strncasecmp(line + 1, "content-length:", 15)) {
            long len = strtol(line + 16, NULL, 10);
            if (len < 0 || len > BODY_MAX) return -1;
            c->need = c->head_len + (size_t)len;
        } else if (!strncasecmp(line + 1, "transfer-encoding:", 18)) return -1;
        else if (!strncasecmp(line + 1, "expect:", 7)) put(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
    return 1;
}

/* Answers the requests that are wholly there, one after the other. */
static void answer_more(struct conn *c) {
    while (!c->dead && !c->answering && c->in_len) {
        if (!c->need) {
            int found = measure(c);
            if (found < 0) { bury(c, 0); return; }
            if (!found) return;
        }
        if (c->in_len < c->need) break;
        answer(c);
        if (c->dead) return;
        memmove(c->in, c->in + c->need, c->in_len - c->need);
        c->in_len -= c->need;
        c->need = c->head_len = 0;
    }
    if (!c->dead && c->out_len > c->out_off) flush(c);
}

static void readable(struct conn *c) {
    for (;;) {
        size_t want = c->need > c->in_len ? c->need - c->in_len + 1 : 16384;
        if (c->in_len + want > c->in_room) {
            c->in_room = c->in_len + want + 16384;
            c->in = must(realloc(c->in, c->in_room));
        }
        ssize_t n = recv(c->fd, c->in + c->in_len, c->in_room - c->in_len, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { bury(c, 0); return; }
        size_t room = c->in_room - c->in_len;
        c->in_len += (size_t)n;
        if (!c->answering) answer_more(c);
        if (c->dead || (size_t)n < room) return;
    }
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct conn *c = must(calloc(1, sizeof *c));
        c->fd = fd;
        connections++;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

static size_t prepare(char *into, const char *status, const char *body) {
    return (size_t)sprintf(into, "HTTP/1.1 %s\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\ncontent-length: %zu\r\n\r\n%s", status, strlen(body), body);
}

static void prepare_answers(void) {
    char text[1200] = "", body[2048];
    while (strlen(text) + sizeof FILLER < 1080) strcat(text, FILLER);
    sprintf(body, "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-6\",\"content\":[{\"type\":\"text\","
                  "\"text\":\"%s\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":350,"
                  "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":240}}", text);
    plain_len = prepare(plain_answer, "200 OK", body);
    token_len = prepare(token_answer, "200 OK", "{\"access_token\":\"ya29.bench\",\"expires_in\":3599,\"token_type\":\"Bearer\"}");
    count_len = prepare(count_answer, "200 OK", "{\"input_tokens\":350}");
    refusal_len = prepare(refusal, "503 Service Unavailable",
                          "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"refused, as the prompt asked\"}}");
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prepare_answers();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? (uint16_t)atoi(argv[1]) : 0)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t len = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 4096) || getsockname(listener, (struct sockaddr *)&address, &len)) {
        perror("upstream: cannot listen");
        return 1;
    }
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, ready[512];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int64_t rest = heap_len ? heap[1]->due - now_ns() : 1000000000;
        int n = epoll_wait(epoll_fd, ready, 512, rest <= 0 ? 0 : (int)((rest + 999999) / 1000000));
        for (int i = 0; i < n; i++) {
            struct conn *c = ready[i].data.ptr;
            if (!c) { accept_all(listener); continue; }
            if (!c->dead && ready[i].events & EPOLLOUT) flush(c);
            if (!c->dead && ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
        }
        int64_t now = now_ns();
        while (heap_len && heap[1]->due <= now) {
            if (heap[1]->kind == STREAM) go_on(heap[1]);
            else answer_plain(heap[1]);
        }
        while (graves_len) {
            struct conn *c = graves[--graves_len];
            free(c->in);
            free(c->out);
            free(c);
        }
    }
}
