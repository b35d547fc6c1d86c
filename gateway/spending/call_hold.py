"""The hold of one call: its parts of every account that counts it, settled together and once."""

import threading
from collections.abc import Callable

from gateway.canonical.call import Call, Target
from gateway.canonical.store import Json, Write
from gateway.canonical.usage import Usage
from gateway.spending import refusals
from gateway.spending.account import Part
from gateway.spending.amounts import Amounts, Estimates, amounts_of


class CallHold:
    """A `Hold`. `lock` is the ledger's, and held around whatever touches an account."""

    def __init__(
        self,
        call: Call,
        target: Target,
        likely: Amounts,
        estimates: Estimates,
        lock: threading.Lock,
        now: Callable[[], float],
    ) -> None:
        self.call = call
        self.parts: list[Part] = []
        self._target = target
        self._likely = likely
        self._estimates = estimates
        self._lock = lock
        self._now = now
        self._ended = False
        self._open_call: Json | None = None

    def settle(self, usage: Usage, cost_nanodollars: int) -> list[Write]:
        amounts = amounts_of(usage, cost_nanodollars)
        with self._lock:
            if self._ended:
                return []
            self._ended = True
            now = self._now()
            writes = []
            for part in self.parts:
                budget = part.account.budget
                used = 0 if budget.unit == "parallel" else budget.count(amounts)
                writes += part.account.settle(part, used, now)
        if usage.completeness == "final":
            self._estimates.learn(self.call, self._target, usage, cost_nanodollars)
        return writes

    def release(self) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
            for part in self.parts:
                part.account.release(part, self._now())

    def render(self) -> list[Json]:
        return [hold for part in self.parts for hold in _render_part(part)]

    def headers(self) -> dict[str, str]:
        return refusals.headers(part.account for part in self.parts)

    def open_call(self) -> Json:
        """What allowances say of this call while it is open: enough for its usage document, if this process dies."""
        if self._open_call is None:
            self._open_call = _render_open(self.call, self._target, self._likely)
        return self._open_call


def _render_part(part: Part) -> list[Json]:
    """One entry; a second one, worth nothing, while two allowances might be the one that stands in the store."""
    budget, period = part.account.budget.id, part.account.path.rpartition("/")[2]
    first, *others = part.allowance_ids or (None,)
    entry = {"budget": budget, "period": period, "allowance": first, "held": part.held, "settled": part.settled}
    return [entry, *({**entry, "allowance": other, "held": 0, "settled": 0} for other in others)]


def _render_open(call: Call, target: Target, likely: Amounts) -> Json:
    caller = call.caller
    return {
        "request_id": call.id,
        "project": caller.project,
        "at": call.at,
        "facts": {
            "key_id": caller.key_id,
            "user": caller.user,
            "groups": list(caller.groups),
            "metadata": {**call.metadata, **caller.metadata},
            "trace_id": call.trace_id,
            "session_id": call.session_id,
            "agent_id": call.agent_id,
            "parent_agent_id": call.parent_agent_id,
            "dialect": call.dialect,
            "stream": call.request.stream,
            "asked_model": call.asked_model,
            "model": target.model,
            "provider": target.provider.id,
            "location": target.location,
            "cost_nanodollars": likely.cost_nanodollars,
            "tokens": {"input": likely.input_tokens, "output": likely.output_tokens, "cache_read": 0, "cache_write_5m": 0,
                       "cache_write_1h": 0, "thinking": 0},
        },
    }  # fmt: skip
