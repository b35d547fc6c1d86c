"""How large an image or a PDF is, from the bytes of its head or its page tree: nothing is rendered, nothing is kept."""

import binascii
import re
import struct
import zlib
from collections.abc import Callable
from itertools import islice

HEAD_CHARACTERS = 64  # of base64: PNG, GIF and WebP say their size within their first 48 bytes
JPEG_CHARACTERS = 262_144  # a JPEG says it behind its metadata and thumbnails
PDF_BYTES_MAX = 8 * 1024 * 1024
OBJECT_STREAMS_MAX = 64
OBJECT_STREAM_BYTES_MAX = 262_144
PATCH_PIXELS = 28
IMAGE_TOKENS_MAX = 4_784
"""An image costs one token per patch of 28 × 28 pixels and is scaled down beyond 4,784 of them; models before Claude
Opus 4.7 scale down beyond 1,568 (Anthropic vision page, 2026-11)."""

PAGE_BYTES = 50_000
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_COUNT = re.compile(rb"/Count\s+(\d{1,6})")
_OBJECT_STREAM = re.compile(rb"/ObjStm\b[^\0]{0,400}?stream\r?\n")
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset(range(0xD0, 0xDA)) | {0x01}


def image_tokens(base64_text: str) -> int:
    """What Claude counts for an image; the most that any image counts for if its size cannot be read."""
    head = decode_head(base64_text, HEAD_CHARACTERS)
    if head.startswith(b"\xff\xd8"):
        head = decode_head(base64_text, JPEG_CHARACTERS)
    size = image_size(head)
    if size is None:
        return IMAGE_TOKENS_MAX
    width, height = size
    return max(1, min(IMAGE_TOKENS_MAX, -(-width // PATCH_PIXELS) * -(-height // PATCH_PIXELS)))


def image_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None if the head is none of PNG, JPEG, GIF, WebP, or too short."""
    for magic, read in READERS.items():
        if head.startswith(magic):
            try:
                return read(head)
            except (struct.error, IndexError):
                return None
    return None


def pdf_pages(base64_text: str) -> tuple[int, bool]:
    """How many pages a PDF has, and whether that is certain. Without a readable page tree: one per 50 KB, a guess."""
    characters_max = PDF_BYTES_MAX // 3 * 4
    data = decode_head(base64_text, characters_max)
    streams = [match.end() for match in islice(_OBJECT_STREAM.finditer(data), OBJECT_STREAMS_MAX + 1)]
    pieces = [data, *(_inflate(data, start) for start in streams[:OBJECT_STREAMS_MAX])]
    pages = sum(len(_PAGE.findall(piece)) for piece in pieces)
    counted = max((int(match[1]) for piece in pieces for match in _COUNT.finditer(piece)), default=0)
    certain = len(base64_text) <= characters_max and len(streams) <= OBJECT_STREAMS_MAX
    if not max(pages, counted):
        return max(1, len(base64_text) * 3 // 4 // PAGE_BYTES), False
    return max(pages, counted), certain


def decode_head(base64_text: str, characters: int) -> bytes:
    """The first bytes of a base64 text; nothing if it is none."""
    piece = base64_text[: characters // 4 * 4]
    try:
        return binascii.a2b_base64(piece + "=" * (-len(piece) % 4))
    except (binascii.Error, ValueError):
        return b""


def _inflate(data: bytes, start: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data[start : start + OBJECT_STREAM_BYTES_MAX], OBJECT_STREAM_BYTES_MAX)
    except zlib.error:
        return b""


def _png(head: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _gif(head: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _webp(head: bytes) -> tuple[int, int] | None:
    """Lossy, lossless and extended files (WebP container specification, RFC 9649)."""
    kind = head[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """The frame header that stands behind any number of other segments (ITU T.81, annex B)."""
    at = 2
    while at < len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        elif marker in _JPEG_BARE:
            at += 2
        else:
            at += 2 + max(2, struct.unpack_from(">H", head, at + 2)[0])
    return None


READERS: dict[bytes, Callable[[bytes], tuple[int, int] | None]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"GIF8": _gif,
    b"RIFF": _webp,
}
