"""The Responses API of the simulated OpenAI: items read as a Messages body, answers whole and as named events (2026-11-20)."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.sandbox import openai_chat, responses_tools
from gateway.sandbox.delivery import Framing
from gateway.sandbox.faults import Fault
from gateway.sandbox.messages import JSON_PIECE_CHARACTERS, pieces
from gateway.sandbox.openai_answers import Completed, name_with, stream_error
from gateway.sandbox.openai_errors import refuse, unknown
from gateway.sandbox.openai_models import OpenAiModel
from gateway.sandbox.sse import dump, frame

Json = dict[str, Any]
FIELDS = frozenset({
    "background", "client_metadata", "conversation", "include", "input", "instructions", "max_output_tokens", "max_tool_calls",
    "metadata", "model", "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention",
    "reasoning", "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice",
    "tools", "top_logprobs", "top_p", "truncation", "user",
})  # fmt: skip
EMPTIED: Mapping[str, Json] = {
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
}
PARTS = {"input_text": "text", "output_text": "text", "input_image": "image_url", "input_file": "file"}


def read(body: Json, model: OpenAiModel) -> Json:
    """The Messages body, by way of Chat Completions' own words; Refusal in OpenAI's."""
    for name in body:
        if name not in FIELDS:
            raise unknown(name)
    if body.get("previous_response_id"):
        told = f"Previous response with id '{body['previous_response_id']}' not found."
        raise refuse(400, told, param="previous_response_id", code="previous_response_not_found")
    chat: Json = {"model": body["model"], "messages": [*_instructions(body), *_messages(body.get("input"))]}
    tools = responses_tools.read_tools(body.get("tools"))
    if tools:
        chat["tools"] = tools
    for name in ("parallel_tool_calls", "temperature", "top_p"):
        if name in body:
            chat[name] = body[name]
    if tools and body.get("tool_choice"):
        chat["tool_choice"] = body["tool_choice"]
    if body.get("max_output_tokens"):
        chat["max_completion_tokens"] = body["max_output_tokens"]
    as_messages = openai_chat.read(chat, model)
    wanted = (body.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        as_messages |= openai_chat.schema_format(wanted, "text.format")
    return as_messages


def _instructions(body: Json) -> list[Json]:
    return [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []


def _messages(items: Any) -> list[Json]:
    """Consecutive function calls are one assistant message."""
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items:
        raise refuse(400, "Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    found: list[Json] = []
    for i, item in enumerate(items):
        kind = item.get("type") or ("message" if "role" in item else None) if isinstance(item, dict) else None
        if kind == "message":
            found.append({"role": item.get("role"), "content": _content(item, i)})
        elif kind in ("function_call", "custom_tool_call"):
            call = responses_tools.read_call(item)
            if found and found[-1].get("tool_calls"):
                found[-1]["tool_calls"].append(call)
            else:
                found.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind in ("function_call_output", "custom_tool_call_output"):
            output = item.get("output")
            text = output if isinstance(output, str) else [{"type": "text", "text": p.get("text", "")} for p in output or []]
            found.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
        elif kind != "reasoning":
            raise refuse(400, f"Invalid value: '{kind}'. Supported values are: 'message' …", param=f"input[{i}].type")
    return found


def _content(item: Mapping[str, Any], i: int) -> str | list[Json]:
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts: list[Json] = []
    for k, part in enumerate(content or []):
        kind = PARTS.get(part.get("type", ""))
        if kind is None:
            raise refuse(400, f"Invalid value: '{part.get('type')}'.", param=f"input[{i}].content[{k}].type")
        if kind == "text":
            parts.append({"type": "text", "text": part["text"]})
        elif kind == "image_url":
            parts.append({"type": "image_url", "image_url": {"url": part.get("image_url")}})
        else:
            parts.append({"type": "file", "file": {"file_data": part.get("file_data")}})
    return parts


def response(done: Completed) -> Json:
    """The unstreamed answer."""
    cut = done.answer.stop_reason == "max_tokens"
    return {
        **_head(name_with("resp_"), done.model),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": _items(done),
        "usage": {
            "input_tokens": done.prompt_tokens,
            "input_tokens_details": {"cached_tokens": done.cache.read},
            "output_tokens": done.output_tokens,
            "output_tokens_details": {"reasoning_tokens": done.reasoning_tokens},
            "total_tokens": done.prompt_tokens + done.output_tokens,
        },
    }


def _head(name: str, model: str) -> Json:
    return {
        "id": name,
        "object": "response",
        "created_at": int(time.time()),
        "error": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }


def _items(done: Completed) -> list[Json]:
    items: list[Json] = []
    if done.reasons:
        items.append({"type": "reasoning", "id": name_with("rs_"), "summary": []})
    said: list[Json] = [{"type": "output_text", "text": done.text, "annotations": []}] if done.text else []
    if done.refusal:
        said = [{"type": "refusal", "refusal": done.refusal}]
    if said:
        items.append({"type": "message", "id": name_with("msg_"), "role": "assistant", "status": "completed", "content": said})
    return items + [responses_tools.call_item(call, done.tools) for call in done.calls]


def events(done: Completed, fault: Fault) -> Iterator[Json]:
    """The streamed answer: every event is named and numbered."""
    whole = response(done)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    kinds = [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})]
    for index, item in enumerate(whole["output"]):
        kinds += list(_item_events(index, item, fault))
    ending = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
    for number, (kind, members) in enumerate([*kinds, (ending, {"response": whole})]):
        yield {"type": kind, "sequence_number": number, **members}


def _item_events(index: int, item: Json, fault: Fault) -> Iterator[tuple[str, Json]]:
    empty = EMPTIED.get(item["type"], {})
    begun = {**item, **empty, **({"status": "in_progress"} if empty else {})}
    yield "response.output_item.added", {"output_index": index, "item": begun}
    where = {"item_id": item["id"], "output_index": index}
    if item["type"] == "message":
        yield from _part_events({**where, "content_index": 0}, item["content"][0], fault)
    elif item["type"] == "function_call":
        text = item["arguments"]
        for i in range(0, len(text), JSON_PIECE_CHARACTERS):
            yield "response.function_call_arguments.delta", {**where, "delta": text[i : i + JSON_PIECE_CHARACTERS]}
        yield "response.function_call_arguments.done", {**where, "name": item["name"], "arguments": text}
    elif item["type"] == "custom_tool_call":
        yield "response.custom_tool_call_input.delta", {**where, "delta": item["input"]}
        yield "response.custom_tool_call_input.done", {**where, "input": item["input"]}
    yield "response.output_item.done", {"output_index": index, "item": item}


def _part_events(where: Json, part: Json, fault: Fault) -> Iterator[tuple[str, Json]]:
    word = "refusal" if part["type"] == "refusal" else "text"
    kind = "response.refusal" if word == "refusal" else "response.output_text"
    more: Json = {} if word == "refusal" else {"logprobs": []}
    yield "response.content_part.added", {**where, "part": {**part, word: ""}}
    for piece in pieces(part[word], fault):
        yield f"{kind}.delta", {**where, "delta": piece, **more}
    yield f"{kind}.done", {**where, word: part[word], **more}
    yield "response.content_part.done", {**where, "part": part}


def _frame_error(kind: str, message: str) -> bytes:
    error = stream_error(kind, message)["error"]
    event = {"type": "error", "code": error["code"], "message": message, "param": None, "sequence_number": 0}
    return frame(event, dump(event))


EVENTS = Framing(
    "text/event-stream; charset=utf-8", frame, _frame_error, lambda event: event["type"] == "response.output_text.delta"
)
