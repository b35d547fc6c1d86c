"""OpenAI's usage figures, and reading them as a stream passes: chat and responses alike.

Prompt figures include what was cached; Anthropic's do not. Source: OpenAI API reference as in openai-python 3.52.0,
2026-11-20.
"""

import re
from dataclasses import replace
from typing import Any

import msgspec

from gateway.canonical.translation import Json
from gateway.canonical.usage import Tokens, Usage
from gateway.dialects.openai.errors import kind_of
from gateway.dialects.sse import WholeRecords, data_of

CHARACTERS_PER_TOKEN = 4
CALLS = (b'"tool_calls"', b"response.output_item.added")  # a first word that is no text
ENDINGS = ("response.completed", "response.incomplete")


def parse_openai_usage(usage: Any) -> Json:
    """As Anthropic's `usage`. Cached and cache-write tokens are parts of the prompt figure and leave it."""
    usage = usage if isinstance(usage, dict) else {}
    chat = "prompt_tokens" in usage or "completion_tokens" in usage
    prompt, completion = ("prompt_tokens", "completion_tokens") if chat else ("input_tokens", "output_tokens")
    details = usage.get(f"{prompt}_details")
    cached, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    canonical: Json = {
        "input_tokens": max(0, _count(usage, prompt) - cached - written),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens": _count(usage, completion),
    }
    if thinking := _count(usage.get(f"{completion}_details"), "reasoning_tokens"):
        canonical["output_tokens_details"] = {"thinking_tokens": thinking}
    return canonical


def render_openai_usage(usage: Any, *, prompt: str, completion: str) -> Json:
    """`prompt` and `completion` are the names of the two figures, which the two formats call differently."""
    cached, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    asked = _count(usage, "input_tokens") + cached + written
    answered = _count(usage, "output_tokens")
    details = usage.get("output_tokens_details") if isinstance(usage, dict) else None
    return {
        prompt: asked,
        completion: answered,
        "total_tokens": asked + answered,
        f"{prompt}_details": {"cached_tokens": cached, "cache_write_tokens": written},
        f"{completion}_details": {"reasoning_tokens": _count(details, "thinking_tokens")},
    }


def usage_of(canonical: Json) -> Usage:
    return Usage(
        Tokens(
            input=_count(canonical, "input_tokens"),
            output=_count(canonical, "output_tokens"),
            cache_read=_count(canonical, "cache_read_input_tokens"),
            cache_write_5m=_count(canonical, "cache_creation_input_tokens"),
            thinking=_count(canonical.get("output_tokens_details"), "thinking_tokens"),
        )
    )


def parse_body_usage(body: bytes) -> tuple[Usage, str | None] | None:
    """Usage and answered model of a plain answer; None if it has no usage."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return (usage_of(parse_openai_usage(answer.usage)), answer.model) if answer.usage is not None else None


def _count(source: Any, name: str) -> int:
    value = source.get(name) if isinstance(source, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


class _Answer(msgspec.Struct):
    usage: dict[str, Any] | None = None
    model: str | None = None
    error: dict[str, Any] | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Record(msgspec.Struct):
    """The few members of a record, of either format, that the watch looks at."""

    type: str = ""
    model: str | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    response: _Answer | None = None
    code: str | None = None
    choices: list[_Choice] | None = None


_decoder = msgspec.json.Decoder(_Record)


class OpenAIStreamWatch:
    """Fed every chunk in order, in any cutting; LF and CRLF alike. Only records that `matters` finds are parsed; `text` finds
    pieces of the answer, as the first group, to estimate by if the stream is cut before its figures come."""

    def __init__(self, *, matters: re.Pattern[bytes], text: re.Pattern[bytes]) -> None:
        self.ended = False
        self.spoke = False
        self.answered_model: str | None = None
        self.error_kind: str | None = None
        self._matters = matters
        self._text = text
        self._records = WholeRecords()
        self._finished = False
        self._usage: Json | None = None
        self._bytes = 0  # of text that has passed

    @property
    def may_end(self) -> bool:
        """Some servers send neither usage nor `[DONE]`."""
        return self.ended or self._finished

    @property
    def at_boundary(self) -> bool:
        return self._records.at_boundary

    def feed(self, chunk: bytes) -> None:
        data = self._records.take(chunk)
        self._bytes += sum(map(len, self._text.findall(data)))
        self.spoke = self.spoke or self._bytes > 0 or any(call in data for call in CALLS)
        if data and (self.answered_model is None or self._matters.search(data)):
            for record in data[:-2].split(b"\n\n"):
                if self.answered_model is None or self._matters.search(record):
                    self._read(record)

    def _read(self, record: bytes) -> None:
        payload = data_of(record)
        self.ended = self.ended or payload.strip() == b"[DONE]"
        try:
            parsed = _decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        self.ended = self.ended or parsed.type in ENDINGS
        answer = parsed.response or parsed
        self.answered_model = answer.model or self.answered_model
        self._finished = self._finished or any(choice.finish_reason for choice in parsed.choices or ())
        if answer.usage is not None:
            self._usage = parse_openai_usage(answer.usage)
            self.ended = self.ended or self._finished  # some servers send no [DONE]
        if answer.error or parsed.type in ("error", "response.failed"):
            self.error_kind = kind_of(answer.error or {"code": parsed.code})

    def usage(self) -> Usage | None:
        """The stream's own figures come at its end. Before it, what passed is all there is to go by."""
        if self._usage is not None:
            return usage_of(self._usage)
        if self.answered_model is None:
            return None
        passed = self._bytes + self._records.forgotten
        return replace(Usage(Tokens(output=passed // CHARACTERS_PER_TOKEN)), completeness="estimated")
