"""`/usage`, `/records` and `/users/{user}/records`"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from gateway.administration.checks import ID, WORD
from gateway.administration.office import Office
from gateway.administration.people import erase_records, export_records
from gateway.administration.usage_documents import get_record as find_record
from gateway.administration.usage_documents import list_records as page_records
from gateway.administration.usage_documents import parse_filters
from gateway.administration.usage_report import DEFAULT_SINCE, GROUPS, usage_report
from gateway.canonical.store import Json
from gateway.doors.admin.fields import Moment, whole
from gateway.doors.admin.route import EXCLUSIVE, PAGE, Asked, Page, Query, Route

MOMENT_FORMS = "RFC 3339, a date, or a span before now such as 7d"


class Sums(msgspec.Struct):
    """Figures of many calls. What is not the provider's final figure is in the cost, and told apart beside it."""

    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    thinking_tokens: int
    searches: int
    cost_nanodollars: int
    partial_requests: int
    partial_cost_nanodollars: int
    estimated_requests: int
    estimated_cost_nanodollars: int
    unpriced_requests: int
    unpriced_cost_nanodollars: int
    cache_hits: int
    saved_nanodollars: int
    cost_usd: str


class Row(Sums):
    """One group's figures, and what it is the group of."""

    model: str | UnsetType | None = UNSET
    day: str | UnsetType = UNSET
    user: str | UnsetType | None = UNSET
    key: str | UnsetType | None = UNSET
    project: str | UnsetType = UNSET
    provider: str | UnsetType | None = UNSET
    session: str | UnsetType | None = UNSET
    agent: str | UnsetType | None = UNSET


class UsageReport(msgspec.Struct):
    """Usage, summed up: a row for each group, and the sum of all."""

    since: Moment | None
    until: Moment | None
    group_by: list[str]
    data: list[Row]
    totals: Sums


class Record(msgspec.Struct):
    """One call: who asked for what, where it went, what it used and cost. No prompts, no answers."""

    id: str
    created_at: Moment
    updated_at: Moment
    request_id: str
    at: Moment
    project: str
    key_id: str | None
    user: str | None
    model: str | None
    provider: str | None
    status: int
    tokens: dict[str, int]
    cost_nanodollars: int
    cost_usd: str
    completeness: Literal["final", "partial", "estimated"]
    holds: list[dict[str, Any]] | UnsetType = UNSET


class Erasure(msgspec.Struct):
    """How many records were erased. Those that wait, without a name, for the ledger are gone at `forgotten_at`; if
    `repeat_after` is set, the sums of that day may name the person once more until then."""

    erased: int
    forgotten_at: Moment | None
    repeat_after: Moment | None


def report_usage(office: Office, asked: Asked) -> Json:
    given = {name: value for name, value in asked.query.items() if name != "group_by"}
    groups = [name.strip() for name in asked.query.get("group_by", "").split(",") if name.strip()]
    return usage_report(office.store, given, groups, office.now)


def list_records(office: Office, asked: Asked) -> Json:
    given = {name: value for name, value in asked.query.items() if name not in ("limit", "cursor")}
    return page_records(office.store, parse_filters(given, office.now), **asked.page)


def get_record(office: Office, asked: Asked) -> Json:
    return find_record(office.store, asked.id)


def export_person(office: Office, asked: Asked) -> Json:
    return export_records(office.store, asked.ids["user"], **asked.page)


def erase_person(office: Office, asked: Asked) -> Json:
    return erase_records(office.store, office.changes, asked.ids["user"], office.now, asked.who)


WORD_SHAPE = {"type": "string", "pattern": whole(WORD.pattern), "maxLength": 256}
SPAN = {"type": "string", "pattern": "^[0-9]{1,4}[smhdw]$"}
WHEN = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}, SPAN]}
ANY_GROUP = "|".join(GROUPS)
FILTERS = (
    Query("project", "Calls of this project", {"type": "string", "pattern": whole(ID.pattern)}),
    Query("key", "Calls with this key, by its id", {**WORD_SHAPE, "maxLength": 64}),
    Query("user", "Calls of this person; upper and lower case are one", WORD_SHAPE),
    Query("model", "Calls of this model, in any spelling", WORD_SHAPE),
    Query("provider", "Calls that this provider served", WORD_SHAPE),
    Query("session", "Calls of this client session", WORD_SHAPE),
    Query("trace", "Calls with this trace id", WORD_SHAPE),
    Query("since", f"Not before: {MOMENT_FORMS}", WHEN),
    Query("until", f"Before: {MOMENT_FORMS}", WHEN),
)
GROUP_BY = Query(
    "group_by",
    f"Separated by commas: {', '.join(GROUPS)}; left out: totals alone",
    {"type": "string", "pattern": f"^(?:{ANY_GROUP})(?:,(?:{ANY_GROUP})){{0,7}}$"},
)
ROUTES = (
    Route("GET", "/usage", f"Usage summed up, since {DEFAULT_SINCE} ago unless told otherwise", report_usage, UsageReport,
          query=(*FILTERS, GROUP_BY), more_query="meta.", refusals=EXCLUSIVE),
    Route("GET", "/records", "List calls, newest first", list_records, Page[Record], query=(*FILTERS, *PAGE), more_query="meta.",
          refusals=EXCLUSIVE),
    Route("GET", "/records/{id}", "Show one call, by the id that x-gateway-request-id names", get_record, Record),
    Route("GET", "/users/{user}/records", "Export all that is recorded of one person's calls", export_person, Page[Record],
          query=PAGE),
    Route("DELETE", "/users/{user}/records", "Erase one person's records; sums that name nobody stay", erase_person, Erasure,
          refusals=EXCLUSIVE),
)  # fmt: skip
