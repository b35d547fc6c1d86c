"""How large requests are taken to be: text by bytes, images by pixels, PDFs by pages, in every wire format."""

import base64
import json
import struct
import zlib
from typing import Any

import pytest

from gateway.canonical.json_object import JsonObject
from gateway.spending.media import IMAGE_TOKENS_MAX, image_size, image_tokens, pdf_pages
from gateway.spending.sizes import OUTPUT_TOKENS_MAX, USES_WITHOUT_LIMIT, Size, size_of


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\0\0\0" + bytes(200)


def jpeg(width: int, height: int, metadata_bytes: int = 0) -> bytes:
    exif = b"\xff\xe1" + struct.pack(">H", metadata_bytes + 2) + b"\xff" * metadata_bytes
    return b"\xff\xd8" + exif + b"\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(100)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(100)


def webp(kind: bytes, width: int, height: int) -> bytes:
    head = b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0"
    if kind == b"VP8 ":
        return head + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(100)
    if kind == b"VP8L":
        return head + b"\x2f" + struct.pack("<I", (height - 1) << 14 | (width - 1)) + bytes(100)
    return head + b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + bytes(100)


def pdf(pages: int, *, compressed: bool = False) -> bytes:
    tree = f"<< /Type /Pages /Count {pages} >>".encode() + b"<< /Type /Page /Parent 1 0 R >>" * pages
    if compressed:
        return b"%PDF-1.7\n4 0 obj << /Type /ObjStm /Filter /FlateDecode >>\nstream\r\n" + zlib.compress(tree) + b"\nendstream"
    return b"%PDF-1.4\n" + tree


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def size(**members: Any) -> Size:
    return size_of(JsonObject(json.dumps({"model": "claude-sonnet-4-6", **members}).encode()))


def of_parts(*parts: Any) -> Size:
    return size(messages=[{"role": "user", "content": [{"type": "text", "text": "what is this?"}, *parts]}])


@pytest.mark.parametrize(
    "image",
    [
        png(640, 480),
        jpeg(640, 480),
        jpeg(640, 480, metadata_bytes=60_000),
        gif(640, 480),
        *(webp(kind, 640, 480) for kind in (b"VP8 ", b"VP8L", b"VP8X")),
    ],
)
def test_the_pixels_of_an_image_are_read_from_its_head(image: bytes) -> None:
    """Of all four formats that Claude takes; a JPEG says its size behind its metadata."""
    assert image_size(image) == (640, 480)
    assert image_tokens(text_of(image)) == 23 * 18


def test_an_image_never_counts_for_more_than_the_largest() -> None:
    """It is scaled down; one whose size cannot be read counts as that."""
    assert image_tokens(text_of(png(8000, 8000))) == IMAGE_TOKENS_MAX
    assert image_tokens(text_of(b"BM" + bytes(100))) == IMAGE_TOKENS_MAX
    assert image_tokens(text_of(png(640, 480)[:18])) == IMAGE_TOKENS_MAX
    assert image_tokens("no base64 at all!") == IMAGE_TOKENS_MAX
    assert image_tokens(text_of(png(1, 1))) == 1


@pytest.mark.parametrize("compressed", [False, True])
def test_the_pages_of_a_pdf_are_counted(compressed: bool) -> None:
    """Where the page tree is compressed, too."""
    assert pdf_pages(text_of(pdf(12, compressed=compressed))) == (12, True)


def test_a_pdf_without_a_readable_page_tree_is_guessed_and_said_to_be() -> None:
    """By its bytes."""
    assert pdf_pages(text_of(b"%PDF-1.7" + bytes(250_000))) == (5, False)
    assert pdf_pages("%%%") == (1, False)


IMAGE, PAPER = text_of(png(280, 280)), text_of(pdf(3))
FORMS: dict[str, Any] = {
    "anthropic": {"messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}]}]},
    "anthropic, data first": {"messages": [{"role": "user", "content": [
        {"source": {"data": IMAGE, "media_type": "image/png", "type": "base64"}, "type": "image"}]}]},
    "anthropic tool result": {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}]}]}]},
    "openai chat": {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}]}]},
    "openai responses": {"input": [{"role": "user", "content": [
        {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"}]}]},
    "gemini": {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": IMAGE}}]}]},
    "gemini, snake case": {"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": IMAGE}}]}]},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_image_is_found_in_every_wire_format(form: str) -> None:
    """Once, by its pixels; its base64 is no text."""
    body = FORMS[form]
    found = size(**body)
    assert (found.images, found.media_tokens, found.open_ended) == (1, 100, False)
    assert found.text_bytes == len(json.dumps({"model": "claude-sonnet-4-6", **body})) - len(IMAGE)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PAPER}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PAPER}"}},
        {"type": "input_file", "file_data": f"data:application/pdf;base64,{PAPER}"},
    ],
)
def test_a_pdf_is_found_in_every_wire_format(part: Any) -> None:
    """By its pages."""
    found = of_parts(part)
    assert (found.pdf_pages, found.images, found.open_ended) == (3, 0, False)
    assert found.text_bytes < 300


@pytest.mark.parametrize(
    "part",
    [
        {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "input_file", "file_url": "https://x.test/a.pdf"},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA" * 1000}},
    ],
)
def test_what_cannot_be_seen_from_here_is_open_ended(part: Any) -> None:
    """So that the worst case is the model's context window."""
    assert of_parts(part).open_ended


def test_an_image_kept_elsewhere_counts_as_the_largest() -> None:
    """An image has a largest size, so that it does not open the end."""
    for part in (
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        {"type": "input_image", "image_url": "https://x.test/a.png"},
    ):
        found = of_parts(part)
        assert (found.images, found.media_tokens, found.open_ended) == (1, IMAGE_TOKENS_MAX, False), part


def test_text_is_every_byte_of_it() -> None:
    """Talk of images and base64 is text, as are tool calls that hold such words."""
    body = {"messages": [{"role": "user", "content": 'a "type": "base64" \\"image\\" data:image/png;base64,iVBORw0KGgo='}]}
    assert size(**body).text_bytes == len(json.dumps({"model": "claude-sonnet-4-6", **body}))
    call = {"type": "tool_use", "id": "t", "name": "fetch", "input": {"url": "https://x.test", "data": "AAAA"}}
    assert (of_parts(call).images, of_parts(call).open_ended) == (0, False)
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A" * 5000}}
    assert of_parts(document).text_bytes > 5000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "tool_use", "id": "t", "name": "save", "input": {"media_type": "image/png", "data": "A" * 5_000}},
        {"functionCall": {"name": "save", "args": {"mimeType": "image/png", "data": "A" * 5_000}}},
        {"functionResponse": {"name": "load", "response": {"mimeType": "image/png", "data": "A" * 5_000}}},
    ],
)
def test_what_a_tool_was_called_with_is_text(part: Any) -> None:
    """The model reads it so, and it is billed so, whatever it looks like; beside an image, too."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}
    assert of_parts(part).images == 0 and of_parts(part).text_bytes > 5_000
    assert of_parts(part, image).images == 1 and of_parts(part, image).text_bytes > 5_000


def test_a_prompt_held_by_the_provider_is_open_ended() -> None:
    """Only its newest part is in the request."""
    assert size(thread={"type": "continue"}, messages=[]).open_ended
    assert size(previous_response_id="resp_1", input="go on").open_ended
    assert not size(input="hello").open_ended


@pytest.mark.parametrize(
    ("members", "limit"),
    [
        ({}, None),
        ({"max_tokens": 64}, 64),
        ({"max_completion_tokens": 70, "max_tokens": 64}, 70),
        ({"max_output_tokens": 80}, 80),
        ({"generationConfig": {"maxOutputTokens": 90}}, 90),
        ({"generationConfig": {"maxOutputTokens": "90"}}, 90),
        ({"max_tokens": 10**30}, OUTPUT_TOKENS_MAX),
        ({"max_tokens": True}, None),
        ({"max_tokens": -5}, None),
    ],
)
def test_the_output_limit_is_read_as_each_format_writes_it(members: Any, limit: int | None) -> None:
    """What means nothing limits nothing."""
    assert size(**members).output_limit == limit


def test_server_tools_are_counted_by_their_uses() -> None:
    """The client's own tools run at the client's; without a limit there is a stated one."""
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    assert size(tools=[{"name": "web_search", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]).uses == 0
    assert size(tools=[search]).uses == 3
    assert size(tools=[{"type": "web_search_20250305", "name": "web_search"}, search]).uses == USES_WITHOUT_LIMIT + 3
    assert size(tools=[{"googleSearch": {}}]).uses == USES_WITHOUT_LIMIT
    assert size(mcp_servers=[{"url": "https://x.test"}]).uses == USES_WITHOUT_LIMIT
    assert size(tools="odd").uses == USES_WITHOUT_LIMIT


@pytest.mark.parametrize(
    "body",
    [b'{"messages": [' + b"[" * 900 + b"]" * 900 + b"]}", b'{"messages": [{"content": [{"source": 1e999}]}]}', b"{}"],
)
def test_odd_requests_have_a_size_too(body: bytes) -> None:
    """The provider may refuse them; the gateway does not fall over them."""
    assert size_of(JsonObject(body)).text_bytes == len(body)
