"""Calls of every wire format, and what the cache reads in them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.cache.request_key import Asked, read_asked
from gateway.canonical.call import CacheRule, Call, Caller, Plan, Request, Target
from gateway.canonical.json_object import JsonObject
from gateway.providers.provider import Provider

TARGET = Target(Provider("vertex", "vertex", "adc"), "claude-sonnet-4-6", "claude-sonnet-4-6", "global", "anthropic")
SEMANTIC = CacheRule("semantic", threshold=0.9)


def call_of(body: Any, *, dialect: str = "anthropic", caller: Mapping[str, Any] | None = None, **more: Any) -> Call:
    request = Request("generate", "claude-sonnet-4-6", False, JsonObject(msgspec.json.encode(body)))
    who = Caller(**{"key_id": "key_1", "project": "demo", "user": "ana@example.com", **(caller or {})})
    facts: dict[str, Any] = {"id": "r1", "caller": who, "dialect": dialect, "request": request, "headers": {}}
    return Call(**{**facts, "at": 0.0, "started": 0.0, **more})


def plan_with(rule: CacheRule | None = SEMANTIC, target: Target = TARGET) -> Plan:
    return Plan((target,), cache=rule)


def asked_of(body: Any, *, rule: CacheRule = SEMANTIC, target: Target = TARGET, **more: Any) -> Asked:
    """What the cache sees in a request that it may answer."""
    asked = read_asked(call_of(body, **more), plan_with(rule, target))
    assert asked is not None
    return asked
