"""A kept answer told again: byte for byte to who asks in the same way, and otherwise carried through the canonical form.

Streams serve plain requests and plain answers streams; both in the wire format that they were kept in.
"""

import logging
from typing import Any

import msgspec

from gateway.cache.entry import Entry
from gateway.cache.message_events import events_of, gather
from gateway.canonical.call import Call
from gateway.canonical.translation import Json, Translation
from gateway.canonical.usage import Usage
from gateway.dialects import DIALECTS, TRANSLATIONS

log = logging.getLogger(__name__)


def replay(entry: Entry, call: Call) -> bytes | None:
    """The body, or all of the stream, that answers `call` in its own dialect, still without an outer form (`frame_stream`).
    None if this entry cannot be told in that way: then it answers nothing."""
    request = call.request
    if entry.stream == request.stream and entry.framing in ("", request.framing):
        return entry.body
    translation = TRANSLATIONS.get(DIALECTS[call.dialect].WIRE)
    if translation is None:
        return None
    try:
        return _carried(entry, call, translation)
    except Exception as error:  # however oddly the answer is made: the provider can still be asked
        log.warning("the cache entry %s cannot be told in another form: %r", entry.key, error)
        return None


def _carried(entry: Entry, call: Call, translation: Translation) -> bytes:
    message = _read_message(entry, translation)
    if not _has_figures(message.get("usage")):
        message["usage"] = render_figures(entry.usage)
    asked: Json = msgspec.json.decode(call.request.document.source, type=dict)
    if not call.request.stream:
        return msgspec.json.encode(translation.render_answer(message, asked_model=call.asked_model, request=asked))
    renderer = translation.render_stream(asked_model=call.asked_model, request=asked)
    return b"".join(renderer.render(event) for event in events_of(message))


def _read_message(entry: Entry, translation: Translation) -> Json:
    if not entry.stream:
        return dict(translation.parse_answer(msgspec.json.decode(entry.body, type=dict)))
    parser = translation.parse_stream()
    return gather([*parser.feed(entry.body), *parser.end()])


def _has_figures(usage: Any) -> bool:
    return isinstance(usage, dict) and any(isinstance(value, int) and value for value in usage.values())


def render_figures(usage: Usage) -> Json:
    """Usage in Anthropic's terms, for a stream whose first reader had not asked for it."""
    tokens = usage.tokens
    figures: Json = {
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
    }
    if tokens.thinking:
        figures["output_tokens_details"] = {"thinking_tokens": tokens.thinking}
    return figures
