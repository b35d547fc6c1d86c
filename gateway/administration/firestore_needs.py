"""What Firestore must have been told before the gateway runs on it: which documents die, which questions it can answer.

The emulator answers everything and deletes nothing, so that only the deployed database can be examined. Wire: Firestore
Admin API v1, `fields.list` and `indexes.list` over all collection groups
(https://firebase.google.com/docs/firestore/reference/rest/v1/projects.databases.collectionGroups.fields/list, 2026-11-21).
The tables say what infra/firestore.indexes.json says; a test holds them together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gateway.administration.provider_tests import Finding, State
from gateway.administration.web import Answer, Ask
from gateway.cache.semantic import DIMENSIONS
from gateway.canonical.store import Json

API = "https://firestore.googleapis.com/v1/"
TTL_FIELD = "expires_at"
TTL_GROUPS = ("usage", "tokens", "allowances", "reconciled", "health", "periods", "rollups", "alerts", "cache", "embeddings",
              "lessons")  # fmt: skip
LISTED_BY = ("key_id", "user", "model", "provider", "session_id", "trace_id")
VECTORS = f"VECTOR {DIMENSIONS}"
COMPOSITES = (
    *(("usage", ((name, "ASCENDING"), ("at", "DESCENDING"))) for name in LISTED_BY),
    ("embeddings", (("scope_key", "ASCENDING"), ("embedding", VECTORS))),
)
"""Collection group, and its fields with their orders, or as what vectors they are searched; of query scope COLLECTION."""
LOST = {"usage": "usage cannot be listed by it", "embeddings": "the semantic cache finds nothing"}
"""By collection group: what an index that is missing costs."""
BOTH_WAYS = (("ASCENDING", "COLLECTION"), ("DESCENDING", "COLLECTION"))
SINGLES: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("usage", "at"): BOTH_WAYS,
    ("usage", "request_id"): (("ASCENDING", "COLLECTION_GROUP"),),
    ("usage", "allowance_ids"): (("CONTAINS", "COLLECTION_GROUP"),),
    ("alerts", "state"): (("ASCENDING", "COLLECTION_GROUP"),),
    ("cache", "user"): (("ASCENDING", "COLLECTION"),),
    ("embeddings", "user"): (("ASCENDING", "COLLECTION_GROUP"),),
}
"""Fields that are indexed alone: how, and in which scope."""
EXEMPT = (("usage", "*"), ("tokens", "*"), ("allowances", "*"), ("cache", "*"), ("embeddings", "*"), ("rollups", "rows"))
"""Fields that must not be indexed: that would cost every write."""
FIELDS_FILTER = "indexConfig.usesAncestorConfig:false OR ttlConfig:*"
PAGES_MAX = 20
STATES: dict[str, tuple[State, str]] = {
    "CREATING": ("warn", "is being made; look again in some minutes"),
    "NEEDS_REPAIR": ("fail", "is damaged; delete it and make it again"),
}


class Unlisted(Exception):
    """The API answered otherwise than with a list."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Database:
    """One Firestore database."""

    project: str
    name: str

    @property
    def path(self) -> str:
        return f"projects/{self.project}/databases/{quote(self.name, safe='()')}"

    @property
    def flags(self) -> str:
        """As gcloud takes it."""
        return f"--database='{self.name}' --project={self.project}"


def check_firestore(database: Database, ask: Ask, token: str) -> list[Finding]:
    """TTL policies and indexes: one line for each that is missing, and one for all that are there."""
    headers = {"authorization": f"Bearer {token}", "x-goog-user-project": database.project}
    try:
        fields = _list(database, f"fields?filter={quote(FIELDS_FILTER)}", "fields", ask, headers)
        indexes = _list(database, "indexes", "indexes", ask, headers)
    except Unlisted as error:
        return [_unlisted(database, error.answer)]
    known = {place: row for row in fields if (place := _of_field(row))}
    return [
        *_or_all_well("ttl policies", f"{len(TTL_GROUPS)} collection groups", _check_ttl(database, known)),
        *_or_all_well("indexes", f"{len(COMPOSITES)} composite ones", _check_composites(database, indexes)),
        *_or_all_well("field indexes", f"{len(SINGLES) + len(EXEMPT)} fields", _check_singles(database, known)),
    ]


def _or_all_well(subject: str, words: str, faults: Iterator[Finding]) -> list[Finding]:
    return list(faults) or [Finding("ok", subject, f"{words} as they should be")]


def _check_ttl(database: Database, known: dict[tuple[str, str], Json]) -> Iterator[Finding]:
    for group in TTL_GROUPS:
        policy = known.get((group, TTL_FIELD), {}).get("ttlConfig")
        command = f"gcloud firestore fields ttls update {TTL_FIELD} --collection-group={group} --enable-ttl {database.flags}"
        if policy is None:
            yield Finding("fail", "ttl policies", f"{group}.{TTL_FIELD} has none: its documents stay for ever", command)
        elif state := STATES.get(str(policy.get("state"))):
            yield Finding(state[0], "ttl policies", f"that of {group}.{TTL_FIELD} {state[1]}", command)


def _check_composites(database: Database, indexes: list[Json]) -> Iterator[Finding]:
    there = {_of_index(row): str(row.get("state")) for row in indexes if row.get("queryScope") == "COLLECTION"}
    for group, fields in COMPOSITES:
        named = f"{group} by {' and '.join(name for name, _ in fields)}"
        configs = " ".join(f"--field-config=field-path={name},{_order_flag(order)}" for name, order in fields)
        command = f"gcloud firestore indexes composite create --collection-group={group} {configs} {database.flags}"
        state = there.get((group, fields))
        if state is None:
            yield Finding("fail", "indexes", f"{named}: there is none, so that {LOST[group]}", command)
        elif told := STATES.get(state):
            yield Finding(told[0], "indexes", f"{named}: {told[1]}", command)


def _check_singles(database: Database, known: dict[tuple[str, str], Json]) -> Iterator[Finding]:
    for (group, name), wanted in SINGLES.items():
        missing = [one for one in wanted if one not in _indexed(known, group, name)]
        if missing:
            flags = " ".join(_index_flag(*one) for one in wanted)
            yield Finding("fail", "field indexes", f"{group}.{name} is not indexed as it is asked for",
                          f"{_update(group, name)} {flags} {database.flags}")  # fmt: skip
    for group, name in EXEMPT:
        if (group, name) not in known or _indexed(known, group, name):
            yield Finding("warn", "field indexes", f"{group}.{name} is indexed, which every write pays for",
                          f"{_update(group, name)} --disable-indexes {database.flags}")  # fmt: skip


def _order_flag(order: str) -> str:
    return f"order={order.lower()}" if order != VECTORS else f"vector-config='{{\"dimension\":\"{DIMENSIONS}\",\"flat\":{{}}}}'"


def _update(group: str, name: str) -> str:
    return f"gcloud firestore indexes fields update '{name}' --collection-group={group}"


def _index_flag(mode: str, scope: str) -> str:
    kind = "array-config=contains" if mode == "CONTAINS" else f"order={mode.lower()}"
    return f"--index={kind},query-scope={scope.lower().replace('_', '-')}"


def _indexed(known: dict[tuple[str, str], Json], group: str, name: str) -> list[tuple[str, str]]:
    """How one field alone is indexed. What nobody set is as Firestore has it: both ways, within a collection."""
    if (group, name) not in known:
        return [] if (group, "*") in known else [*BOTH_WAYS, ("CONTAINS", "COLLECTION")]
    rows = known[group, name].get("indexConfig", {}).get("indexes", [])
    fields = [(row.get("fields") or [{}])[0] for row in rows]
    return [
        (str(field.get("order") or field.get("arrayConfig")), str(row.get("queryScope")))
        for row, field in zip(rows, fields, strict=True)
    ]


def _of_field(row: Json) -> tuple[str, str] | None:
    """Collection group and field of `…/collectionGroups/G/fields/F`."""
    parts = str(row.get("name", "")).split("/")
    return (parts[5], parts[7].strip("`")) if len(parts) == 8 else None


def _of_index(row: Json) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Collection group and fields of a composite index, without the document's name that Firestore adds at its end."""
    parts = str(row.get("name", "")).split("/")
    fields = [(str(field.get("fieldPath")), _order(field)) for field in row.get("fields", ())]
    return parts[5] if len(parts) == 8 else "", tuple(field for field in fields if field[0] != "__name__")


def _order(field: Json) -> str:
    """A field's order in an index, or `VECTOR` and how many dimensions."""
    vectors = field.get("vectorConfig")
    return f"VECTOR {vectors.get('dimension')}" if isinstance(vectors, dict) else str(field.get("order"))


def _list(database: Database, what: str, name: str, ask: Ask, headers: dict[str, str]) -> list[Json]:
    """Every row; Unlisted."""
    rows: list[Any] = []
    url, page = f"{API}{database.path}/collectionGroups/-/{what}", ""
    for _ in range(PAGES_MAX):
        answer = ask("GET", url + page, headers, None)
        if answer.status != 200:
            raise Unlisted(answer)
        document = answer.document()
        rows += found if isinstance(found := document.get(name), list) else []
        if not (token := document.get("nextPageToken")):
            break
        page = f"{'&' if '?' in what else '?'}pageToken={quote(str(token))}"
    return [row for row in rows if isinstance(row, dict)]


def _unlisted(database: Database, answer: Answer) -> Finding:
    error = answer.document().get("error")
    told = str(error.get("message", "")) if isinstance(error, dict) else ""
    words = f"cannot be listed: {answer.status or 'no answer'} {(told or answer.words)[:300]}".rstrip()
    return Finding("fail", "indexes and ttl policies", words, _mend_listing(database, answer.status, told))


def _mend_listing(database: Database, status: int, told: str) -> str:
    if status == 403 and "has not been used" in told:
        return f"gcloud services enable firestore.googleapis.com --project={database.project}"
    if status in (401, 403):
        return (
            f"gcloud projects add-iam-policy-binding {database.project} --member=ACCOUNT --role=roles/datastore.viewer, with the "
            "account of `gcloud auth application-default login`, or of the machine this runs on"
        )
    if status == 404:
        return f"gcloud firestore databases create --location=LOCATION {database.flags}"
    return "check the network and https://status.cloud.google.com, then try again"
