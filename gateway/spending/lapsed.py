"""Allowances whose owner is gone: what their calls used is charged, the rest goes back to the budget.

Whoever needs the money does it, or the sweep. Settled calls are found by the allowance that their usage documents name. An open
call that the allowance lists gets the usage document that its owner could not write, marked as an estimate. Each allowance is
reconciled once: the batch deletes it at the version that was read, and fails as a whole if a call was settled meanwhile.

A usage document may still arrive later, from an owner who was only cut off. So what was charged is remembered for a day, and
counted again by every sweep.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.canonical.store import (
    AlreadyExists,
    Conflict,
    Create,
    Delete,
    Document,
    Increment,
    Json,
    Missing,
    Store,
    Update,
    Write,
)
from gateway.spending.transfers import tombstone_path

SKEW_S = 90.0  # clocks may be a minute apart
REMEMBERED = timedelta(days=1)
PAGE_DOCUMENTS = 500
COMMIT_TIMEOUT_S = 5.0
LOST = "instance_lost"
SCHEMA_VERSION = 1


def is_lapsed(allowance: Document, now: float) -> bool:
    lapses_at: datetime = allowance.data["lapses_at"]
    return lapses_at.timestamp() + SKEW_S < now


def reconcile(store: Store, allowance: Document, now: float, retention_days: int) -> int | None:
    """What went back to the budget; None if somebody was quicker. StoreUnavailable."""
    data, period_path = allowance.data, allowance.path.rpartition("/allowances/")[0]
    settled = {document.id: document for document in _usage_of(store, allowance.id)}
    charged = sum(_settled(document.data, data) for document in settled.values())
    writes: list[Write] = []
    for open_call in msgspec.json.decode(data["open_calls"]):
        if open_call["request_id"] not in settled:
            used, write = _charge_open(store, open_call, allowance, _estimate(open_call, data, charged), retention_days)
            charged += used
            writes += write
    if data["unit"] == "parallel":
        charged = 0  # whatever was open died with its process
    elif data["strict"]:
        charged = max(charged, data["amount"])  # calls of the last second may have gone out unlisted
    writes += [
        Update(allowance.path, {"settled": charged}, allowance.version),
        Delete(allowance.path),
        Create(tombstone_path(period_path, allowance.id), _render_tombstone(data, charged, now)),
        Increment(period_path, {"taken": charged - data["amount"], "spent": charged}),
    ]
    try:
        store.commit(writes, timeout_s=COMMIT_TIMEOUT_S)
    except (AlreadyExists, Conflict, Missing):
        return None
    returned: int = data["amount"] - charged
    return returned


def recount(store: Store, tombstone: Document) -> int:
    """What usage documents that came late add to what was charged. In strict they first take the place of estimates."""
    data = tombstone.data
    if data["unit"] == "parallel":
        return 0
    documents = list(_usage_of(store, tombstone.id))
    late: int = sum(_settled(document.data, data) for document in documents) - data["charged"]
    if late <= 0:
        return 0
    writes: list[Write] = []
    if data["strict"]:
        late, writes = _displace(documents, tombstone.id, late)
    period_path = tombstone.path.rpartition("/reconciled/")[0]
    writes += [
        Update(tombstone.path, {"charged": data["charged"] + late}, tombstone.version),
        Increment(period_path, {"taken": late, "spent": late}),
    ]
    try:
        store.commit(writes, timeout_s=COMMIT_TIMEOUT_S)
    except (Conflict, Missing):
        return 0
    return late


def find_tombstone(store: Store, period_path: str, allowance_id: str) -> Document | None:
    return store.get(tombstone_path(period_path, allowance_id))


def all_documents(store: Store, collection: str, *, group: bool) -> Iterator[Document]:
    cursor = None
    while True:
        page = store.query(collection, group=group, limit=PAGE_DOCUMENTS, cursor=cursor)
        yield from page.documents
        cursor = page.next_cursor
        if cursor is None:
            return


def _usage_of(store: Store, allowance_id: str) -> Iterator[Document]:
    cursor = None
    while True:
        page = store.query(
            "usage", where=[("allowance_ids", "array_contains", allowance_id)], group=True, limit=PAGE_DOCUMENTS, cursor=cursor
        )
        yield from page.documents
        cursor = page.next_cursor
        if cursor is None:
            return


def _settled(usage: Json, allowance: Json) -> int:
    """What a usage document says that its call used of this budget's period."""
    mine = [hold for hold in usage["holds"] if (hold["budget"], hold["period"]) == (allowance["budget"], allowance["period"])]
    return sum(hold["settled"] for hold in mine)


def _estimate(open_call: Json, allowance: Json, charged: int) -> int:
    """What a listed call is charged with. In strict all calls of an allowance together use no more than its amount: if they seem
    to, a listed one had ended without a record, and what it held was used again."""
    held: int = open_call["held"]
    if allowance["unit"] == "parallel":
        return 0
    return min(held, max(0, allowance["amount"] - charged)) if allowance["strict"] else held


def _displace(documents: Sequence[Document], allowance_id: str, late: int) -> tuple[int, list[Write]]:
    """What remains late when estimates have made room for it, and their new figures."""
    writes: list[Write] = []
    for document in documents:
        if document.data.get("error_type") != LOST:
            continue
        holds = []
        for hold in document.data["holds"]:
            room = min(late, hold["settled"]) if hold["allowance"] == allowance_id else 0
            holds.append({**hold, "settled": hold["settled"] - room})
            late -= room
        if holds != document.data["holds"]:
            writes.append(Update(document.path, {"holds": holds}, document.version))
    return late, writes


def _charge_open(
    store: Store, open_call: Json, allowance: Document, estimate: int, retention_days: int
) -> tuple[int, list[Write]]:
    """An open call without a usage document gets one. If it has one, it was settled in another way, unless that is an
    estimate which another budget's allowance has left: then ours joins it."""
    path = f"projects/{open_call['project']}/usage/{open_call['request_id']}"
    hold = {
        "budget": allowance.data["budget"], "period": allowance.data["period"], "allowance": allowance.id,
        "held": open_call["held"], "settled": estimate,
    }  # fmt: skip
    there = store.get(path)
    if there is None:
        return estimate, [Create(path, _render_usage(open_call, hold, retention_days))]
    if there.data.get("error_type") != LOST:
        return 0, []
    joined = {"holds": [*there.data["holds"], hold], "allowance_ids": [*there.data["allowance_ids"], allowance.id]}
    return estimate, [Update(path, joined, there.version)]


def _render_usage(open_call: Json, hold: Json, retention_days: int) -> Json:
    """The usage document of a call that nobody saw end. Its figures are what such calls usually take."""
    at = datetime.fromtimestamp(open_call["at"], UTC)
    return {
        **open_call["facts"],
        "request_id": open_call["request_id"],
        "project": open_call["project"],
        "at": at,
        "status": 500,
        "error_type": LOST,
        "attempts": [],
        "cache": "off",
        "completeness": "estimated",
        "price_known": True,
        "searches": 0,
        "client_gone": False,
        "dropped": [],
        "latency_ms": 0,
        "holds": [hold],
        "allowance_ids": [hold["allowance"]],
        "schema_version": SCHEMA_VERSION,
        "expires_at": at + timedelta(days=retention_days),
    }


def _render_tombstone(data: Json, charged: int, now: float) -> Json:
    moment = datetime.fromtimestamp(now, UTC)
    kept = {name: data[name] for name in ("budget", "period", "unit", "strict")}
    return {**kept, "charged": charged, "reconciled_at": moment, "expires_at": moment + REMEMBERED}
