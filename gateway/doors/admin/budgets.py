"""`/budgets`"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.administration.budget_fields import ALERT_MAX, ALERTS_MAX, BUDGET_ID, COUNT, DOLLARS, SESSION
from gateway.administration.checks import LINE
from gateway.administration.office import Office
from gateway.canonical.store import Json
from gateway.doors.admin.fields import Moment, User, Warnings, Word64, Word128, whole
from gateway.doors.admin.route import EXCLUSIVE, PAGE, WRITE, Asked, Deleted, Page, Query, Route, deleted, only

Dollars = Annotated[str, Meta(pattern=whole(DOLLARS.pattern), description="Decimal text, never a number", examples=["500.00"])]
Count = Annotated[str, Meta(pattern=whole(COUNT.pattern), description="A whole number as text", examples=["100000"])]
Either = Annotated[str, Meta(pattern=f"{whole(DOLLARS.pattern)}|{whole(COUNT.pattern)}")]
Share = Annotated[float, Meta(gt=0, le=ALERT_MAX)]
Alerts = Annotated[list[Share], Meta(max_length=ALERTS_MAX, description="Shares of the amount at which somebody is told")]
Period = Literal["minute", "hour", "day", "week", "month", "total"]
Mode = Literal["strict", "balanced", "shadow"]
OnStoreError = Literal["open", "closed"]
Counted = Literal["tokens", "input_tokens", "output_tokens", "requests", "parallel"]
LabelPair = Annotated[
    str,
    Meta(pattern=r"^(?:\*|[A-Za-z0-9.:@/-][A-Za-z0-9_.:@/-]{0,62}=[A-Za-z0-9_.:@/-]{1,128})$", examples=["team=core"]),
]


class Scope(msgspec.Struct, tag_field="type", forbid_unknown_fields=True):
    """Whose calls a budget counts."""


class OrganizationScope(Scope, tag="organization", kw_only=True):
    """Every call of this deployment."""

    id: UnsetType | None = UNSET


class ProjectScope(Scope, tag="project"):
    """A project's calls. `*`, here and below: each has a budget of their own."""

    id: Annotated[str, Meta(pattern=r"^(?:\*|[a-z][a-z0-9-]{1,62})$")]


class UserScope(Scope, tag="user"):
    """A person's calls, with any key."""

    id: User


class GroupScope(Scope, tag="group"):
    """A group's calls: of each member by themselves, or of all together if `pooled`."""

    id: Word128


class KeyScope(Scope, tag="key"):
    """A key's calls."""

    id: Word64


class ProviderScope(Scope, tag="provider"):
    """Calls that a provider serves."""

    id: Annotated[str, Meta(pattern=r"^(?:\*|@?[a-z][a-z0-9-]{1,62})$")]


class ModelScope(Scope, tag="model"):
    """Calls of models whose name fits a pattern."""

    id: Word128


class MetadataScope(Scope, tag="metadata"):
    """Calls of keys and projects that bear a label."""

    id: LabelPair


class SessionScope(Scope, tag="session"):
    """A client's session, as the client names it."""

    id: Annotated[str, Meta(pattern=whole(rf"\*|{SESSION.pattern}"))]


AnyScope = (
    OrganizationScope
    | ProjectScope
    | UserScope
    | GroupScope
    | KeyScope
    | ProviderScope
    | ModelScope
    | MetadataScope
    | SessionScope
)


class DollarRaise(msgspec.Struct, forbid_unknown_fields=True):
    """So much more, until then."""

    amount: Dollars
    until: Moment


class CountRaise(msgspec.Struct, forbid_unknown_fields=True):
    """So much more, until then."""

    amount: Count
    until: Moment


class AnyRaise(msgspec.Struct, forbid_unknown_fields=True):
    """So much more, until then."""

    amount: Either
    until: Moment


class BudgetSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How a budget is held."""

    period: Period | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    on_store_error: OnStoreError | UnsetType = UNSET
    alerts: Alerts | UnsetType = UNSET
    pooled: bool | UnsetType = UNSET


class DollarBudget(BudgetSettings, kw_only=True):
    """A budget of US dollars. `amount` null is unlimited, "0" blocks."""

    scope: AnyScope
    amount: Dollars | None
    unit: Literal["usd"] | UnsetType = UNSET
    raise_: DollarRaise | UnsetType | None = msgspec.field(default=UNSET, name="raise")


class CountBudget(BudgetSettings, kw_only=True):
    """A budget of tokens, requests, or calls open at once. `amount` null is unlimited, "0" blocks."""

    scope: AnyScope
    amount: Count | None
    unit: Counted
    raise_: CountRaise | UnsetType | None = msgspec.field(default=UNSET, name="raise")


Name = Annotated[str, Meta(pattern=whole(BUDGET_ID.pattern), description="Left out: one is made")]


class NewDollarBudget(DollarBudget, kw_only=True):
    """A budget of US dollars to make."""

    id: Name | UnsetType = UNSET


class NewCountBudget(CountBudget, kw_only=True):
    """A budget of tokens, requests, or open calls to make."""

    id: Name | UnsetType = UNSET


class BudgetFields(BudgetSettings, kw_only=True):
    """Fields to change. Scope and unit may be given only as they are."""

    scope: AnyScope | UnsetType = UNSET
    amount: Either | UnsetType | None = UNSET
    unit: Literal["usd", "tokens", "input_tokens", "output_tokens", "requests", "parallel"] | UnsetType = UNSET
    raise_: AnyRaise | UnsetType | None = msgspec.field(default=UNSET, name="raise")


class ShownScope(msgspec.Struct):
    """Whose calls a budget counts."""

    type: str
    id: str | None


class ShownRaise(msgspec.Struct):
    """So much more, until then."""

    amount: str
    until: Moment


class Budget(msgspec.Struct, kw_only=True):
    """How much may be used, of what, by whom, in which period (UTC)."""

    id: str
    scope: ShownScope
    unit: str
    amount: str | None
    period: Period
    mode: Mode
    on_store_error: OnStoreError
    alerts: list[float]
    pooled: bool
    raise_: ShownRaise | None = msgspec.field(name="raise")
    created_at: Moment
    updated_at: Moment
    warnings: Warnings | UnsetType = UNSET


class BudgetState(msgspec.Struct):
    """Where a budget stands in the period that runs, in its unit. `held` is set aside for calls under way."""

    id: str
    scope: ShownScope
    subject: str | None
    unit: str
    period: Period
    limit: str | None
    spent: str
    held: str
    remaining: str | None
    resets_at: Moment | None


class Delivery(msgspec.Struct):
    """What became of a message on one channel."""

    channel: str
    delivered: bool
    words: str


class Deliveries(msgspec.Struct):
    """What became of a test alert on each channel."""

    id: str
    data: list[Delivery]


def create_budget(office: Office, asked: Asked) -> Json:
    return office.budgets.create(asked.body, asked.who)


def list_budgets(office: Office, asked: Asked) -> Json:
    return office.budgets.page(**asked.page)


def get_budget(office: Office, asked: Asked) -> Json:
    return office.budgets.get(asked.id)


def replace_budget(office: Office, asked: Asked) -> Json:
    return office.budgets.replace(asked.id, asked.body, asked.who)


def update_budget(office: Office, asked: Asked) -> Json:
    return office.budgets.update(asked.id, asked.body, asked.who)


def delete_budget(office: Office, asked: Asked) -> Json:
    office.budgets.delete(asked.id, asked.who)
    return deleted(asked.id)


def read_budget_state(office: Office, asked: Asked) -> Json:
    return office.budgets.state(asked.id, asked.query.get("subject") or None)


def send_test_alert(office: Office, asked: Asked) -> Json:
    only(asked.body)
    return office.budgets.test_alert(asked.id)


WHOLE = (DollarBudget, CountBudget)
NEW = (NewDollarBudget, NewCountBudget)
SUBJECT = Query(
    "subject",
    "Of a budget that counts each member by themselves: the member",
    {"type": "string", "pattern": whole(LINE.pattern), "maxLength": 256},
)
ROUTES = (
    Route("POST", "/budgets", "Make a budget", create_budget, Budget, NEW, status=201, refusals=WRITE),
    Route("GET", "/budgets", "List budgets by id", list_budgets, Page[Budget], query=PAGE),
    Route("GET", "/budgets/{id}", "Show a budget", get_budget, Budget),
    Route("PUT", "/budgets/{id}", "Replace a budget's fields", replace_budget, Budget, WHOLE, refusals=WRITE),
    Route("PATCH", "/budgets/{id}", "Change some fields of a budget", update_budget, Budget, BudgetFields, refusals=WRITE),
    Route("DELETE", "/budgets/{id}", "Delete a budget: it counts no calls any more", delete_budget, Deleted, refusals=WRITE),
    Route("GET", "/budgets/{id}/state", "What is spent, held and left in the period that runs", read_budget_state, BudgetState,
          query=(SUBJECT,), refusals=EXCLUSIVE),
    Route("POST", "/budgets/{id}/test-alert", "Send a test alert over each channel", send_test_alert, Deliveries, refusals=WRITE),
)  # fmt: skip
