"""Which budgets count a call, and in whose name: a few look-ups, however many budgets there are."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gateway.canonical.call import Call, Target
from gateway.spending.budgets import EACH, Budget


@dataclass(frozen=True, slots=True)
class Match:
    """A budget that counts a call. `subject` is whose share it is, where each has one: a member of a group, say."""

    budget: Budget
    subject: str | None = None

    def account_id(self, period_id: str) -> str:
        """The last segment of the period document's path. Subjects may hold what a path may not."""
        if self.subject is None:
            return period_id
        return f"{period_id}~{hashlib.sha256(self.subject.encode()).hexdigest()[:20]}"


class BudgetBook:
    """All budgets of the deployment, by what they count."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self.by_id = {budget.id: budget for budget in budgets}
        self._globs: list[Budget] = []
        self._by_scope: defaultdict[tuple[str, str | None], list[Budget]] = defaultdict(list)
        for budget in sorted(self.by_id.values(), key=lambda budget: budget.id):
            if budget.scope_type == "model":
                self._globs.append(budget)
            else:
                self._by_scope[budget.scope_type, budget.scope_id].append(budget)

    def __bool__(self) -> bool:
        return bool(self.by_id)

    def matching(self, call: Call, target: Target) -> list[Match]:
        """In a fixed order, so that calls do not wait for each other crosswise."""
        found = [Match(budget) for budget in self._by_scope.get(("organization", None), ())]
        for scope_type, name in _names(call, target):
            found += [Match(budget, _member(budget, call)) for budget in self._by_scope.get((scope_type, name), ())]
            found += [Match(budget, None if budget.pooled else name) for budget in self._by_scope.get((scope_type, EACH), ())]
        if self._globs:
            models = {name.lower() for name in (target.model, call.asked_model, target.upstream_model)}
            found += [
                Match(budget)
                for budget in self._globs
                if any(fnmatchcase(model, (budget.scope_id or "").lower()) for model in models)
            ]
        return found


def _names(call: Call, target: Target) -> Iterator[tuple[str, str]]:
    """What a call goes by, per scope. Its own labels (`call.metadata`) are not among them: anybody may write those."""
    caller = call.caller
    yield "project", caller.project
    if caller.user:
        yield "user", caller.user.casefold()
    for group in dict.fromkeys(caller.groups):
        yield "group", group
    yield "key", caller.key_id
    yield "provider", target.provider.id
    for name, value in caller.metadata.items():
        yield "metadata", f"{name}={value}"
    if call.session_id:
        yield "session", call.session_id


def _member(budget: Budget, call: Call) -> str | None:
    """A group's budget is each member's own, unless it is pooled. A key without a user is a member for itself."""
    if budget.scope_type != "group" or budget.pooled:
        return None
    return call.caller.user.casefold() if call.caller.user else f"key:{call.caller.key_id}"
