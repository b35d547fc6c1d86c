"""What passes through the whole gateway is what was sent, byte for byte, however the network cuts it."""

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from house import Served, served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded_streams import BROKEN, COMMENT, PING, STOP, WHOLE, message_delta, message_start, text_delta
from scripted_server import Peer, Server, again_and_again, scripted

MESSAGES = "/v1/messages"
VERTEX = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-5-5"
PLAIN = [HealthCheck.function_scoped_fixture]


class Upstream:
    """A provider that answers with the pieces it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.framing = "chunked"
        self.content_type = "text/event-stream"
        self.asked = b""

    def serve(self, peer: Peer) -> None:
        self.asked = peer.request()[1]
        size = sum(map(len, self.pieces))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {self.content_type}\r\n"
        if self.framing == "chunked":
            peer.send((head + "transfer-encoding: chunked\r\n\r\n").encode())
            peer.send(*(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in self.pieces if piece), b"0\r\n\r\n")
        elif self.framing == "length":
            peer.send((head + f"content-length: {size}\r\n\r\n").encode(), *self.pieces)
        else:
            peer.send((head + "connection: close\r\n\r\n").encode(), *self.pieces)
            raise ConnectionError("this answer ends with its connection")


@dataclass
class Both:
    gateway: Served
    upstream: Upstream
    server: Server


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    upstream = Upstream()
    folder = tmp_path_factory.mktemp("identity")
    with (
        scripted(again_and_again(upstream.serve)) as server,
        served(folder, VERTEX_BASE_URL=server.url, GATEWAY_PING_INTERVAL_S="60") as gateway,
    ):
        yield Both(gateway, upstream, server)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(ends)]


STREAMS = [
    WHOLE,
    PING * 2 + WHOLE,
    WHOLE.replace(b"\n", b"\r\n"),
    COMMENT + message_start() + text_delta("漢字 \u0000 \\ud800") + message_delta() + STOP,
    BROKEN,
    b"\xff\xfe not even text\n\n" + WHOLE,
    WHOLE + b"event: after_the_end\ndata: {}\n\n",
]


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 100_000), max_size=30), st.sampled_from(["chunked", "length", "close"]),
       st.sampled_from([MESSAGES, VERTEX + ":streamRawPredict"]))  # fmt: skip
@settings(max_examples=60, deadline=None, suppress_health_check=PLAIN)
def test_a_stream_arrives_as_it_was_sent(both: Both, stream: bytes, places: list[int], framing: str, path: str) -> None:
    """Any cutting, any framing, either door; pings, comments, errors and odd bytes included."""
    both.upstream.pieces, both.upstream.framing, both.upstream.content_type = cut(stream, places), framing, "text/event-stream"
    body = b'{"model":"claude-opus-5-5","max_tokens":9,"stream":true,"messages":[],"anthropic_version":"vertex-2023-10-16"}'
    answer = both.gateway.post(path, body)
    assert answer.status_code == 200
    assert answer.content == stream


ANYTHING = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.text())
FRAMINGS = st.sampled_from(["chunked", "length", "close"])
PLACES = st.lists(st.integers(0, 10_000), max_size=8)


@given(st.dictionaries(st.text(max_size=5), ANYTHING, max_size=5), st.sampled_from([None, 1, " "]), PLACES, FRAMINGS)
@settings(max_examples=30, deadline=None, suppress_health_check=PLAIN)
def test_a_plain_answer_arrives_as_it_was_sent(
    both: Both, extra: dict[str, object], indent: int | str | None, places: list[int], framing: str
) -> None:
    """Its spaces, escapes and unknown fields are the provider's own."""
    message = {**extra, "type": "message", "usage": {"input_tokens": 1, "output_tokens": 2}, "content": []}
    sent = json.dumps(message, indent=indent).encode()
    both.upstream.pieces, both.upstream.framing, both.upstream.content_type = cut(sent, places), framing, "application/json"
    answer = both.gateway.post(MESSAGES, b'{"model":"claude-opus-5-5","max_tokens":9,"messages":[]}')
    assert (answer.status_code, answer.content) == (200, sent)


VALUES = st.sampled_from(
    [
        "1.0",
        "1e5",
        '"\\u0041\\/"',
        "[ 1 , 2 ]",
        '{"b":1,"a":{}}',
        "12345678901234567890123",
        "null",
        '"é漢🗼"',
        '"\\ud83d\\ude00"',
    ]
)
NAMES = st.sampled_from(
    ["system", "tools", "thinking", "metadata", "zeta", "Alpha", "k\\u00e9y", "stop_sequences", "temperature"]
)


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.sampled_from(["", " ", "\n\t"]))
@settings(max_examples=40, deadline=None, suppress_health_check=PLAIN)
def test_a_request_goes_out_as_it_came_in(both: Both, members: dict[str, str], space: str) -> None:
    """But for `model` and `anthropic_version` in Messages; wholly so in the Vertex dialect."""
    both.upstream.pieces, both.upstream.framing, both.upstream.content_type = [b'{"usage":{}}'], "length", "application/json"
    rest = f",{space}".join(f'"{name}"{space}:{space}{value}' for name, value in {**members, "max_tokens": "9"}.items())
    both.gateway.post(MESSAGES, f'{{"model":"claude-opus-5-5",{rest}{space}}}'.encode())
    assert both.upstream.asked == f'{{"anthropic_version":"vertex-2023-10-16",{rest}{space}}}'.encode()
    whole = f'{space}{{{rest},{space}"anthropic_version" : "vertex-2023-10-16"}}{space}'.encode()
    both.gateway.post(VERTEX + ":rawPredict", whole)
    assert both.upstream.asked == whole


def test_calls_side_by_side_do_not_mix(both: Both) -> None:
    """Sixteen streams at once, each its own."""
    both.upstream.pieces, both.upstream.framing, both.upstream.content_type = (
        cut(WHOLE, [7, 99, 1000]),
        "chunked",
        "text/event-stream",
    )
    found: list[bytes] = []

    def ask() -> None:
        body = b'{"model":"claude-opus-5-5","max_tokens":9,"stream":true,"messages":[]}'
        found.extend(both.gateway.post(MESSAGES, body).content for _ in range(3))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [WHOLE] * 48
