"""Budgets: how much may be used, of what, by whom, in which period. The ledger reads what is written here.

A budget's scope and unit stay as they are: what was used so far was counted by them, and would be taken for something else.
Everything else may change at any time, and holds everywhere within a minute. With another period or pooling the counting begins
anew.
"""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from gateway.administration import budget_fields, checks
from gateway.administration.budget_matches import scope_warnings
from gateway.administration.changes import SCHEMA_VERSION, TIMEOUT_S, Changes, Who, not_found
from gateway.administration.pages import read_page
from gateway.administration.refusals import AdminError, invalid
from gateway.administration.times import Clock, current, render_moment, render_moments
from gateway.canonical.money import format_dollars
from gateway.canonical.store import Document, Json, Store
from gateway.spending.budgets import parse_budget
from gateway.spending.states import BudgetState, read_state

DEFAULTS: Json = {
    "unit": "usd", "period": "month", "mode": "balanced", "on_store_error": "open", "alerts": [0.5, 0.8, 1.0], "pooled": False,
    "raise": None,
}  # fmt: skip
NEEDED = ("scope", "amount")
SHOWN = ("scope", "unit", "amount", "period", "mode", "on_store_error", "alerts", "pooled", "raise", "created_at", "updated_at")
FIXED = ("scope", "unit")
BEGINS_ANEW = ("period", "pooled")


TestAlert = Callable[[str], Any]
"""Sends a test alert of a budget over every channel; what became of each."""


def no_alerts(budget_id: str) -> Any:
    return []


class Budgets:
    """The use cases. `test_alert` is the alerts' own."""

    def __init__(
        self,
        store: Store,
        changes: Changes,
        now: Clock,
        from_environment: Collection[str] = (),
        test_alert: TestAlert = no_alerts,
    ) -> None:
        self._store = store
        self._changes = changes
        self._now = now
        self._from_environment = from_environment
        self._test_alert = test_alert
        self._checks: dict[str, checks.Check] = {
            "scope": budget_fields.scope,
            "unit": budget_fields.one_of(*budget_fields.UNITS),
            "amount": budget_fields.amount,
            "period": budget_fields.one_of(*budget_fields.PERIODS),
            "mode": budget_fields.one_of(*budget_fields.MODES),
            "on_store_error": budget_fields.one_of(*budget_fields.ON_STORE_ERROR),
            "alerts": budget_fields.alerts,
            "pooled": checks.flag,
            "raise": checks.optional(budget_fields.raise_of(now)),
        }

    def create(self, given: Mapping[str, Any], who: Who) -> Json:
        """From `{"scope": …, "amount": …, …}`, `id` if it should be known by a name; AdminError `invalid` or
        `already_exists`."""
        budget_id, data = self.prepare(given)
        if "id" in given:
            self._check_unit_of_namesake(budget_id, data["unit"])
        self._changes.create(f"budgets/{budget_id}", data, "budget.create", who)
        return self._with_warnings(budget_id, data)

    def prepare(self, given: Mapping[str, Any]) -> tuple[str, Json]:
        """Id and document of a new budget, checked and not yet written; AdminError `invalid`."""
        fields = checks.check_fields(given, {"id": budget_fields.budget_id, **self._checks})
        if missing := [name for name in NEEDED if name not in fields]:
            raise invalid(f"{name}: a budget needs it" for name in missing)
        budget_id = fields.pop("id", None) or f"bud_{secrets.token_hex(8)}"
        if fields.get("unit") == "parallel":
            fields.setdefault("period", "total")  # open calls are counted at a moment, not over a time
        at = current(self._now)
        data = {**DEFAULTS, **fields, "created_at": at, "updated_at": at, "schema_version": SCHEMA_VERSION}
        if faults := budget_fields.check_amounts(data):
            raise invalid(faults)
        return budget_id, data

    def get(self, budget_id: str) -> Json:
        return render_budget(self._read(budget_id))

    def exists(self, budget_id: str) -> bool:
        named = budget_fields.BUDGET_ID.fullmatch(budget_id) is not None
        return named and self._store.get(f"budgets/{budget_id}", timeout_s=TIMEOUT_S) is not None

    def page(self, *, limit: int = 100, cursor: str | None = None) -> Json:
        """By id: `{"data": […], "next_cursor": …}`."""
        return read_page(self._store, "budgets", render_budget, limit=limit, cursor=cursor)

    def update(self, budget_id: str, given: Mapping[str, Any], who: Who) -> Json:
        """Changes the fields that are given; AdminError `not_found`, `invalid`, or `conflict` for those that stay."""
        self._read(budget_id)
        fields = checks.check_fields(given, self._checks)

        anew: list[str] = []

        def edit(data: Json) -> Json:
            check_fixed(data, fields)
            anew[:] = [name for name in BEGINS_ANEW if name in fields and fields[name] != data[name]]
            if faults := budget_fields.check_amounts({**data, **fields}):
                raise AdminError("; ".join(faults), "invalid" if "unit" in fields else "conflict")
            return fields

        data = self._changes.update(f"budgets/{budget_id}", edit, "budget.update", who)
        return self._with_warnings(budget_id, data, anew)

    def replace(self, budget_id: str, given: Mapping[str, Any], who: Who) -> Json:
        """What is not given takes its default; scope and amount have none."""
        self._read(budget_id)
        if missing := [name for name in NEEDED if name not in given]:
            raise invalid(f"{name}: a budget needs it" for name in missing)
        parallel = {"period": "total"} if given.get("unit") == "parallel" else {}
        return self.update(budget_id, {**DEFAULTS, **parallel, **given}, who)

    def delete(self, budget_id: str, who: Who) -> None:
        """Calls are counted by it no longer. What it had counted stays for a namesake, until its periods are forgotten."""
        self._read(budget_id)
        self._changes.delete(f"budgets/{budget_id}", "budget.delete", who)

    def state(self, budget_id: str, subject: str | None = None) -> Json:
        """Limit, spent, held and remaining of the period that runs, in the budget's unit as decimal text. `subject` is the member
        meant, for a budget that counts each by themselves; without one their amounts are added up."""
        data = self._read(budget_id).data
        if subject is not None:
            subject = checks.check_fields({"subject": subject}, {"subject": checks.text(256)})["subject"]
            if data["scope"]["type"] in ("user", "group"):
                subject = str(subject).casefold()
        return render_state(data, read_state(self._store, parse_budget(budget_id, data), subject, self._now()))

    def test_alert(self, budget_id: str) -> Json:
        """`{"id", "data": [what became of each delivery]}`."""
        self._read(budget_id)
        return {"id": budget_id, "data": msgspec.to_builtins(self._test_alert(budget_id))}

    def _read(self, budget_id: str) -> Document:
        if not budget_fields.BUDGET_ID.fullmatch(budget_id):
            raise not_found(f"budgets/{budget_id[:80]}".rstrip("/"))
        return self._changes.read(f"budgets/{budget_id}")

    def _check_unit_of_namesake(self, budget_id: str, unit: str) -> None:
        """AdminError `conflict`: the counters of a budget that was deleted live on, and would be read in another unit."""
        counters = self._store.query(f"budgets/{budget_id}/periods", limit=1).documents
        if counters and counters[0].data.get("unit", unit) != unit:
            raise AdminError(
                f"id: a budget {budget_id} that was deleted counted {counters[0].data['unit']}; choose another id", "conflict"
            )

    def _with_warnings(self, budget_id: str, data: Json, anew: Sequence[str] = ()) -> Json:
        rendered = render_budget(Document(f"budgets/{budget_id}", data, ""))
        warnings = [f"{name}: is another now, so that counting begins anew" for name in anew]
        warnings += [*scope_warnings(self._store, data["scope"], self._from_environment), *raise_warnings(data, self._now)]
        return rendered | ({"warnings": warnings} if warnings else {})


def check_fixed(data: Json, fields: Json) -> None:
    """AdminError `conflict` if a change would make something else of what was counted."""
    for name in FIXED:
        if name in fields and fields[name] != data[name]:
            raise AdminError(
                f"{name}: stays as it is, for what was used so far was counted by it; make another budget and delete this one",
                "conflict",
            )


def raise_warnings(data: Json, now: Clock) -> list[str]:
    """A raise that raises nothing."""
    raised = data["raise"]
    if raised is None:
        return []
    if data["amount"] is None:
        return ["raise: the budget is unlimited, there is nothing to add to"]
    if raised["until"].timestamp() <= now():
        return [f"raise: ended at {render_moment(raised['until'])}"]
    return []


def render_budget(document: Document) -> Json:
    rendered: Json = render_moments({name: document.data.get(name) for name in SHOWN})
    return {"id": document.id, **rendered, "scope": render_scope(document.data)}


def render_scope(data: Json) -> Json:
    return {"type": data["scope"]["type"], "id": data["scope"]["id"]}


def render_state(data: Json, state: BudgetState) -> Json:
    def decimal(value: int | None) -> str | None:
        if value is None:
            return None
        return format_dollars(value) if state.unit == "usd" else str(value)

    return {
        "id": state.budget_id,
        "scope": render_scope(data),
        "subject": state.subject,
        "unit": state.unit,
        "period": data["period"],
        "limit": decimal(state.limit),
        "spent": decimal(state.spent),
        "held": decimal(state.held),
        "remaining": decimal(state.remaining),
        "resets_at": render_moment(state.resets_at) if state.resets_at else None,
    }
