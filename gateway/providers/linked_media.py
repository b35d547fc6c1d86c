"""Pictures and documents that a request only links to, fetched and put into it, for providers that take nothing but base64.

Only public addresses over https are asked, redirects are not followed, and sizes are bounded. Claude on Vertex AI and
on Bedrock takes no links (Anthropic's feature tables, 2026-11-20).
"""

import base64
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from gateway.canonical.call import Call
from gateway.canonical.errors import GatewayError, InvalidRequest, StreamBroken
from gateway.canonical.json_object import JsonObject
from gateway.canonical.steps import Steps
from gateway.canonical.translation import Json
from gateway.providers.http1 import Exchange, Origin, Pool, Timeouts

LINKS_MAX = 20
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
BYTES_MAX = {"image": 5 * 1024 * 1024, "document": 20 * 1024 * 1024}
FETCH_S_MAX = 20.0
TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=10.0, idle_s=10.0)
ELSE = 'send it inside the request, as {"type": "base64", …}'
WORD = b'"url"'
_LINKED = re.compile(rb'"type"\s*:\s*"url"')


def inline_links(call: Call, pool: Pool, wait_s: float) -> Steps[Call]:
    """The call with what its messages link to; the same one if they link to nothing. InvalidRequest names the block that
    cannot be had, and never says more of the address than its host."""
    document = call.request.document
    raw = document.raw("messages") if "messages" in document else b""
    if WORD not in raw or not _LINKED.search(raw):  # the plain search first: it rules out most, a hundred times faster
        return call
    messages = msgspec.json.decode(raw)
    links = list(_find(messages, "messages"))
    if len(links) > LINKS_MAX:
        raise InvalidRequest(f"messages: {len(links)} links are too many to fetch; at most {LINKS_MAX}, or {ELSE}")
    for at, block in links:
        block["source"] = yield from _fetch(at, block, pool, wait_s)
    put = {"messages": msgspec.json.encode(messages)} if links else {}
    return replace(call, request=replace(call.request, document=JsonObject(document.edited(put=put))))


def _find(value: Any, at: str) -> Iterator[tuple[str, Json]]:
    """Blocks whose source is a link, and where they stand: in messages, and in results of tools."""
    if isinstance(value, list):
        for place, each in enumerate(value):
            yield from _find(each, f"{at}.{place}")
    elif isinstance(value, dict):
        source = value.get("source")
        if value.get("type") in BYTES_MAX and isinstance(source, dict) and source.get("type") == "url":
            yield at, value
        elif isinstance(value.get("content"), list):
            yield from _find(value["content"], f"{at}.content")


def _fetch(at: str, block: Json, pool: Pool, wait_s: float) -> Steps[Json]:
    told = f"{at}.source.url"
    origin, path = _parse(block["source"].get("url"), told, pool.allowed)
    headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "tollgate"}
    request = {"timeouts": TIMEOUTS, "deadline": time.monotonic() + FETCH_S_MAX}
    try:
        exchange = pool.request("GET", origin, path, headers, b"", **request)  # type: ignore[arg-type]
        try:
            head = yield from exchange.head(wait_s)
            if head.status != 200:
                raise InvalidRequest(f"{told}: {origin.host} answered {head.status}; {ELSE}")
            media_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
            body = yield from _read(exchange, BYTES_MAX[block["type"]], told, wait_s)
        finally:
            exchange.close()
    except InvalidRequest:
        raise
    except (GatewayError, StreamBroken, ValueError) as error:
        reason = error.reason if isinstance(error, GatewayError) else str(error)
        raise InvalidRequest(f"{told}: {origin.host} could not be read; {ELSE}", reason=reason) from error
    return _source(block["type"], media_type, body, told)


def _parse(url: Any, told: str, allowed: Collection[str]) -> tuple[Origin, str]:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        origin = Origin(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), guarded=True)
    except ValueError as error:
        raise InvalidRequest(f"{told}: is no URL; {ELSE}") from error
    trusted = f"{origin.host}:{origin.port}" in allowed
    if not origin.host or parts.username is not None or not (origin.scheme == "https" or (origin.scheme == "http" and trusted)):
        raise InvalidRequest(f"{told}: should be a public https:// URL; or {ELSE}")
    query = f"?{quote(parts.query, safe='=&%+,;:@/?~-._!$*()')}" if parts.query else ""
    return origin, quote(parts.path or "/", safe="/%:@~-._!$&'()*+,;=") + query


def _read(exchange: Exchange, bytes_max: int, told: str, wait_s: float) -> Steps[bytes]:
    pieces: list[bytes] = []
    size = 0
    while (data := exchange.read()) != b"":
        if data is None:
            yield exchange.pause(wait_s)
            continue
        pieces.append(data)
        size += len(data)
        if size > bytes_max:
            raise InvalidRequest(f"{told}: holds more than {bytes_max} bytes; link to a smaller one")
    return b"".join(pieces)


def _source(kind: str, media_type: str, body: bytes, told: str) -> Json:
    if kind == "document" and media_type == "text/plain":
        return {"type": "text", "media_type": media_type, "data": body.decode(errors="replace")}
    wanted = IMAGE_TYPES if kind == "image" else ("application/pdf",)
    if media_type not in wanted:
        raise InvalidRequest(f"{told}: is {media_type[:80] or 'of no type'}, and should be {' or '.join(wanted)}")
    return {"type": "base64", "media_type": media_type, "data": base64.b64encode(body).decode()}
