/* TLS for the bench, as a tunnel: what a provider's front end, or a client that speaks TLS, adds to the tools.
 *
 *     tls server TO CERT KEY     takes TLS on a free port of 127.0.0.1, speaks plainly to port TO: stands before bench/upstream.c
 *     tls client TO              takes plain bytes on a free port, speaks TLS to port TO: lets bench/load.c go direct over TLS
 *
 * Prints "port N". In C for the same reason as upstream.c: whatever it costs is not the gateway's, and must not be its limit. One
 * thread, epoll. A record goes out for each piece that came in, as a provider's front end does with events. When one side
 * ends, so does the other. TLS 1.3 only. It ends with the process that started it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 16384
#define AGAIN (-1)
#define BROKEN (-2)

struct side {
    struct pair *pair;
    int fd;
    SSL *ssl; /* NULL = plain */
    char bytes[PIECE]; /* read here, not yet written to the other side */
    size_t off, len;
};

struct pair { struct side near, far; int dead; };

static int epoll_fd, takes_tls, to_port;
static SSL_CTX *context;
static struct pair **graves;
static size_t graves_len, graves_room;

static void fail(const char *what) {
    fprintf(stderr, "tls: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* Bytes, 0 = ended, AGAIN or BROKEN. */
static ssize_t outcome(const struct side *s, ssize_t n) {
    if (n > 0) return n;
    if (!s->ssl) return n == 0 ? 0 : errno == EAGAIN || errno == ENOTCONN ? AGAIN : BROKEN;
    int error = SSL_get_error(s->ssl, (int)n);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return AGAIN;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : BROKEN;
}

static ssize_t take(struct side *s) {
    ERR_clear_error();
    return outcome(s, s->ssl ? SSL_read(s->ssl, s->bytes, PIECE) : recv(s->fd, s->bytes, PIECE, 0));
}

static ssize_t put(struct side *s, const char *bytes, size_t len) {
    ERR_clear_error();
    return outcome(s, s->ssl ? SSL_write(s->ssl, bytes, (int)len) : send(s->fd, bytes, len, MSG_NOSIGNAL));
}

/* Freed after the batch of epoll events: a later event of the batch may still name it. */
static void bury(struct pair *p, int hard) {
    if (p->dead) return;
    p->dead = 1;
    for (struct side *s = &p->near; s; s = s == &p->near ? &p->far : NULL) {
        struct linger now = {1, 0};
        if (s->fd < 0) continue;
        if (hard) setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        else if (s->ssl) SSL_shutdown(s->ssl);
        close(s->fd);
    }
    if (graves_len == graves_room) {
        graves_room = graves_room ? graves_room * 2 : 256;
        graves = realloc(graves, graves_room * sizeof *graves);
        if (!graves) fail("out of memory");
    }
    graves[graves_len++] = p;
}

/* Carries what there is from one side to the other. 1 = something moved, 0 = nothing to do now, AGAIN = buried. */
static int carry(struct side *from, struct side *to) {
    int moved = 0;
    for (;;) {
        if (!from->len) {
            ssize_t n = take(from);
            if (n == AGAIN) return moved;
            if (n <= 0) { bury(from->pair, n == BROKEN); return AGAIN; }
            from->len = (size_t)n, from->off = 0, moved = 1;
        }
        ssize_t n = put(to, from->bytes + from->off, from->len);
        if (n == AGAIN) return moved;
        if (n <= 0) { bury(from->pair, 1); return AGAIN; }
        from->off += (size_t)n, from->len -= (size_t)n, moved = 1;
    }
}

/* Both ways until neither moves: with edge-triggered epoll, and with TLS, where writing may wait for reading. */
static void pump(struct pair *p) {
    for (;;) {
        int there = carry(&p->near, &p->far);
        if (there == AGAIN) return;
        int back = carry(&p->far, &p->near);
        if (back == AGAIN || !(there || back)) return;
    }
}

static void begin_side(struct side *s, struct pair *p, int fd, int tls, int accepts) {
    int on = 1;
    s->pair = p;
    s->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (tls) {
        s->ssl = SSL_new(context);
        if (!s->ssl || !SSL_set_fd(s->ssl, fd)) fail("no memory for a connection");
        if (accepts) SSL_set_accept_state(s->ssl);
        else SSL_set_connect_state(s->ssl);
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

static void accept_all(int listener) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int other = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct pair *p = calloc(1, sizeof *p);
        if (!p || other < 0) fail("no socket: raise the limit of open files");
        begin_side(&p->near, p, fd, takes_tls, 1);
        begin_side(&p->far, p, other, !takes_tls, 0);
        if (connect(other, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) { bury(p, 1); continue; }
        pump(p);
    }
}

static void make_context(int argc, char **argv) {
    context = SSL_CTX_new(takes_tls ? TLS_server_method() : TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION)) fail("no TLS 1.3 in this OpenSSL");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    if (!takes_tls) return;
    if (argc < 5) fail("a server needs a certificate and its key; see the top of bench/tls.c");
    if (SSL_CTX_use_certificate_chain_file(context, argv[3]) != 1 || SSL_CTX_use_PrivateKey_file(context, argv[4], SSL_FILETYPE_PEM) != 1)
        fail("certificate or key cannot be read");
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc < 3) fail("say server or client, and a port; see the top of bench/tls.c");
    signal(SIGPIPE, SIG_IGN); /* SSL_write has no MSG_NOSIGNAL */
    takes_tls = !strcmp(argv[1], "server");
    to_port = atoi(argv[2]);
    make_context(argc, argv);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 4096) || getsockname(listener, (struct sockaddr *)&address, &len))
        fail("cannot listen");
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, ready[512];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(epoll_fd, ready, 512, -1);
        for (int i = 0; i < n; i++) {
            struct side *s = ready[i].data.ptr;
            if (!s) accept_all(listener);
            else if (!s->pair->dead) pump(s->pair);
        }
        while (graves_len) {
            struct pair *p = graves[--graves_len];
            SSL_free(p->near.ssl);
            SSL_free(p->far.ssl);
            free(p);
        }
    }
}
