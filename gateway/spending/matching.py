"""Which budgets count a call, and in whose name: a few look-ups, however many budgets there are; one, if it was asked before."""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import get_args

from gateway.canonical.call import Call, Caller, Target
from gateway.spending.budgets import EACH, Budget, ScopeType

ANSWERS_KEPT = 10_000
PLACES = {scope_type: place for place, scope_type in enumerate(get_args(ScopeType))}


@dataclass(frozen=True, slots=True)
class Match:
    """A budget that counts a call. `subject` is whose share it is, where each has one: a member of a group, say. By `name`,
    budget and subject, there is one account a period."""

    budget: Budget
    subject: str | None = None
    name: tuple[str, str | None] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", (self.budget.id, self.subject))

    @property
    def place(self) -> tuple[int, str, str]:
        """In the order in which calls draw on budgets: from the organization's to the session's, and by id."""
        return PLACES[self.budget.scope_type], self.budget.id, self.subject or ""

    def account_id(self, period_id: str) -> str:
        """The last segment of the period document's path. Subjects may hold what a path may not."""
        if self.subject is None:
            return period_id
        return f"{period_id}~{hashlib.sha256(self.subject.encode()).hexdigest()[:20]}"


class BudgetBook:
    """All budgets of the deployment, by what they count. It does not change: what it answered once it answers again.

    `by_target`: some of them count calls by the provider or model that answers.
    """

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self.by_id = {budget.id: budget for budget in budgets}
        self._globs: list[Budget] = []
        self._by_scope: defaultdict[tuple[str, str | None], list[Budget]] = defaultdict(list)
        for budget in self.by_id.values():
            if budget.scope_type == "model":
                self._globs.append(budget)
            else:
                self._by_scope[budget.scope_type, budget.scope_id].append(budget)
        scopes = {budget.scope_type for budget in self.by_id.values()}
        self.by_target = not scopes.isdisjoint(("provider", "model"))
        self.has_strict = any(budget.mode == "strict" for budget in self.by_id.values())
        self._by_session = "session" in scopes
        self._answers: dict[Hashable, tuple[Caller, tuple[Match, ...]]] = {}

    def __bool__(self) -> bool:
        return bool(self.by_id)

    def matching(self, call: Call, target: Target) -> tuple[Match, ...]:
        """In a fixed order, so that calls do not wait for each other crosswise."""
        caller = call.caller
        asked = (call.request.model, target.model, target.upstream_model) if self._globs else None
        key = (id(caller), target.provider.id, asked, call.session_id if self._by_session else None)
        known = self._answers.get(key)
        if known is not None and known[0] is caller:  # kept with the answer, so that no other has its id
            return known[1]
        once = {match.name: match for match in self._find(call, target)}  # a caller may be in two groups of one pool
        found = tuple(sorted(once.values(), key=lambda match: match.place))
        if len(self._answers) >= ANSWERS_KEPT:
            self._answers.clear()
        self._answers[key] = caller, found
        return found

    def _find(self, call: Call, target: Target) -> Iterator[Match]:
        yield from (Match(budget) for budget in self._by_scope.get(("organization", None), ()))
        for scope_type, name in _names(call, target):
            yield from (Match(budget, _member(budget, call)) for budget in self._by_scope.get((scope_type, name), ()))
            yield from (Match(budget, None if budget.pooled else name) for budget in self._by_scope.get((scope_type, EACH), ()))
        models = {name.lower() for name in (target.model, call.asked_model, target.upstream_model)}
        for budget in self._globs:
            if any(fnmatchcase(model, (budget.scope_id or "").lower()) for model in models):
                yield Match(budget)


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
