"""One person's records: handed out in full, and erased.

Erasing deletes the person's usage documents, and what the cache keeps of their questions and answers, and takes the name off
the daily sums. Sums that name nobody stay: what projects spent, and what budgets counted, for money that was spent was spent.
A call that is minutes old may still be looked for by the ledger, which would charge a second time what it does not find; of such
a document only the person is taken out, and the store forgets it when the ledger no longer asks. Instances that are summing up
today's calls may write the name once more: then erasing is to be repeated when the day is over, and the answer says when. They
may also have a kept answer in memory, for a minute at most.

What is left of a person: their keys until they are deleted, and the audit of what admins did with them.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.administration import checks
from gateway.administration.changes import TIMEOUT_S, Changes, Entry, Who
from gateway.administration.times import Clock, current, render_moments
from gateway.administration.usage_documents import Filters, list_records, project_ids, read_usage
from gateway.cache.cache import erase_answers
from gateway.cache.semantic import erase_questions
from gateway.canonical.store import Delete, Document, Json, Missing, Store, Write
from gateway.records.rollups import erase_user, writable_until

LEDGER_LOOKS_BACK = timedelta(minutes=15)  # more than an allowance may live (5 minutes and 90 s), and a buffered record wait
CLOCKS_APART = timedelta(minutes=30)
BATCH_DOCUMENTS = 200
PAGE_DOCUMENTS = 1_000
NOBODY: Json = {
    "user": None, "key_id": None, "groups": [], "metadata": {}, "trace_id": None, "session_id": None, "agent_id": None,
    "parent_agent_id": None,
}  # fmt: skip


def export_records(store: Store, user: Any, *, limit: int = 100, cursor: str | None = None) -> Json:
    """All that is recorded of a person's calls, newest first: `{"data": […], "next_cursor": …}`. AdminError `invalid`."""
    return list_records(store, _filters(user), limit=limit, cursor=cursor)


def erase_records(store: Store, changes: Changes, user: Any, now: Clock, who: Who) -> Json:
    """`{"erased": how many, "forgotten_at": …, "repeat_after": …}`. `forgotten_at` is set if some wait, without a name, for the
    ledger; `repeat_after` if there were calls of the day that is still summed up.

    What the person does from here on is recorded again. AdminError `invalid`. The audit names the person by a hash."""
    at = current(now)
    filters = _filters(user)
    erased = nameless = 0
    latest: datetime | None = None
    batch: list[Document] = []
    for documents in read_usage(store, filters, page=PAGE_DOCUMENTS):
        for document in documents:
            batch.append(document)
            latest = max(latest or document.data["at"], document.data["at"])
            if len(batch) == BATCH_DOCUMENTS:
                nameless += _erase(store, batch, at)
                erased += len(batch)
                batch = []
    nameless += _erase(store, batch, at)
    erased += len(batch)
    erase_user(store, project_ids(store), filters.fields["user"])
    erase_questions(store, filters.fields["user"])
    erase_answers(store, filters.fields["user"])
    answer: Json = {
        "erased": erased,
        "forgotten_at": at + LEDGER_LOOKS_BACK if nameless else None,
        "repeat_after": summed_until if latest and at < (summed_until := _summed_until(latest)) else None,
    }
    changes.commit([], Entry("records.erase", f"users/{_pseudonym(filters.fields['user'])}", None, answer), who)
    rendered: Json = render_moments(answer)
    return rendered


def _erase(store: Store, documents: list[Document], at: datetime) -> int:
    """How many were made nameless rather than deleted."""
    nameless = [document for document in documents if _is_asked_for(document.data, at)]
    gone: list[Write] = [Delete(document.path) for document in documents if not _is_asked_for(document.data, at)]
    if gone:
        store.commit(gone, timeout_s=TIMEOUT_S)
    for document in nameless:
        try:
            store.update(document.path, {**NOBODY, "expires_at": at + LEDGER_LOOKS_BACK}, timeout_s=TIMEOUT_S)
        except Missing:
            continue  # forgotten meanwhile by itself
    return len(nameless)


def _is_asked_for(data: Mapping[str, Any], at: datetime) -> bool:
    """Whether the ledger may still look for it. A call is dated by its beginning and may last for an hour."""
    ended = data["at"] + timedelta(milliseconds=data.get("latency_ms") or 0)
    return bool(data.get("allowance_ids")) and ended > at - LEDGER_LOOKS_BACK


def _filters(user: Any) -> Filters:
    checked = checks.check_fields({"user": user}, {"user": checks.user})["user"]
    return Filters(fields={"user": checked})


def _summed_until(latest: datetime) -> datetime:
    """When no instance writes sums of that day any more, whatever its clock says."""
    return datetime.fromtimestamp(writable_until(latest.astimezone(UTC).date()), UTC) + CLOCKS_APART


def _pseudonym(user: str) -> str:
    return hashlib.sha256(user.encode()).hexdigest()[:16]
