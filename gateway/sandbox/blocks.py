"""The content blocks of a conversation: who may say which, their fields, sources and cache markers (2026-11-20)."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from gateway.sandbox import betas as b
from gateway.sandbox.errors import extra, invalid

# kind: who may say it, required fields, further fields
BLOCKS: dict[str, tuple[str, set[str], set[str]]] = {
    "text": ("user assistant system", {"text"}, {"citations"}),
    "image": ("user", {"source"}, {"transformations"}),
    "document": ("user assistant", {"source"}, {"title", "context", "citations"}),
    "search_result": ("user", {"source", "title", "content"}, {"citations"}),
    "thinking": ("assistant", {"thinking", "signature"}, set()),
    "redacted_thinking": ("assistant", {"data"}, set()),
    "tool_use": ("assistant", {"id", "name", "input"}, {"caller", "toolset_name"}),
    "tool_result": ("user", {"tool_use_id"}, {"content", "is_error", "toolset_name"}),
    "server_tool_use": ("assistant", {"id", "name", "input"}, {"caller"}),
    "web_search_tool_result": ("assistant", {"tool_use_id", "content"}, {"caller"}),
    "tool_search_tool_result": ("assistant", {"tool_use_id", "content"}, {"caller"}),
    "compaction": ("assistant", {"content"}, {"encrypted_content"}),
    "tool_reference": ("", {"tool_name"}, set()),
}
WITHOUT_MARKER = {"thinking", "redacted_thinking"}
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
SERVER_RESULTS = {"server_tool_use", "web_search_tool_result", "tool_search_tool_result"}

SignatureCheck = Callable[[Mapping[str, Any]], bool]


def blocks_of(content: Any) -> list[dict[str, Any]]:
    """A content's blocks; a bare string is one text block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or [])


def check(path: str, block: Any, role: str, betas: frozenset[str], body: Mapping[str, Any], signature_ok: SignatureCheck) -> None:
    kind = str(block.get("type")) if isinstance(block, dict) else "None"
    if kind not in BLOCKS or kind == "tool_reference" or (kind == "compaction" and not betas & b.COMPACTION):
        known = ", ".join(f"'{name}'" for name in BLOCKS if name != "tool_reference")
        raise invalid(f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}")
    who, required, further = BLOCKS[kind]
    if role not in who.split():
        raise invalid(f"{path.split('.content')[0]}: `{kind}` blocks can only be in `{who.split()[0]}` messages")
    for name in required:
        if name not in block:
            raise invalid(f"{path}.{kind}.{name}: Field required")
    markable = set() if kind in WITHOUT_MARKER else {"cache_control"}
    for name in block.keys() - {"type"} - required - further - markable:
        raise extra(f"{path}.{kind}.{name}")
    check_marker(f"{path}.{kind}", block)
    _check_kind(path, kind, block, role, body)
    if kind == "tool_result":
        _check_result_content(path, block, betas)
    if kind in WITHOUT_MARKER and not signature_ok(block):
        field = "signature" if kind == "thinking" else "data"
        raise invalid(f"{path}: Invalid `{field}` in `{kind}` block")


def _check_kind(path: str, kind: str, block: Mapping[str, Any], role: str, body: Mapping[str, Any]) -> None:
    new = body.get("anthropic_version") == "2026-10-21"
    if kind == "text" and not isinstance(block["text"], str):
        raise invalid(f"{path}.text.text: Input should be a valid string")
    if kind == "text" and not block["text"]:
        raise invalid("messages: text content blocks must be non-empty")
    if new and kind == "text" and role == "user" and block.get("citations"):
        raise extra(f"{path}.text.citations")
    if new and kind == "document" and role == "assistant":
        raise invalid(f"{path.split('.content')[0]}: `document` blocks can only be in `user` messages")
    if kind in ("image", "document"):
        _check_source(f"{path}.{kind}.source", kind, block["source"])


def _check_source(path: str, kind: str, source: Any) -> None:
    """URL and file sources do not exist on Vertex AI."""
    kinds = ("base64",) if kind == "image" else ("base64", "text", "content")
    said = source.get("type") if isinstance(source, dict) else None
    if said not in kinds:
        known = ", ".join(f"'{name}'" for name in kinds)
        raise invalid(f"{path}: Input tag '{said}' found using 'type' does not match any of the expected tags: {known}")
    if said != "base64":
        return
    known_types = IMAGE_TYPES if kind == "image" else ("application/pdf",)
    if source.get("media_type") not in known_types:
        raise invalid(f"{path}.base64.media_type: Input should be {' or '.join(repr(t) for t in known_types)}")
    try:
        base64.b64decode(source.get("data") or "!", validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise invalid(f"{path}.base64.data: invalid base64 data") from error


def _check_result_content(path: str, block: Mapping[str, Any], betas: frozenset[str]) -> None:
    for j, part in enumerate(blocks_of(block.get("content"))):
        kind = part.get("type") if isinstance(part, dict) else None
        kinds = ("text", "image", "document", "search_result") + (("tool_reference",) if betas & b.TOOL_SEARCH else ())
        if kind not in kinds:
            known = ", ".join(f"'{name}'" for name in kinds)
            where = f"{path}.tool_result.content.{j}"
            raise invalid(f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}")
        if kind in ("image", "document"):
            _check_source(f"{path}.tool_result.content.{j}.{kind}.source", kind, part.get("source"))


def check_marker(path: str, block: Mapping[str, Any]) -> None:
    marker = block.get("cache_control")
    if marker is None:
        return
    if not isinstance(marker, dict) or marker.get("type") != "ephemeral":
        raise invalid(f"{path}.cache_control: Input should be {{'type': 'ephemeral'}}")
    for name in marker.keys() - {"type", "ttl"}:
        raise extra(f"{path}.cache_control.ephemeral.{name}")
    if marker.get("ttl", "5m") not in ("5m", "1h"):
        raise invalid(f"{path}.cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
    if block.get("type") == "text" and not block.get("text"):
        raise invalid(f"{path}: cache_control cannot be set for empty text blocks")
