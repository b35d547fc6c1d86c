"""AWS event streams: binary frames of headers, a payload and two checksums.

    total length u32 | headers length u32 | CRC-32 of these 8 bytes | headers | payload | CRC-32 of all that

Source: Smithy specification, `application/vnd.amazon.eventstream`, read 2026-11-20.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.canonical.errors import StreamBroken

CONTENT_TYPE = "application/vnd.amazon.eventstream"
FRAME_BYTES_MAX = 24 * 1024 * 1024  # AWS bounds payloads at 16 MiB and headers at 128 KiB
_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_FRAME_BYTES_MIN = _PRELUDE.size + _CHECKSUM.size
_STRING = 7
_VALUE_BYTES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # by type of header; 6 and 7 bring their own length


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `headers` are those of type string, the only ones that Bedrock sends."""

    headers: Mapping[str, str]
    payload: bytes


class FrameReader:
    """Bytes in any cutting → frames. StreamBroken for bytes that are no frames; nothing can be read after that."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def at_boundary(self) -> bool:
        return not self._held

    def feed(self, chunk: bytes) -> list[Frame]:
        held = self._held
        held += chunk
        frames: list[Frame] = []
        at = 0
        while len(held) - at >= _PRELUDE.size:
            total = _check_prelude(held, at)
            if len(held) - at < total:
                break
            frames.append(_parse_frame(bytes(held[at : at + total])))
            at += total
        del held[:at]
        return frames


def _check_prelude(data: bytearray, at: int) -> int:
    """The frame's length in bytes."""
    total, headers, checksum = _PRELUDE.unpack_from(data, at)
    if zlib.crc32(data[at : at + 8]) != checksum:
        raise StreamBroken("an event-stream frame's prelude does not match its checksum")
    if not _FRAME_BYTES_MIN <= total <= FRAME_BYTES_MAX or headers > total - _FRAME_BYTES_MIN:
        raise StreamBroken(f"an event-stream frame cannot be {total} bytes long with {headers} bytes of headers")
    return int(total)


def _parse_frame(frame: bytes) -> Frame:
    end = len(frame) - _CHECKSUM.size
    if zlib.crc32(frame[:end]) != _CHECKSUM.unpack_from(frame, end)[0]:
        raise StreamBroken("an event-stream frame does not match its checksum")
    payload_at = _PRELUDE.size + _PRELUDE.unpack_from(frame)[1]
    return Frame(_parse_headers(frame[_PRELUDE.size : payload_at]), frame[payload_at:end])


def _parse_headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind = data[at + 1 : name_end].decode(), data[name_end]
            value_at = name_end + 1
            if kind in _VALUE_BYTES:
                size = _VALUE_BYTES[kind]
            else:
                size = int.from_bytes(data[value_at : value_at + 2])
                value_at += 2
            at = value_at + size
            if at > len(data):
                raise IndexError(at)
            if kind == _STRING:
                headers[name] = data[value_at:at].decode()
    except (IndexError, UnicodeDecodeError) as error:
        raise StreamBroken("an event-stream frame's headers cannot be read") from error
    return headers


def render_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame, its headers all of type string."""
    head = b"".join(_render_header(name.encode(), value.encode()) for name, value in headers.items())
    lengths = struct.pack(">II", _FRAME_BYTES_MIN + len(head) + len(payload), len(head))
    frame = lengths + _CHECKSUM.pack(zlib.crc32(lengths)) + head + payload
    return frame + _CHECKSUM.pack(zlib.crc32(frame))


def _render_header(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + bytes((_STRING,)) + len(value).to_bytes(2) + value
