"""HTTP/1.1 to a provider, against servers that keep, cut, delay and garble their answers on purpose."""

import datetime
import ipaddress
import itertools
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_server import CHUNKED, Peer, Server, again_and_again, chunked, scripted

from gateway.canonical.errors import StreamBroken, UpstreamFailed, UpstreamTimeout
from gateway.canonical.steps import Steps, Wait, Work, answer_blocking, do_work
from gateway.providers import http1
from gateway.providers.http1 import Exchange, Head, Origin, Pool, Timeouts

QUICK = Timeouts(connect_s=2.0, first_byte_s=5.0, idle_s=5.0)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


class Asked:
    """An exchange, waited for by a thread: `head` and `read` return None after `wait_s` of silence, and may be called again."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._steps: Steps[Head] | None = None
        self._answer: Any = None
        self._head: Head | None = None
        self.close, self.interrupt = exchange.close, exchange.interrupt

    def head(self, wait_s: float) -> Head | None:
        if self._head is not None:
            return self._head
        self._steps = self._steps or self._exchange.head(wait_s)
        try:
            while True:
                pause = self._steps.send(self._answer)
                while isinstance(pause, Work):
                    pause = do_work(self._steps, pause)
                assert isinstance(pause, Wait)
                self._answer = answer_blocking(pause)
                if not self._answer and not pause.writing and pause.wait_s >= wait_s:
                    return None
        except StopIteration as end:
            self._head = end.value
            return self._head

    def read(self, wait_s: float) -> bytes | None:
        while (data := self._exchange.read()) is None:
            pause = self._exchange.pause(wait_s)
            if not answer_blocking(pause) and pause.wait_s >= wait_s:
                return None
        return data


def post(
    pool: Pool, server: Server, body: bytes = b"{}", *, timeouts: Timeouts = QUICK, total_s: float = 20.0, **headers: str
) -> Asked:
    origin = Origin.parse(server.url)
    exchange = pool.request("POST", origin, "/v1/x", headers, body, timeouts=timeouts, deadline=time.monotonic() + total_s)
    return Asked(exchange)


def head_of(exchange: Asked, wait_s: float = 5.0) -> Head:
    head = exchange.head(wait_s)
    assert head is not None
    return head


def begun(exchange: Asked) -> Asked:
    head_of(exchange)
    return exchange


def body_of(exchange: Asked, wait_s: float = 5.0) -> bytes:
    head_of(exchange)
    pieces = []
    while (data := exchange.read(wait_s)) != b"":
        pieces.append(data or b"")
    return b"".join(pieces)


def ok(peer: Peer) -> None:
    peer.request()
    peer.answer()


# -- connections -------------------------------------------------------------------------------------------------------


def test_a_connection_serves_call_after_call(pool: Pool) -> None:
    """No handshake per call."""
    with scripted(again_and_again(ok)) as server:
        for _ in range(5):
            assert body_of(post(pool, server)) == b"ok"
        assert server.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 1\r\n\r\nx",
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(pool: Pool, answer: bytes) -> None:
    """Told to close, or with bytes behind the answer that nobody asked for: those belong to no answer of ours."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer)
        peer.wait_closed()

    with scripted(script) as server:
        for _ in range(2):
            exchange = post(pool, server)
            assert head_of(exchange).status == 200
            assert body_of(exchange) == b"ok"
        assert server.accepted == 2


def test_a_stale_connection_is_replaced_before_it_is_used(pool: Pool) -> None:
    """The server closed an idle connection: the next call notices and opens another."""
    closed = threading.Event()

    def once(peer: Peer) -> None:
        ok(peer)
        peer.sock.close()
        closed.set()

    with scripted(once, ok) as server:
        assert body_of(post(pool, server)) == b"ok"
        assert closed.wait(5)
        assert body_of(post(pool, server)) == b"ok"
        assert server.accepted == 2


@pytest.mark.parametrize("end", ["fin", "reset"])
def test_a_call_on_a_connection_that_just_closed_is_sent_again(pool: Pool, end: str) -> None:
    """The race of an idle timeout: not one byte of an answer came, so nothing was lost and nobody needs to know."""
    asked: list[bytes] = []

    def second_call_dies(peer: Peer) -> None:
        ok(peer)
        asked.append(peer.request()[1])
        if end == "reset":
            peer.reset()

    def then(peer: Peer) -> None:
        asked.append(peer.request()[1])
        peer.answer(b"at last")

    with scripted(second_call_dies, then) as server:
        body_of(post(pool, server))
        assert body_of(post(pool, server, b"again")) == b"at last"
        assert asked == [b"again", b"again"]


def test_a_call_is_sent_again_once_and_only_once(pool: Pool) -> None:
    """A server that hangs up on a fresh connection has failed."""
    asked: list[bytes] = []

    def first(peer: Peer) -> None:
        ok(peer)
        asked.append(peer.request()[1])

    def hang_up(peer: Peer) -> None:
        asked.append(peer.request()[1])

    with scripted(first, hang_up) as server:
        body_of(post(pool, server))
        with pytest.raises(UpstreamFailed, match="without an answer"):
            head_of(post(pool, server))
        assert len(asked) == 2 and server.accepted == 2


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-le"])
def test_a_call_is_not_sent_again_once_an_answer_began(pool: Pool, begun: bytes) -> None:
    """A byte of an answer means that the call arrived, and perhaps was billed."""

    def first(peer: Peer) -> None:
        ok(peer)
        peer.request()
        peer.send(begun)

    with scripted(first, ok) as server:
        body_of(post(pool, server))
        with pytest.raises(UpstreamFailed):
            head_of(post(pool, server))
        assert server.accepted == 1


def test_a_fresh_connection_that_is_closed_is_a_failure(pool: Pool) -> None:
    """Only a pooled connection can be stale."""
    with scripted(lambda peer: peer.request()) as server:
        with pytest.raises(UpstreamFailed, match="try again"):
            head_of(post(pool, server))
        assert server.accepted == 1


def test_idle_connections_are_bounded(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of calls leaves so many connections and no more."""
    monkeypatch.setattr(http1, "IDLE_CONNECTIONS_MAX", 3)
    with scripted(again_and_again(ok)) as server:
        exchanges = [begun(post(pool, server)) for _ in range(8)]
        assert [body_of(exchange) for exchange in exchanges] == [b"ok"] * 8
        assert server.accepted == 8
        exchanges = [begun(post(pool, server)) for _ in range(8)]
        for exchange in exchanges:
            body_of(exchange)
        assert server.accepted == 13


def test_many_threads_share_a_pool(pool: Pool) -> None:
    """Every caller gets the answer to its own question."""

    def echo(peer: Peer) -> None:
        peer.answer(peer.request()[1] * 50)

    faults: list[object] = []
    with scripted(again_and_again(echo)) as server:

        def ask(name: int) -> None:
            for turn in range(20):
                text = f"<{name}.{turn}>".encode()
                if (found := body_of(post(pool, server, text))) != text * 50:
                    faults.append((text, found))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not faults and server.accepted <= 16


def test_an_unfinished_answer_is_cut_off_upstream(pool: Pool) -> None:
    """A client that went away costs no further tokens."""
    gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED, b"5\r\nhello\r\n")
        if peer.wait_closed():
            gone.set()

    with scripted(script) as server:
        exchange = post(pool, server)
        head_of(exchange)
        assert exchange.read(5) == b"hello"
        exchange.close()
        exchange.close()
        assert gone.wait(5)


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_request_goes_out_as_it_was_given(pool: Pool) -> None:
    """Host, length, headers and body; nothing added, nothing encoded."""
    seen: list[tuple[str, bytes]] = []

    def script(peer: Peer) -> None:
        seen.append(peer.request())
        peer.answer()

    with scripted(script) as server:
        body_of(post(pool, server, b"\x00\xff body", accept="text/event-stream"))
    head, body = seen[0]
    host = server.url.removeprefix("http://")
    assert head == f"POST /v1/x HTTP/1.1\r\nhost: {host}\r\ncontent-length: 7\r\naccept: text/event-stream"
    assert body == b"\x00\xff body"


@pytest.mark.parametrize("text", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b", "snow ☃"])
def test_a_header_cannot_break_out_of_its_line(pool: Pool, text: str) -> None:
    """Refused before a connection is opened."""
    with scripted(ok) as server:
        with pytest.raises(ValueError):
            post(pool, server, accept=text)
        with pytest.raises(ValueError):
            pool.request("POST", Origin.parse(server.url), "/", {text: "value"}, b"", timeouts=QUICK, deadline=1e9)
        assert server.accepted == 0


@pytest.mark.parametrize("path", ["/a b", "/a\r\nx: y", "/a HTTP/1.1\r\nx: y", "/a\0"])
def test_a_path_cannot_break_out_of_its_line(pool: Pool, path: str) -> None:
    """The same for paths."""
    with pytest.raises(ValueError):
        pool.request("POST", Origin("http", "127.0.0.1", 9), path, {}, b"", timeouts=QUICK, deadline=time.monotonic() + 1)


def test_a_redirect_is_an_answer_and_is_not_followed(pool: Pool) -> None:
    """A bearer token goes where the operator said, nowhere else."""
    with scripted(ok) as other:

        def script(peer: Peer) -> None:
            peer.request()
            peer.answer(b"", "302 Found", location=other.url)

        with scripted(script) as server:
            assert head_of(post(pool, server)).status == 302
        assert other.accepted == 0


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("https://aiplatform.googleapis.com", Origin("https", "aiplatform.googleapis.com", 443), "aiplatform.googleapis.com"),
        ("http://127.0.0.1:8080/", Origin("http", "127.0.0.1", 8080), "127.0.0.1:8080"),
        ("http://[::1]:81", Origin("http", "::1", 81), "[::1]:81"),
        ("https://example.test:443", Origin("https", "example.test", 443), "example.test"),
    ],
)
def test_an_origin_is_read_from_a_url(url: str, origin: Origin, host: str) -> None:
    """And the host header says the port only where it must."""
    assert Origin.parse(url) == origin
    assert origin.host_header == host


@pytest.mark.parametrize("url", ["ftp://x", "x", "https://", "http://h:port"])
def test_what_is_no_url_is_no_origin(url: str) -> None:
    """ValueError, not a call to nowhere."""
    with pytest.raises(ValueError):
        Origin.parse(url)


def test_a_large_request_is_answered_before_it_was_read(pool: Pool) -> None:
    """413 in the middle of 20 MB: the answer is told, and the half-used connection is not kept."""

    def script(peer: Peer) -> None:
        peer.sock.recv(65_536)
        peer.answer(b"too large", "413 Payload Too Large", connection="close")
        peer.wait_closed()

    with scripted(script) as server:
        for _ in range(2):
            exchange = post(pool, server, b"x" * 20_000_000)
            assert head_of(exchange).status == 413
            assert body_of(exchange) == b"too large"
        assert server.accepted == 2


def test_a_large_request_arrives_whole_at_a_slow_server(pool: Pool) -> None:
    """20 MB through a buffer of a few hundred KB."""
    sizes: list[int] = []

    def script(peer: Peer) -> None:
        time.sleep(0.2)
        sizes.append(len(peer.request()[1]))
        peer.answer()

    with scripted(script) as server:
        assert body_of(post(pool, server, os.urandom(20_000_000))) == b"ok"
    assert sizes == [20_000_000]


def test_a_server_that_takes_no_request_times_out(pool: Pool) -> None:
    """Sending is bounded too."""
    stop = threading.Event()
    with scripted(lambda peer: stop.wait(10)) as server:
        started = time.monotonic()
        with pytest.raises(UpstreamTimeout, match="did not take the request"):
            begun(post(pool, server, b"x" * 20_000_000, timeouts=Timeouts(2, 5, 0.3)))
        assert time.monotonic() - started < 3
        stop.set()


# -- answers -----------------------------------------------------------------------------------------------------------

BODIES = {
    "content-length": b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",
    "chunked": CHUNKED + chunked(b"hello", b" ", b"world"),
    "chunked with extension and trailer": CHUNKED + b"b;x=y\r\nhello world\r\n0\r\nx-trailer: 1\r\n\r\n",
    "Chunked in capitals": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + chunked(b"hello world"),
    "to the end of the connection": b"HTTP/1.1 200 OK\r\n\r\nhello world",
    "with an offer to upgrade": b"HTTP/1.1 200 OK\r\nupgrade: h2c\r\nconnection: upgrade\r\n"
    b"content-length: 11\r\n\r\nhello world",
    "behind 1xx answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",
}


@given(st.sampled_from(list(BODIES)), st.lists(st.integers(0, 200), max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_body_is_read_alike_in_any_cutting(name: str, cuts: list[int]) -> None:
    """Whatever tells its length, wherever TCP cuts it."""
    answer = BODIES[name]
    places = sorted({0, len(answer), *(cut % len(answer) for cut in cuts)})
    pieces = [answer[a:b] for a, b in itertools.pairwise(places)]

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(*pieces, pause_s=0.001)

    pool = Pool()
    with scripted(script) as server:
        exchange = post(pool, server)
        head = head_of(exchange)
        assert head.status == 200 and "link" not in head.headers
        assert body_of(exchange) == b"hello world"
        assert exchange.read(1) == b""
    pool.close()


@pytest.mark.parametrize("name", [n for n in BODIES if n != "to the end of the connection"])
@pytest.mark.parametrize("end", ["fin", "reset"])
def test_an_answer_that_ends_early_is_broken(pool: Pool, name: str, end: str) -> None:
    """Never taken for a whole one."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(BODIES[name][: BODIES[name].index(b"world")])
        time.sleep(0.05)
        if end == "reset":
            peer.reset()

    with scripted(script) as server:
        exchange = post(pool, server)
        head_of(exchange)
        with pytest.raises(StreamBroken, match="broke off"):
            body_of(exchange)


def test_a_chunked_answer_without_its_last_chunk_is_broken(pool: Pool) -> None:
    """All data arrived, but nobody said that it was all."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED + b"5\r\nhello\r\n")

    with scripted(script) as server:
        exchange = post(pool, server)
        head_of(exchange)
        assert exchange.read(5) == b"hello"
        with pytest.raises(StreamBroken):
            exchange.read(5)


def test_a_reset_ends_an_open_ended_answer_badly(pool: Pool) -> None:
    """Only a proper end of the connection ends such a body."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        time.sleep(0.1)
        peer.reset()

    with scripted(script) as server:
        exchange = post(pool, server)
        head_of(exchange)
        assert exchange.read(5) == b"hello"
        with pytest.raises(StreamBroken):
            exchange.read(5)


def test_data_is_handed_over_as_it_arrives(pool: Pool) -> None:
    """The first event is not held back for the second."""
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED, b"5\r\nfirst\r\n")
        go.wait(5)
        peer.send(b"6\r\nsecond\r\n0\r\n\r\n")

    with scripted(script) as server:
        exchange = post(pool, server)
        head_of(exchange)
        assert exchange.read(5) == b"first"
        go.set()
        assert exchange.read(5) == b"second"
        assert exchange.read(5) == b""


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_silence_is_noticed_and_no_byte_is_lost(pool: Pool, cut: int) -> None:
    """None after `wait_s`, in the middle of a chunk's header or a line's end too; then the answer goes on."""
    stream = chunked(b"hello", b" ", b"world, again and again")
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED + stream[:cut])
        go.wait(5)
        peer.send(stream[cut:])

    with scripted(script) as server:
        exchange = post(pool, server)
        head_of(exchange)
        pieces = []
        while (data := exchange.read(0.03)) is not None:
            pieces.append(data)
        started = time.monotonic()
        assert exchange.read(0.05) is None
        assert 0.04 < time.monotonic() - started < 1.0
        go.set()
        while (data := exchange.read(5)) != b"":
            pieces.append(data or b"")
        assert b"".join(pieces) == b"hello world, again and again"


def test_silence_before_the_head_is_noticed(pool: Pool) -> None:
    """So that a client can be pinged while a model thinks."""
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        go.wait(5)
        peer.send(b"HTTP/1.1 200 O")
        time.sleep(0.15)
        peer.send(b"K\r\ncontent-length: 2\r\n\r\nok")

    with scripted(script) as server:
        exchange = post(pool, server)
        assert exchange.head(0.05) is None
        go.set()
        time.sleep(0.05)
        assert exchange.head(0.02) is None
        assert body_of(exchange) == b"ok"


def test_a_server_that_does_not_begin_times_out(pool: Pool) -> None:
    """The first-byte limit holds however often `head` is called."""
    with scripted(lambda peer: peer.wait_closed()) as server:
        exchange = post(pool, server, timeouts=Timeouts(2, 0.3, 60))
        assert exchange.head(0.1) is None
        with pytest.raises(UpstreamTimeout, match="did not begin"):
            while True:
                exchange.head(0.1)


def test_a_server_that_falls_silent_times_out(pool: Pool) -> None:
    """A dead upstream is not hidden by our pings: silence has a limit of its own, begun anew by each byte."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED, b"1\r\na\r\n", b"1\r\nb\r\n", b"1\r\nc\r\n", pause_s=0.2)
        peer.wait_closed()

    with scripted(script) as server:
        exchange = post(pool, server, timeouts=Timeouts(2, 5, 0.4))
        head_of(exchange)
        seen = b""
        started = time.monotonic()
        with pytest.raises(UpstreamTimeout, match="fell silent"):
            while True:
                seen += exchange.read(0.1) or b""
        assert seen == b"abc" and time.monotonic() - started > 0.7


def test_the_calls_deadline_ends_a_stream_that_never_ends(pool: Pool) -> None:
    """Bytes that keep coming do not outlive the total."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED)
        while True:
            peer.send(b"1\r\na\r\n", pause_s=0.02)

    with scripted(script) as server:
        exchange = post(pool, server, total_s=0.4)
        head_of(exchange)
        started = time.monotonic()
        with pytest.raises(UpstreamTimeout):
            while True:
                exchange.read(5)
        assert time.monotonic() - started < 2


def test_a_host_that_does_not_accept_times_out(pool: Pool) -> None:
    """Bounded by the connect limit; a full backlog is the loopback's way of not answering."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    time.sleep(0.05)
    started = time.monotonic()
    with pytest.raises(UpstreamTimeout, match="did not accept"):
        pool.connect(Origin("http", "127.0.0.1", port), Timeouts(connect_s=0.3))
    assert time.monotonic() - started < 2
    for sock in (*fillers, listener):
        sock.close()


def test_a_closed_port_is_a_failure_that_says_so(pool: Pool) -> None:
    """The cause stays in the log."""
    with scripted(ok) as server:
        pass
    with pytest.raises(UpstreamFailed, match="could not be reached") as failed:
        head_of(post(pool, server))
    assert "refused" in failed.value.reason.lower()


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\x16\x03\x01\x02",
        b"HTTP/9.9 hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nx-a: " + b"b" * 300_000,
    ],
)
def test_garbage_is_a_failure(pool: Pool, garbage: bytes) -> None:
    """No answer, and no endless head."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(garbage)
        peer.wait_closed(3)

    with scripted(script) as server, pytest.raises(UpstreamFailed):
        head_of(post(pool, server))


def test_a_garbled_chunk_is_a_broken_stream(pool: Pool) -> None:
    """Once the head is out, a fault breaks the stream."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED, b"5\r\nhello\r\nzz\r\n")
        peer.wait_closed(3)

    with scripted(script) as server:
        exchange = post(pool, server)
        head_of(exchange)
        with pytest.raises(StreamBroken):
            body_of(exchange)


@pytest.mark.parametrize(
    "answer", [CHUNKED + b"1\r\na\r\n", b"HTTP/1.1 200 OK\r\n\r\na", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na"]
)
def test_an_interrupt_wakes_the_reader_and_breaks_the_answer(pool: Pool, answer: bytes) -> None:
    """At shutdown a stream is broken at once, never ended as if it were whole."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer)
        peer.wait_closed()

    with scripted(script) as server:
        exchange = post(pool, server, timeouts=Timeouts(2, 60, 60))
        head_of(exchange)
        assert exchange.read(5) == b"a"
        threading.Timer(0.1, exchange.interrupt).start()
        started = time.monotonic()
        with pytest.raises(StreamBroken):
            exchange.read(30)
        assert time.monotonic() - started < 3


def test_an_interrupt_before_the_head_is_a_failure_and_nothing_is_sent_again(pool: Pool) -> None:
    """Not even on a connection that had served before."""

    def script(peer: Peer) -> None:
        ok(peer)
        peer.request()
        peer.wait_closed()

    with scripted(script, ok) as server:
        body_of(post(pool, server))
        exchange = post(pool, server)
        threading.Timer(0.1, exchange.interrupt).start()
        with pytest.raises(UpstreamFailed):
            exchange.head(30)
        assert server.accepted == 1


def test_a_late_interrupt_harms_nobody_else(pool: Pool) -> None:
    """The connection of a finished exchange serves another call by then."""
    with scripted(again_and_again(ok)) as server:
        finished = post(pool, server)
        body_of(finished)
        current = post(pool, server)
        finished.interrupt()
        assert body_of(current) == b"ok" and server.accepted == 1


def test_answers_without_a_body_end_at_once(pool: Pool) -> None:
    """204 has none, whatever is said."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        peer.wait_closed(3)

    with scripted(script) as server:
        exchange = post(pool, server)
        assert head_of(exchange).status == 204 and exchange.read(5) == b""


def test_repeated_headers_are_joined(pool: Pool) -> None:
    """As RFC 9110 section 5.3 has it; names in lower case."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 0\r\n\r\n")

    with scripted(script) as server:
        assert head_of(post(pool, server)).headers["x-a"] == "1, 2"


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own making, and that certificate."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, folder / "key.pem")
    return context, path


@pytest.fixture
def tls_pool(certificates: tuple[ssl.SSLContext, Path]) -> Iterator[Pool]:
    pool = Pool(tls=lambda: ssl.create_default_context(cafile=str(certificates[1])))
    yield pool
    pool.close()


def test_tls_keeps_its_connections_too(tls_pool: Pool, certificates: tuple[ssl.SSLContext, Path]) -> None:
    """Session tickets that wait unread do not make a connection look unfit."""
    with scripted(again_and_again(ok), tls=certificates[0]) as server:
        for _ in range(4):
            assert body_of(post(tls_pool, server)) == b"ok"
        assert server.accepted <= 2


def test_a_large_request_over_tls_arrives_whole(tls_pool: Pool, certificates: tuple[ssl.SSLContext, Path]) -> None:
    """The server's session tickets in mid-request are no answer."""
    body = os.urandom(8_000_000)
    same: list[bool] = []

    def script(peer: Peer) -> None:
        time.sleep(0.2)
        same.append(peer.request()[1] == body)
        peer.answer(b"y" * 3_000_000)

    with scripted(script, tls=certificates[0]) as server:
        assert body_of(post(tls_pool, server, body)) == b"y" * 3_000_000
    assert same == [True]


def test_an_early_answer_over_tls_is_told(tls_pool: Pool, certificates: tuple[ssl.SSLContext, Path]) -> None:
    """As without TLS."""

    def script(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.answer(b"too large", "413 Payload Too Large")
        peer.wait_closed()

    with scripted(script, tls=certificates[0]) as server:
        assert body_of(post(tls_pool, server, b"x" * 20_000_000)) == b"too large"


def test_tls_answers_arrive_in_pieces_and_silence_is_noticed(tls_pool: Pool, certificates: tuple[ssl.SSLContext, Path]) -> None:
    """A record that OpenSSL holds decrypted is not waited for in `poll`."""
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED, chunked(b"z" * 40_000).removesuffix(b"0\r\n\r\n"))
        go.wait(5)
        peer.send(b"4\r\nlast\r\n0\r\n\r\n")

    with scripted(script, tls=certificates[0]) as server:
        exchange = post(tls_pool, server)
        head_of(exchange)
        seen = b""
        while (data := exchange.read(0.2)) is not None:
            seen += data
        assert seen == b"z" * 40_000
        go.set()
        assert body_of(exchange) == b"last"


def test_an_interrupt_over_tls_leaves_no_ciphertext_in_the_answer(
    tls_pool: Pool, certificates: tuple[ssl.SSLContext, Path]
) -> None:
    """What the kernel still holds is not handed over as if it were the body."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n", b"a" * 4_000_000)
        peer.wait_closed()

    with scripted(script, tls=certificates[0]) as server:
        exchange = post(tls_pool, server)
        head_of(exchange)
        seen = exchange.read(5) or b""
        time.sleep(0.2)
        exchange.interrupt()
        with pytest.raises(StreamBroken):
            while True:
                seen += exchange.read(5) or b""
        assert set(seen) == {ord("a")}


def test_a_certificate_that_nobody_vouches_for_is_refused(pool: Pool, certificates: tuple[ssl.SSLContext, Path]) -> None:
    """The default context trusts the system's authorities only."""
    with scripted(ok, tls=certificates[0]) as server, pytest.raises(UpstreamFailed) as failed:
        head_of(post(pool, server))
    assert "CERTIFICATE_VERIFY_FAILED" in failed.value.reason
