"""Pictures and papers as OpenAI's two chat formats say them, and as Anthropic's image and document blocks do.

Sources: OpenAI API reference (chat, responses) as in openai-python 3.52.0 and Anthropic Messages reference, 2026-11-20.
"""

import base64
import binascii
import re
from typing import Any

from gateway.canonical.errors import InvalidRequest
from gateway.canonical.translation import Json
from gateway.dialects.crossing import objects_of, parse_text, text_of

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[^;,]*)*(?P<base64>;base64)?,(?P<data>.*)", re.DOTALL)


def split_data_url(url: str, at: str) -> tuple[str, str] | None:
    """Media type and base64 data; None for a URL to be fetched."""
    if not url.startswith("data:"):
        return None
    match = _DATA_URL.fullmatch(url)
    if match is None or not match["base64"] or not match["type"]:
        raise InvalidRequest(f"{at}: the data URL cannot be read; send data:image/png;base64,…")
    return match["type"].lower(), match["data"]


def parse_image(url: Any, at: str) -> Json:
    """An image by data or https URL, as an image block."""
    url = parse_text(url, at, "a data URL or an https URL")
    data = split_data_url(url, at)
    if data is None:
        if not url.startswith(("https://", "http://")):
            raise InvalidRequest(f"{at}: must be a data URL or an https URL")
        return {"type": "image", "source": {"type": "url", "url": url}}
    media_type = {"image/jpg": "image/jpeg"}.get(data[0], data[0])
    if media_type not in IMAGE_TYPES:
        raise InvalidRequest(f"{at}: {media_type} is not taken; send {', '.join(IMAGE_TYPES)}")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data[1]}}


def parse_file(file: Json, at: str) -> Json:
    """A PDF or text by its data, as a document block. Files stored elsewhere are not reachable from here."""
    if file.get("file_url"):
        url = parse_text(file["file_url"], f"{at}.file_url", "an https URL")
        return _document({"type": "url", "url": url}, file)
    if not file.get("file_data"):
        raise InvalidRequest(f"{at}: stored files are not known here; send the content as file_data, a data URL")
    text = parse_text(file["file_data"], f"{at}.file_data", "data:application/pdf;base64,…")
    media_type, data = split_data_url(text, f"{at}.file_data") or ("application/pdf", text)
    if media_type == "application/pdf":
        return _document({"type": "base64", "media_type": media_type, "data": data}, file)
    if not media_type.startswith("text/") and media_type != "application/json":
        raise InvalidRequest(f"{at}.file_data: {media_type} is not taken; send a PDF or text")
    return _document({"type": "text", "media_type": "text/plain", "data": _decode_text(data, f"{at}.file_data")}, file)


def _document(source: Json, file: Json) -> Json:
    title = file.get("filename")
    return {"type": "document", "source": source, **({"title": title} if isinstance(title, str) and title else {})}


def _decode_text(data: str, at: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{at}: cannot be read as base64 of UTF-8 text ({error})") from error


def render_image_url(block: Json) -> str | None:
    """None for an image that lies in Anthropic's file store."""
    source = block["source"]
    if source["type"] == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    return source.get("url") if source["type"] == "url" else None


def render_words(block: Json) -> str | None:
    """A block that OpenAI has no form for, in words; None if it is none of those that words can say."""
    if block["type"] == "search_result":
        texts = [text_of(inner.get("text")) for inner in objects_of(block.get("content"))]
        return "\n".join([str(block.get("title", "")), str(block.get("source", "")), *texts])
    if block["type"] == "tool_reference":
        return f"The tool {block.get('tool_name')} can be called."
    return None


def render_document(block: Json) -> tuple[str, str]:
    """How a document can be said: ("file", data URL), ("url", URL), ("text", words), or ("", "") if it cannot."""
    source = block["source"]
    kind = source["type"]
    if kind == "base64":
        return "file", f"data:{source.get('media_type')};base64,{source.get('data')}"
    if kind == "url":
        return "url", str(source.get("url"))
    if kind == "text":
        return "text", "\n".join(filter(None, [text_of(block.get("title")), text_of(source.get("data"))]))
    if kind == "content":
        inner = source.get("content")
        parts = [inner] if isinstance(inner, str) else [text_of(each.get("text")) for each in objects_of(inner)]
        return "text", "\n".join(filter(None, [text_of(block.get("title")), *parts]))
    return "", ""
