"""The contents of a generateContent request: whose turn it is, calls that must meet their results, signatures that came back.

Source: Vertex AI function-calling and thought-signature guides, 2026-11-20.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from gateway.sandbox.gemini_models import GeminiModel
from gateway.sandbox.gemini_rules import UNABLE, camel, unknown, wrong

Json = dict[str, Any]
SignatureCheck = Callable[[str, GeminiModel], bool]
PART = frozenset({
    "codeExecutionResult", "executableCode", "fileData", "functionCall", "functionResponse", "inlineData", "mediaResolution",
    "partMetadata", "text", "thought", "thoughtSignature", "videoMetadata",
})  # fmt: skip
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
STAND_IN = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
# Google's own words for a client that lost a signature; taken as a last resort.
SKIPPED = ("skip_thought_signature_validator", base64.b64encode(b"skip_thought_signature_validator").decode())
GUIDE = "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures"
AFTER = "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
AS_MANY = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the function "
    "call turn."
)


def read(contents: Any, model: GeminiModel, signature_ok: SignatureCheck) -> list[Json]:
    """Messages, with ids for calls and their results."""
    if not isinstance(contents, list) or not contents:
        raise wrong(f"{UNABLE} at least one contents field is required.")
    turns = [_turn(content) for content in contents]
    if turns[0][0] == "model":
        raise wrong("Please ensure that multiturn requests begin with a user turn.")
    begins = _begin_of_current_turn(turns)
    messages: list[Json] = []
    calls: list[Json] = []
    for i, (role, parts) in enumerate(turns):
        _check_parts(parts, i, model, signature_ok, current=i >= begins)
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        _check_responses(results, calls)
        ids = _result_ids(results, calls)
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        if calls and i and turns[i - 1][0] == "model":
            raise wrong(AFTER)
        messages.append({"role": "assistant" if role == "model" else "user", "content": _blocks(parts, i, ids)})
    if calls:
        raise wrong("Please ensure that function call turns are followed by function response turns.")
    return messages


def _turn(content: Any) -> tuple[str, list[Json]]:
    turn = camel(content)
    role = turn.get("role") or "user"
    if role not in ("user", "model", "function"):
        raise wrong("Please use a valid role: user, model.")
    parts = [camel(part) for part in turn.get("parts") or []]
    if not parts:
        raise wrong(f"{UNABLE} it must include at least one parts field, which describes the prompt input.")
    return role, parts


def _begin_of_current_turn(turns: list[tuple[str, list[Json]]]) -> int:
    """After the last thing a person said: from there on every step's signature is looked at."""
    for i in range(len(turns) - 1, -1, -1):
        role, parts = turns[i]
        if role != "model" and any("functionResponse" not in part for part in parts):
            return i
    return 0


def _check_parts(parts: list[Json], i: int, model: GeminiModel, signature_ok: SignatureCheck, *, current: bool) -> None:
    first_call = True
    for part in parts:
        for name in part.keys() - PART:
            raise unknown(name, f"contents[{i}].parts")
        signature = part.get("thoughtSignature")
        if signature is not None and model.new and signature not in SKIPPED and not signature_ok(signature, model):
            raise wrong("Corrupted thought signature.")
        if "functionCall" not in part:
            continue
        name = _check_call(part["functionCall"], i, model)
        if model.new and current and first_call and signature is None:
            raise wrong(
                f"{UNABLE} function call `{name}` in the {i + 1}. content block is missing a `thought_signature`. "
                f"Learn more: {GUIDE}"
            )
        first_call = False


def _check_call(call: Json, i: int, model: GeminiModel) -> str:
    if not model.new and "id" in call:
        raise unknown("id", f"contents[{i}].parts.function_call")
    if not isinstance(call.get("args") or {}, dict):
        raise wrong(f"Invalid value at 'contents[{i}].parts.function_call.args' (google.protobuf.Struct)")
    return str(call.get("name"))


def _check_responses(results: list[Json], calls: list[Json]) -> None:
    if len(results) != len(calls):
        raise wrong(AS_MANY)
    for result in results:
        if not isinstance(result.get("response"), dict):
            raise wrong("Invalid value at 'contents.parts.function_response.response' (google.protobuf.Struct)")
        if result.get("name") not in [call.get("name") for call in calls]:
            raise wrong(f"function_response.name: {result.get('name')!r} answers no function call.")


def _result_ids(results: list[Json], calls: list[Json]) -> list[str]:
    """Which call each result answers, by its place in the model's last turn: by id, else by order."""
    by_id = {call["id"]: k for k, call in enumerate(calls) if call.get("id")}
    return [f"call_{by_id.get(result.get('id'), k)}" for k, result in enumerate(results)]


def _blocks(parts: list[Json], i: int, ids: list[str]) -> list[Json]:
    """Thoughts that came back say nothing."""
    blocks: list[Json] = []
    results, calls = iter(ids), 0
    for k, part in enumerate(parts):
        if part.get("thought"):
            continue
        if "functionCall" in part:
            call = part["functionCall"]
            blocks.append({"type": "tool_use", "id": f"call_{calls}", "name": call.get("name"), "input": call.get("args") or {}})
            calls += 1
        elif "functionResponse" in part:
            blocks.append(_result(part["functionResponse"]["response"], next(results)))
        elif "inlineData" in part:
            blocks.append(_inline(camel(part["inlineData"]), f"contents[{i}].parts[{k}]"))
        elif "fileData" in part:
            blocks.append({"type": "image", "source": STAND_IN})
        else:
            blocks += _text(part)
    return blocks


def _result(response: Mapping[str, Any], name: str) -> Json:
    said = response.get("output", response.get("error", response))
    text = said if isinstance(said, str) else json.dumps(said)
    return {"type": "tool_result", "tool_use_id": name, "content": text, "is_error": "error" in response}


def _text(part: Json) -> list[Json]:
    text = part.get("text")
    if text is None or (not text and "thoughtSignature" not in part):
        raise wrong(f"{UNABLE} it must have a text parameter.")
    return [{"type": "text", "text": text}] if text else []


def _inline(data: Json, path: str) -> Json:
    kind = data.get("mimeType")
    try:
        base64.b64decode(data.get("data") or "!", validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise wrong(f"Invalid value at '{path}.inline_data.data' (TYPE_BYTES), Base64 decoding failed") from error
    if kind in IMAGES:
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data["data"]}}
    if kind in ("application/pdf", "text/plain"):
        return {"type": "document", "source": {"type": "base64", "media_type": kind, "data": data["data"]}}
    raise wrong(f"{UNABLE} it has a mimeType parameter with value {kind}, which is not supported.")
