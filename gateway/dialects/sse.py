"""Server-sent events, as the chat formats use them: records out of bytes in any cutting, and bytes out of records.

Source: WHATWG HTML, section 9.2 "Server-sent events", 2026-11-20. `id` and `retry` say nothing here and are skipped.
"""

from dataclasses import dataclass

from gateway.canonical.errors import StreamBroken

RECORD_BYTES_MAX = 32 * 1024 * 1024
WATCHED_BYTES_MAX = 4 * 1024 * 1024  # a longer record is passed on unread
DONE = b"[DONE]"  # the last record's data, in OpenAI's chat format


@dataclass(frozen=True, slots=True)
class SseEvent:
    """`event` is empty where the record names none; `data` is its data lines, joined by LF."""

    event: str
    data: bytes


class SseReader:
    """Fed every chunk in order, in any cutting; LF and CRLF alike. Comments and records without data are skipped.

    StreamBroken if a record grows beyond `record_bytes_max`: nobody may fill the memory with a line that never ends.
    """

    __slots__ = ("_data", "_event", "_held", "_rest", "_started", "record_bytes_max")

    def __init__(self, *, record_bytes_max: int = RECORD_BYTES_MAX) -> None:
        self.record_bytes_max = record_bytes_max
        self._rest: list[bytes] = []  # a line that has not ended yet, in pieces
        self._held = 0  # bytes of the record under way
        self._event = ""
        self._data: list[bytes] = []
        self._started = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            self._hold(chunk)
            return []
        lines = b"".join([*self._rest, head]).split(b"\n")
        self._rest = []
        found = [event for line in lines if (event := self._read(line)) is not None]
        self._held = sum(map(len, self._data))
        self._hold(tail)
        return found

    def end(self) -> list[SseEvent]:
        """A last record whose blank line was left out, as some servers do."""
        line = b"".join(self._rest)
        self._rest = []
        found = [self._read(line)] if line else []
        return [event for event in (*found, self._read(b"")) if event is not None]

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._rest.append(piece)
        self._held += len(piece)
        if self._held > self.record_bytes_max:
            raise StreamBroken(f"a record of the provider's stream is longer than {self.record_bytes_max} bytes")

    def _read(self, line: bytes) -> SseEvent | None:
        if not self._started:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._started = True
        line = line.removesuffix(b"\r")
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode(errors="replace")
        return None

    def _dispatch(self) -> SseEvent | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        return SseEvent(event, b"\n".join(data)) if data else None


class WholeRecords:
    """For those who look on as a stream passes: as many whole records as have arrived, in one piece, as they came but for
    CRLF, which is LF. A record longer than WATCHED_BYTES_MAX is forgotten but for its end; `forgotten` counts its bytes."""

    __slots__ = ("forgotten", "tail")

    def __init__(self) -> None:
        self.tail = b""  # of a record that is not whole yet
        self.forgotten = 0

    @property
    def at_boundary(self) -> bool:
        return not self.tail.strip(b"\r\n")

    def take(self, chunk: bytes) -> bytes:
        """Whole records with the blank line behind each; `b""` if there is none. A lone CR at the end waits for its LF."""
        data = self.tail + chunk if self.tail else chunk
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        cut = data.rfind(b"\n\n")
        if cut < 0:
            self.tail = data if len(data) < WATCHED_BYTES_MAX else self._give_up(data)
            return b""
        end = cut + 2
        self.tail = data[end:]
        return data[:end]

    def _give_up(self, data: bytes) -> bytes:
        self.forgotten += len(data)
        return b" " + data[-3:]


def data_of(record: bytes) -> bytes:
    """The data lines of a record that `WholeRecords` gave, joined by LF."""
    return b"\n".join([line[5:].removeprefix(b" ") for line in record.split(b"\n") if line.startswith(b"data:")])


def render_event(data: bytes, event: str = "") -> bytes:
    """One record. `data` holds no line end, as compact JSON does not."""
    return (b"event: " + event.encode() + b"\n" if event else b"") + b"data: " + data + b"\n\n"


def render_comment(text: str) -> bytes:
    """A record that every reader skips: keeps a silent connection alive."""
    return b": " + text.encode() + b"\n\n"
