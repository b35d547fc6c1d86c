"""A JSON object whose top-level members can be read, dropped and put while every other byte stays as it was sent.

Prompts of 100 KB are only passed on, so they are skipped over, never decoded and re-encoded: that would cost more than
everything else in a call, and would change numbers, escapes and key order that prompt caches are keyed by.
"""

import codecs
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_SPACE = re.compile(rb"[ \t\r\n]*")
_NOTHING = (0, 0)
_COMMA = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")
_KEY = re.compile(rb'("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')


class NotAnObject(ValueError):
    """The bytes are not one JSON object in UTF-8; the message says why, fit for a caller's eyes."""


class _Span(NamedTuple):
    """Where a member stands. `following` is where the next one begins; the end of the last member itself."""

    start: int
    value_start: int
    end: int
    following: int


class JsonObject:
    """Immutable view of one JSON object. If a member appears twice the last one counts, and `source` holds only that."""

    __slots__ = ("_spans", "_values", "source")

    def __init__(self, source: bytes) -> None:
        self._values = _parse(source)
        self.source = source
        spans = _find_spans(source, self._values)
        if spans is None:
            self.source = _join(self._values)
            spans = _find_spans(self.source, self._values)
        assert spans is not None
        self._spans = spans

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        return list(self._values)

    def value(self, name: str, default: Any = None) -> Any:
        """The member, decoded. NotAnObject if that cannot be done, as with a number beyond all floats."""
        raw = self._values.get(name)
        if raw is None:
            return default
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise NotAnObject(f"{name}: cannot be read ({error}); send an ordinary JSON value") from error

    def raw(self, name: str) -> bytes:
        """The member's value exactly as sent; KeyError if there is none."""
        return bytes(self._values[name])

    def edited(self, *, drop: Collection[str] = (), put: Mapping[str, bytes] | None = None) -> bytes:
        """The object without the members `drop` and with `put` (name → JSON bytes): in place where a member exists,
        at the front where it does not. All other bytes are those of `source`."""
        put = put or {}
        if not put and not any(name in self._values for name in drop):
            return self.source
        kept = [name for name in self._spans if name not in drop]
        added = [name for name in put if name not in self._spans]
        pieces: list[bytes | memoryview] = [self._head()]
        for name in added:
            pieces += [msgspec.json.encode(name), b":", put[name], b","]
        if added and not kept:
            pieces.pop()
        view, passed = memoryview(self.source), _NOTHING  # what passes as it is, in pieces as long as can be
        for name in kept:
            span = self._spans[name]
            end = span.following if name != kept[-1] else span.end
            if name in put:
                pieces += [view[slice(*passed)], view[span.start : span.value_start], put[name]]
                passed = (span.end, end)
            elif passed[1] == span.start:
                passed = (passed[0], end)
            else:
                pieces.append(view[slice(*passed)])
                passed = (span.start, end)
        return b"".join([*pieces, view[slice(*passed)], self._tail()])

    def _head(self) -> bytes:
        if not self._spans:
            return b"{"
        return self.source[: next(iter(self._spans.values())).start]

    def _tail(self) -> bytes:
        if not self._spans:
            return b"}"
        return self.source[next(reversed(self._spans.values())).end :]


def _find_spans(source: bytes, values: Mapping[str, msgspec.Raw]) -> dict[str, _Span] | None:
    """Where each member stands; None if a member appears twice."""
    spans: dict[str, _Span] = {}
    at = _end(_SPACE, source, source.index(b"{") + 1)
    for name, raw in values.items():
        key = _KEY.match(source, at)
        if key is None or msgspec.json.decode(key[1]) != name:
            return None
        value_start = key.end()
        if not source.startswith(raw, value_start):  # any buffer will do: no copy
            return None
        end = value_start + len(memoryview(raw))
        comma = _COMMA.match(source, end)
        following = comma.end() if comma else end
        spans[name] = _Span(at, value_start, end, following)
        at = following
    return spans if source.startswith(b"}", _end(_SPACE, source, at)) else None


def check_object(source: bytes) -> None:
    """NotAnObject if these bytes are not one JSON object; for answers that are only passed on."""
    _parse(source)


def drop_from_items(array: bytes, name: str) -> tuple[bytes, int]:
    """A JSON array of objects with the member `name` dropped from each item that has it, and how many had it.

    Only the items concerned change, and they only by that member. NotAnObject if the array or such an item is none.
    """
    marker = msgspec.json.encode(name)
    if marker not in array and array.startswith(b"["):  # one search rules out most, and much faster
        return array, 0
    try:
        items = _items.decode(array)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAnObject(f"no JSON array ({error}); send one") from error
    pieces: list[bytes] = []
    copied = changed = 0
    at = _end(_SPACE, array, array.index(b"[") + 1)
    for raw in items:
        item = bytes(raw)
        end = at + len(item)
        if marker in item and item.startswith(b"{") and name in (parsed := JsonObject(item)):
            pieces += [array[copied:at], parsed.edited(drop=(name,))]
            copied = end
            changed += 1
        comma = _COMMA.match(array, end)
        at = comma.end() if comma else end
    return b"".join([*pieces, array[copied:]]), changed


def _parse(source: bytes) -> dict[str, msgspec.Raw]:
    if source.startswith(codecs.BOM_UTF8):
        raise NotAnObject("the body begins with a byte order mark; send JSON without one")
    try:
        if not source.isascii():
            source.decode()
        return _members.decode(source)
    except UnicodeDecodeError as error:
        raise NotAnObject(f"the body is not UTF-8 (byte {error.start}); send JSON encoded as UTF-8") from error
    except msgspec.ValidationError as error:
        raise NotAnObject("the body is JSON but not an object; send one JSON object") from error
    except (msgspec.DecodeError, RecursionError) as error:
        cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise NotAnObject(f"the body is not valid JSON ({cause}); send one JSON object") from error


def _join(values: dict[str, msgspec.Raw]) -> bytes:
    return b"{" + b",".join(msgspec.json.encode(n) + b":" + bytes(raw) for n, raw in values.items()) + b"}"


def _end(pattern: re.Pattern[bytes], source: bytes, at: int) -> int:
    match = pattern.match(source, at)
    return match.end() if match else at
