"""Gemini's answers in canonical form. A plain answer is a stream of one chunk: both are read here, by the same rules.

A chunk carries new parts only; consecutive parts of one kind are one block. Usage is cumulative: the last one counts.
Source: Google's reference of GenerateContentResponse and its streaming guide, 2026-11-20.
"""

import uuid
from typing import Any

import msgspec

from gateway.canonical.errors import UpstreamFailed
from gateway.dialects.gemini.errors import render_error_event
from gateway.dialects.gemini.grounding import parse_citations
from gateway.dialects.gemini.signatures import Signature, join_id, plain_id, sign_thinking, unpack_thinking
from gateway.dialects.gemini.tools import tool_name
from gateway.dialects.gemini.usage import REFUSED, STOP_REASONS, count_searches, parse_usage_metadata

Json = dict[str, Any]


class AnswerReader:
    """Fed the decoded chunks of one answer in order; gives canonical stream events.

    `finished` once Gemini said why it stopped; `failed` once it, or the model, ended in an error event.
    """

    def __init__(self) -> None:
        self.finished = False
        self.failed = False
        self._id = self._model = ""
        self._index = -1
        self._kind = ""  # of the block that is open
        self._showed_thinking = self._called = False
        self._reason = ""
        self._explanation: str | None = None
        self._metadata: Json = {}
        self._searches = 0
        self._citations: list[Json] = []  # for the text that is under way, or comes next
        self._blocks = 0

    def read(self, chunk: Json) -> list[Json]:
        if isinstance(chunk.get("error"), dict):
            self.failed = True
            return [render_error_event(chunk["error"])]
        if isinstance(chunk.get("usageMetadata"), dict):
            self._metadata = chunk["usageMetadata"]
        events = [] if self._id else [self._start(chunk)]
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._finish("SAFETY", feedback.get("blockReasonMessage") or f"the prompt was blocked: {feedback['blockReason']}")
        for candidate in _list(chunk.get("candidates")):
            if isinstance(candidate, dict) and not candidate.get("index"):
                events += self._candidate(candidate)
        return events

    def end(self) -> list[Json]:
        """The closing events, for an answer that is finished."""
        events = self._close()
        stop_reason = STOP_REASONS.get(self._reason, "end_turn")
        if self._reason not in STOP_REASONS and not self._blocks:
            self.failed = True
            told = f"the model ended without an answer ({self._reason or 'no reason given'}); try again"
            return [{"type": "error", "error": {"type": "overloaded_error", "message": told}}]
        if self._called and stop_reason == "end_turn":
            stop_reason = "tool_use"
        delta: Json = {"stop_reason": stop_reason, "stop_sequence": None}
        if stop_reason == "refusal":
            delta["stop_details"] = {"type": "refusal", "category": None, "explanation": self._explanation}
        return [*events, {"type": "message_delta", "delta": delta, "usage": self._usage()}, {"type": "message_stop"}]

    def _usage(self) -> Json:
        return parse_usage_metadata(self._metadata, self._searches)

    def _start(self, chunk: Json) -> Json:
        given = chunk.get("responseId")
        self._id = str(given) if given else uuid.uuid4().hex
        self._model = str(chunk.get("modelVersion") or "")
        usage = {**self._usage(), "output_tokens": 0}
        usage.pop("output_tokens_details", None)
        message: Json = {
            "id": self._id if self._id.startswith("msg_") else f"msg_{self._id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return {"type": "message_start", "message": message}

    def _finish(self, reason: str, explanation: Any = None) -> None:
        self.finished = True
        self._reason = reason
        if reason in REFUSED:
            self._explanation = str(explanation) if explanation else f"the model stopped itself: {reason}"

    def _candidate(self, candidate: Json) -> list[Json]:
        self._citations = parse_citations(candidate) or self._citations
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        events = [event for part in _list(parts) if isinstance(part, dict) for event in self._part(part)]
        self._searches = max(self._searches, count_searches(candidate))
        if candidate.get("finishReason"):
            self._finish(str(candidate["finishReason"]), candidate.get("finishMessage"))
        return events

    def _part(self, part: Json) -> list[Json]:
        signature = part.get("thoughtSignature")
        packed = unpack_thinking(signature)
        events: list[Json] = []
        if packed is not None:
            events, signature = self._unpacked(packed), None
        text = part.get("text")
        if isinstance(text, str) and part.get("thought"):
            self._showed_thinking = True
            delta = {"type": "thinking_delta", "thinking": text}
            events += self._in("thinking", {"type": "thinking", "thinking": "", "signature": ""}, delta)
            return [*events, *self._sign(signature)]
        if isinstance(text, str):
            if text:
                events += self._in("text", {"type": "text", "text": ""}, {"type": "text_delta", "text": text})
            return [*events, *self._signed_text(signature)]
        if isinstance(part.get("functionCall"), dict):
            events += self._call(part["functionCall"], signature)
        return events

    def _in(self, kind: str, block: Json, delta: Json) -> list[Json]:
        """A delta in the open block of that kind, or in a new one."""
        opened = [] if self._kind == kind else [*self._close(), *self._open(kind, block)]
        return [*opened, {"type": "content_block_delta", "index": self._index, "delta": delta}]

    def _open(self, kind: str, block: Json) -> list[Json]:
        self._index += 1
        self._blocks += 1
        self._kind = kind
        return [{"type": "content_block_start", "index": self._index, "content_block": block}]

    def _close(self) -> list[Json]:
        if not self._kind:
            return []
        cited: list[Json] = []
        if self._kind == "text":
            cited, self._citations = self._citations, []
        self._kind = ""
        deltas = [{"type": "citations_delta", "citation": citation} for citation in cited]
        told = [{"type": "content_block_delta", "index": self._index, "delta": delta} for delta in deltas]
        return [*told, {"type": "content_block_stop", "index": self._index}]

    def _sign(self, signature: Any) -> list[Json]:
        """Signs the open thinking block."""
        if not isinstance(signature, str) or not signature:
            return []
        delta = {"type": "signature_delta", "signature": sign_thinking(Signature(signature, self._model))}
        return [{"type": "content_block_delta", "index": self._index, "delta": delta}, *self._close()]

    def _signed_text(self, signature: Any) -> list[Json]:
        """A text's signature, which Gemini asks to have back: in an empty thinking block behind it, such as Claude's own
        clients get from models that do not show what they think."""
        if not isinstance(signature, str) or not signature:
            return []
        if self._kind == "thinking":
            return self._sign(signature)
        if self._kind != "text" and not self._showed_thinking:
            return []
        block = {"type": "thinking", "thinking": "", "signature": ""}
        return [*self._close(), *self._open("thinking", block), *self._sign(signature)]

    def _unpacked(self, blocks: list[Json]) -> list[Json]:
        """Thinking of Claude's that came through another gateway of this kind."""
        if self._kind == "thinking" and len(blocks) == 1 and blocks[0]["type"] == "thinking":
            delta = {"type": "signature_delta", "signature": blocks[0].get("signature", "")}
            return [{"type": "content_block_delta", "index": self._index, "delta": delta}, *self._close()]
        events = self._close()
        for block in blocks:
            if block["type"] == "redacted_thinking":
                events += [*self._open("redacted_thinking", block), *self._close()]
                continue
            events += self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            thinking = {"type": "thinking_delta", "thinking": block.get("thinking", "")}
            signed = {"type": "signature_delta", "signature": block.get("signature", "")}
            events += [{"type": "content_block_delta", "index": self._index, "delta": delta} for delta in (thinking, signed)]
            events += self._close()
        return events

    def _call(self, call: Json, signature: Any) -> list[Json]:
        self._called = True
        call_id = plain_id(call.get("id"), self._id, self._index, call.get("name"))
        block = {
            "type": "tool_use",
            "id": join_id(call_id, Signature(signature, self._model) if isinstance(signature, str) else None),
            "name": tool_name(str(call.get("name") or "")),
            "input": {},
        }
        arguments = msgspec.json.encode(call["args"] if isinstance(call.get("args"), dict) else {}).decode()
        opened = [*self._close(), *self._open("tool_use", block)]
        delta = {"type": "input_json_delta", "partial_json": arguments}
        return [*opened, {"type": "content_block_delta", "index": self._index, "delta": delta}, *self._close()]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def parse_answer(body: Json) -> Json:
    """A plain answer as an Anthropic message. UpstreamFailed if the model failed without a word."""
    if not isinstance(body, dict):
        raise UpstreamFailed("the provider's answer is not a JSON object; try again")
    reader = AnswerReader()
    events = [*reader.read(body), *reader.end()]
    message: Json = {}
    for event in events:
        if event["type"] == "error":
            raise UpstreamFailed(event["error"]["message"], reason="the model's answer is none", kind=event["error"]["type"])
        message = _add(message, event)
    return message


def _add(message: Json, event: Json) -> Json:
    match event["type"]:
        case "message_start":
            return dict(event["message"])
        case "content_block_start":
            message["content"].append(dict(event["content_block"]))
        case "content_block_delta":
            _add_delta(message["content"][-1], event["delta"])
        case "message_delta":
            message |= event["delta"]
            message["usage"] = event["usage"]
    return message


def _add_delta(block: Json, delta: Json) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "citations_delta":
            block.setdefault("citations", []).append(delta["citation"])
        case "input_json_delta":
            block["input"] = msgspec.json.decode(delta["partial_json"])
