"""Which requests are the same: a call's key in the cache, or none if its answer must not come from there.

Two requests are the same if nothing that could change the answer differs: whose they are, the model, wire format, version and
betas, and the body but for what only names or counts it (`IGNORED`), Claude Code's attribution block and cache marks.
Sources: Anthropic Messages reference, OpenAI reference as in openai-python 3.52.0, Google's generateContent reference, captures
of Claude Code 2.1.329 and Codex CLI 0.169.0, 2026-11-20.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.canonical.call import CacheRule, Call, Plan, Target
from gateway.canonical.store import Json
from gateway.catalog.models import find
from gateway.dialects import DIALECTS

FORMAT = 1  # counts up when the same request would get another key, or an entry could not be read any more
BODY_BYTES_MAX = 8 * 1024 * 1024  # of longer ones nobody waits for the digest
_FACT = r"cc[\w-]{0,32}=[\w.:@/+-]{0,64}"
ATTRIBUTION = re.compile(rf"x-anthropic-billing-header:\s*{_FACT}(?:;\s*{_FACT}){{0,11}};?\s*")
MARK = "cache_control"

_NAMING = ("metadata", "model", "stream")
IGNORED: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset((*_NAMING, MARK)),
    "bedrock": frozenset((*_NAMING, MARK)),
    "gemini": frozenset(("labels", "model")),
    "gemini-embeddings": frozenset(("model",)),
    "openai": frozenset((
        *_NAMING, "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store", "stream_options", "user",
    )),
    "openai-embeddings": frozenset(("model", "user")),
    "openai-responses": frozenset((
        *_NAMING, "background", "client_metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store",
        "stream_options", "user",
    )),
}  # fmt: skip
"""By wire format: members that name a request, count it or say how it is delivered, and do not change what is answered."""
ECHOED: Mapping[str, frozenset[str]] = {
    "openai": frozenset(("metadata",)),
    "openai-responses": frozenset(("metadata", "prompt_cache_key", "safety_identifier", "user")),
}
"""Of these, those that the answer repeats: where several people share answers, none is shown another's."""

TOOLS = ("tools", "functions", "mcp_servers", "web_search_options")
TOOL_TURNS = ("tool", "function")
TOOL_PARTS = (
    "codeExecutionResult", "code_execution_result", "executableCode", "executable_code", "functionCall", "function_call",
    "functionResponse", "function_response",
)  # fmt: skip
PLAIN_ITEMS = ("", "message", "reasoning", "item_reference")  # of a Responses input; all others are about tools
STATE = ("background", "cachedContent", "cached_content", "container", "conversation", "previous_response_id", "prompt", "store")
"""Members by which a request hangs on what a provider keeps, or has it keep something."""
PASSED_HEADERS = ("anthropic-", "x-amzn-bedrock-")
UNTOLD_HEADERS = ("anthropic-beta", "anthropic-version", "x-amzn-bedrock-accept", "x-amzn-bedrock-request-metadata",
                  "x-amzn-bedrock-trace")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be answered from the cache. `marks` is all that counts beside the body, `members` the body without
    what does not count; neither may be changed."""

    rule: CacheRule
    wire: str
    marks: Json
    members: Json

    def key(self) -> str:
        """64 hexadecimal digits: the same for the same request."""
        return _digest([FORMAT, "exact", self.marks, self.members])

    def context_key(self, rest: Json) -> str:
        """The key of everything around what was asked last: `rest` is `members` without the last turn's text. Never equal to
        any `key`."""
        return _digest([FORMAT, "context", self.marks, rest])


def read_asked(call: Call, plan: Plan) -> Asked | None:
    """None if the config keeps no answers, the caller wants none of them, or the request is one whose answer must not be
    given twice: it uses tools, or hangs on what a provider remembers."""
    rule, request = plan.cache, call.request
    if rule is None or call.cache_asked == "off" or request.operation == "count_tokens":
        return None
    if len(request.document.source) > BODY_BYTES_MAX:
        return None
    try:
        body: Json = msgspec.json.decode(request.document.source, type=dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    sent = {**body, **{name: msgspec.json.decode(value) for name, value in _params(plan).items()}}
    if keeps_state(sent) or (uses_tools(sent) and not rule.tools):
        return None
    wire = DIALECTS[call.dialect].WIRE
    members = _without_ignored(body, wire, rule)
    marks = _marks(call, plan, rule, wire)
    marks["betas"] = sorted({*marks["betas"], *_take_betas(members)})
    marks["bound"] = request.stream if says_more_than_one(members) else None
    return Asked(rule, wire, marks, members)


def answers_for(target: Target, plan: Plan) -> bool:
    """Whether an answer of `target` is one to what the key says: the first target's model, asked with the same parameters and
    headers. What another model said in its place would be handed out as the first one's when that is well again."""
    first = dict(_params(plan))
    params = [dict(leg.params) for leg in plan.legs if leg.target is target]
    meant = plan.targets[0]
    alike = target.model == meant.model and set(target.forward_headers) <= set(meant.forward_headers)
    return alike and all(each == first for each in params)


def uses_tools(body: Json) -> bool:
    """Whether tools are offered, or were used before: those change the world, or look at it."""
    if any(body.get(name) for name in TOOLS):
        return True
    return any(_is_about_tools(turn) for turn in turns_of(body))


def keeps_state(body: Json) -> bool:
    if any(body.get(name) for name in STATE):
        return True
    return any(turn.get("type") == "item_reference" for turn in turns_of(body))


def turns_of(body: Json) -> list[Json]:
    """Messages, a Responses input's items, and Gemini's contents; whatever is no object is passed over."""
    given = [body.get(name) for name in ("messages", "input", "contents")]
    return [turn for turns in given for turn in _objects([turns] if isinstance(turns, dict) else turns)]


def _is_about_tools(turn: Json) -> bool:
    if turn.get("role") in TOOL_TURNS or turn.get("tool_calls") or turn.get("function_call"):
        return True
    if "role" not in turn and str(turn.get("type") or "") not in PLAIN_ITEMS:
        return True
    parts = [*_objects(turn.get("content")), *_objects(turn.get("parts"))]
    return any("tool" in str(part.get("type")) or any(name in part for name in TOOL_PARTS) for part in parts)


def says_more_than_one(members: Json) -> bool:
    """Whether the answer may hold what only its own form can tell, plain or streamed: several choices, probabilities, sound."""
    config = members.get("generationConfig", members.get("generation_config"))
    config = config if isinstance(config, dict) else {}
    several = [members.get("n"), *(config.get(name) for name in ("candidateCount", "candidate_count"))]
    if any(isinstance(count, int) and count > 1 for count in several):
        return True
    named = ("audio", "include", "logprobs", "top_logprobs")
    of_config = ("logprobs", "responseLogprobs", "responseModalities", "response_logprobs", "response_modalities")
    return any(members.get(name) for name in named) or any(config.get(name) for name in of_config)


def _marks(call: Call, plan: Plan, rule: CacheRule, wire: str) -> Json:
    caller, target = call.caller, plan.targets[0]
    owner = [] if rule.scope == "project" else ["user", caller.user] if caller.user else ["key", caller.key_id]
    counted = [name for name in call.headers if name.startswith(PASSED_HEADERS) and name not in UNTOLD_HEADERS]
    betas = [beta.strip() for beta in call.headers.get("anthropic-beta", "").split(",")]
    forwarded = [name for name in target.forward_headers if name in call.headers and name not in UNTOLD_HEADERS]
    return {
        "project": caller.project,
        "owner": owner,
        "operation": call.request.operation,
        "wire": wire,
        "model": target.model,
        "upstream": None if find(target.upstream_model) else target.upstream_model,  # what a name of the operator's means now
        "version": call.request.api_version,
        "betas": [beta for beta in betas if beta],
        "headers": {name: call.headers[name] for name in (*counted, *forwarded)},
        "params": {name: value.decode() for name, value in _params(plan).items()},
    }


def _params(plan: Plan) -> Mapping[str, bytes]:
    """Members that the config puts in the caller's place, on the way to the first target."""
    return plan.legs[0].params if plan.legs else {}


def _take_betas(members: Json) -> list[str]:
    """Those that Bedrock's and Vertex AI's bodies name."""
    named = members.get("anthropic_beta")
    if not isinstance(named, list) or not all(isinstance(beta, str) for beta in named):
        return []
    del members["anthropic_beta"]
    return named


def _without_ignored(body: Json, wire: str, rule: CacheRule) -> Json:
    ignored = IGNORED.get(wire, frozenset())
    if rule.scope == "project":
        ignored = ignored - ECHOED.get(wire, frozenset())
    kept = {name: value for name, value in body.items() if name not in ignored and value is not None}
    if wire in ("anthropic", "bedrock"):
        return _without_marks(kept)
    return kept


def _without_marks(body: Json) -> Json:
    """Anthropic's: without the attribution block and cache marks."""
    system = body.get("system")
    if isinstance(system, list):
        body["system"] = [_unmarked(block) for block in (system[1:] if _is_attribution(system) else system)]
    messages = body.get("messages")
    if isinstance(messages, list):
        body["messages"] = [_unmarked_turn(turn) for turn in messages]
    tools = body.get("tools")
    if isinstance(tools, list):
        body["tools"] = [_unmarked(tool) for tool in tools]
    return body


def _is_attribution(system: list[Any]) -> bool:
    """Whether it begins with the block: elsewhere it is a prompt like any other, and so is whatever else stands in it. Who shares
    answers could otherwise hide instructions there, and have theirs given to others."""
    if not system or not isinstance(system[0], dict) or not system[0].keys() <= {"type", "text", MARK}:
        return False
    return ATTRIBUTION.fullmatch(str(system[0].get("text", ""))) is not None


def _unmarked_turn(turn: Any) -> Any:
    if not isinstance(turn, dict) or not isinstance(turn.get("content"), list):
        return turn
    return {**turn, "content": [_unmarked_block(block) for block in turn["content"]]}


def _unmarked_block(block: Any) -> Any:
    """A block, and those inside a tool's result."""
    if isinstance(block, dict) and isinstance(block.get("content"), list):
        block = {**block, "content": [_unmarked(inner) for inner in block["content"]]}
    return _unmarked(block)


def _unmarked(block: Any) -> Any:
    if isinstance(block, dict) and MARK in block:
        return {name: value for name, value in block.items() if name != MARK}
    return block


def _objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
