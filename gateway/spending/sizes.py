"""How large a request is, by kinds of content: text by bytes, images by pixels, PDFs by pages, server tools by uses.

Text needs no look at all beyond its length, so a request without media is only run through by a decoder that keeps
nothing: `_Node` refuses whatever could hold media. Only then is the body decoded and walked. Works on the
requests of every wire format: it looks for what their media have in common, by name.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.canonical.json_object import JsonObject, NotAnObject
from gateway.spending.media import IMAGE_TOKENS_MAX, image_tokens, pdf_pages

TURNS = frozenset(("messages", "contents", "input"))  # Anthropic and OpenAI, Gemini, OpenAI responses
HELD_ELSEWHERE = frozenset(("thread", "previous_response_id", "cachedContent", "cached_content", "container"))
OUTPUT_LIMITS = frozenset(("max_tokens", "max_completion_tokens", "max_output_tokens"))
GENERATION_SETTINGS = frozenset(("generationConfig", "generation_config"))
CALLED_WITH = ("functionCall", "function_call", "tool_calls", "response")
OUTPUT_TOKENS_MAX = 10_000_000  # more is asked by nobody who means it; keeps sums in 64 bits
PLAIN_DIGITS = 8  # fewer of them are a number as it stands, and below that
SERVER_TOOLS = ("web_search", "web_fetch", "code_execution", "mcp", "file_search", "code_interpreter")
TOOLS_BESIDE = frozenset(("web_search_options", "mcp_servers"))
USES_WITHOUT_LIMIT = 20
USES_MAX = 1_000
SIZED = TURNS | HELD_ELSEWHERE | OUTPUT_LIMITS | GENERATION_SETTINGS | TOOLS_BESIDE | {
    "tools", "compaction", "context_management", "n", "speed",
}  # fmt: skip
"""Members that say something of a request's size; of all others nothing is read but their length."""
SIZED_SIMPLY = TURNS | OUTPUT_LIMITS
BEYOND_LENGTH = HELD_ELSEWHERE | TOOLS_BESIDE | {"compaction", "speed"}
Names = frozenset[str]
LINKS = {"image_url": "image", "file_url": "document", "file_data": "", "fileUri": "document", "file_uri": "document", "url": ""}
OTHER_BYTES_PER_TOKEN = 100  # sound and other media: Gemini counts 32 tokens a second (Gemini audio page, 2026-11)


class Size(msgspec.Struct, frozen=True, gc=False):
    """What a request holds. `text_bytes` are all bytes but base64: the JSON around the text is more than what a provider
    puts around it. `media_tokens` are by Claude's rule for images. `open_ended`: some of the prompt cannot be seen from here.
    `uses` are those of server tools, each of which may be another pass of the model. `output_limit` is in tokens, None if the
    caller gave none."""

    text_bytes: int
    images: int = 0
    media_tokens: int = 0
    pdf_pages: int = 0
    open_ended: bool = False
    uses: int = 0
    compacts: bool = False
    output_limit: int | None = None
    answers: int = 1
    fast: bool = False


class _Node(msgspec.Struct):
    """A turn, or a part of one, that is text all through: a member that might be media must be null to be decoded.
    Members have the names that Anthropic, OpenAI and Gemini give them."""

    content: "str | list[_Node] | None" = None
    parts: "list[_Node] | None" = None
    output: "str | list[_Node] | None" = None
    functionResponse: "_Node | None" = None
    function_response: "_Node | None" = None
    source: None = None
    image_url: None = None
    file: None = None
    file_id: None = None
    file_url: None = None
    file_data: None = None
    fileData: None = None
    inlineData: None = None
    inline_data: None = None
    input_audio: None = None


class _Tool(msgspec.Struct):
    """`type` is Anthropic's and OpenAI's word; Gemini names a tool by its only member."""

    type: str = "custom"
    max_uses: int | None = None
    googleSearch: msgspec.Raw = msgspec.Raw(b"")
    google_search: msgspec.Raw = msgspec.Raw(b"")
    urlContext: msgspec.Raw = msgspec.Raw(b"")
    codeExecution: msgspec.Raw = msgspec.Raw(b"")

    def runs_there(self) -> bool:
        return self.type.startswith(SERVER_TOOLS) or any(
            len(memoryview(raw)) for raw in (self.googleSearch, self.google_search, self.urlContext, self.codeExecution)
        )


_turns = msgspec.json.Decoder(str | list[_Node])
_tools = msgspec.json.Decoder(list[_Tool])
UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def size_of(document: JsonObject) -> Size:
    """The size of a request. What cannot be read counts as open-ended: the provider will refuse it, or not."""
    named = SIZED.intersection(document.names())
    if named <= SIZED_SIMPLY and _is_text(document, named):
        return Size(len(document.source), output_limit=_output_limit(document, named))
    media = None if _is_text(document, named) else _Media(document)
    limit, answers = _output_limit(document, named), _answers(document, named)
    return Size(
        text_bytes=max(0, len(document.source) - (media.base64_characters if media else 0)),
        images=media.images if media else 0,
        media_tokens=media.tokens if media else 0,
        pdf_pages=media.pages if media else 0,
        open_ended=(media is not None and media.open_ended) or not HELD_ELSEWHERE.isdisjoint(named),
        uses=_uses(document, named),
        compacts="compaction" in named or _mentions(document, named, "context_management", b"compact"),
        output_limit=limit,
        answers=answers,
        fast="speed" in named and _value(document, "speed") not in (None, "standard"),
    )


def is_more_than_its_length(document: JsonObject) -> bool:
    """Whether one of its members makes a request dear at any length."""
    return not BEYOND_LENGTH.isdisjoint(document.names())


def length_of(document: JsonObject) -> Size:
    """The size of a request as if it were text all through, and its tools ran at the client: nothing is read but its length."""
    named = SIZED.intersection(document.names())
    return Size(len(document.source), output_limit=_output_limit(document, named), answers=_answers(document, named))


def _is_text(document: JsonObject, named: Names) -> bool:
    try:
        for name in TURNS & named:
            _turns.decode(document.raw(name))
    except UNREADABLE:
        return False
    return True


class _Media:
    """Sums of what is no text."""

    def __init__(self, document: JsonObject) -> None:
        self.base64_characters = self.images = self.tokens = self.pages = 0
        self.open_ended = False
        try:
            body = msgspec.json.decode(document.source)
        except UNREADABLE:
            self.open_ended = True
            return
        for member in _objects([body[name] for name in TURNS if name in body]):
            self._look(member)

    def _look(self, member: dict[str, Any]) -> None:
        """One object: media in base64, in a data URL, or held elsewhere."""
        data, kind = member.get("data"), _media_type(member)
        if kind and isinstance(data, str):
            self._add(kind, data)
        for name, kind_of_link in LINKS.items():
            link = member.get(name)
            if isinstance(link, str) and link.startswith("data:"):
                head, _, inline = link.partition(",")
                self._add(head.removeprefix("data:"), inline)
            elif isinstance(link, str) and kind_of_link:
                self._add_remote(kind_of_link)
        if kind := _remote_kind(member):
            self._add_remote(kind)

    def _add(self, kind: str, data: str) -> None:
        if kind.startswith("text"):
            return
        self.base64_characters += len(data)
        if kind.startswith("image"):
            self.images += 1
            self.tokens += image_tokens(data)
        elif "pdf" in kind:
            pages, certain = pdf_pages(data)
            self.pages += pages
            self.open_ended = self.open_ended or not certain
        else:
            self.tokens += len(data) * 3 // 4 // OTHER_BYTES_PER_TOKEN + 1
            self.open_ended = True

    def _add_remote(self, kind: str) -> None:
        """An image has a largest size, a document has none."""
        if kind == "image":
            self.images += 1
            self.tokens += IMAGE_TOKENS_MAX
        else:
            self.pages += 1
            self.open_ended = True


def _objects(turns: list[Any]) -> Iterator[dict[str, Any]]:
    """Every object that a provider may read as media: what a tool was called with is text to it, whatever it looks like."""
    waiting: list[Any] = [turns]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            is_call = str(value.get("type", "")).endswith("tool_use")
            members = (member for name, member in value.items() if name not in CALLED_WITH and not (is_call and name == "input"))
        else:
            members = iter(value)
        waiting.extend(member for member in members if isinstance(member, dict | list))


def _media_type(member: dict[str, Any]) -> str:
    """Of the object that holds `data`, as the four formats write it; "" if its `data` is something else."""
    for name in ("media_type", "mimeType", "mime_type"):
        if isinstance(member.get(name), str):
            return str(member[name])
    return "application/octet-stream" if member.get("type") == "base64" or "format" in member else ""


def _remote_kind(member: dict[str, Any]) -> str:
    """Of an object that names media kept elsewhere: "image", "document", or "" if it does not."""
    source, image_url = member.get("source"), member.get("image_url")
    if isinstance(source, dict) and source.get("type") in ("url", "file"):
        return "image" if member.get("type") == "image" else "document"
    if isinstance(image_url, dict) and not str(image_url.get("url", "")).startswith("data:"):
        return "image"
    if isinstance(member.get("file_id"), str) and member.get("type") != "file":
        return "image" if member.get("type") == "input_image" else "document"
    return ""


def _uses(document: JsonObject, named: Names) -> int:
    """How often tools may run at the provider; the client's own run at the client's."""
    beside = USES_WITHOUT_LIMIT * len(TOOLS_BESIDE & named)
    if "tools" not in named:
        return beside
    try:
        tools = _tools.decode(document.raw("tools"))
    except UNREADABLE:
        return beside + USES_WITHOUT_LIMIT
    limits = [tool.max_uses for tool in tools if tool.runs_there()]
    return beside + sum(USES_WITHOUT_LIMIT if limit is None else max(0, min(limit, USES_MAX)) for limit in limits)


def _mentions(document: JsonObject, named: Names, name: str, word: bytes) -> bool:
    return name in named and word in document.raw(name)


def _output_limit(document: JsonObject, named: Names) -> int | None:
    found = None
    if not GENERATION_SETTINGS.isdisjoint(named):
        found = _generation_setting(document, named, "maxOutputTokens", "max_output_tokens")
    for name in OUTPUT_LIMITS & named:
        raw = document.raw(name)
        limit = int(raw) if len(raw) < PLAIN_DIGITS and raw.isdigit() else _number(_value(document, name))
        found = limit if found is None else max(found, limit or 0)
    return found


def _answers(document: JsonObject, named: Names) -> int:
    asked = _number(_value(document, "n")) if "n" in named else None
    return max(1, asked or _generation_setting(document, named, "candidateCount", "candidate_count") or 1)


def _generation_setting(document: JsonObject, named: Names, *names: str) -> int | None:
    if GENERATION_SETTINGS.isdisjoint(named):
        return None
    settings = _value(document, "generationConfig") or _value(document, "generation_config")
    found = [settings[name] for name in names if name in settings] if isinstance(settings, dict) else []
    return _number(found[0]) if found else None


def _value(document: JsonObject, name: str) -> Any:
    try:
        return document.value(name)
    except NotAnObject:
        return None


def _number(value: Any) -> int | None:
    """A count; JSON mappings of protocol buffers may write it as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:12])
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return min(int(value), OUTPUT_TOKENS_MAX)
