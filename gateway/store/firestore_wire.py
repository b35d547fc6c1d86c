"""Documents, versions and queries in the terms of Google's Firestore client, and back.

Field names are always escaped (`FieldPath`): model names hold dots and @, which Firestore would take for a path.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.canonical.store import Document, Json, Vector
from gateway.store.documents import expiry
from gateway.store.firestore_client import Google
from gateway.store.queries import Query
from gateway.store.vectors import Search, shown

DISTANCE = "distance_found"  # where Firestore puts a document's distance in the answer to a search
ROUNDING = 1e-6  # Firestore adds up in another order than we: its distances may lie this far off
ARRAY_IN_ARRAY = "[]"  # Firestore has no array directly in an array: {"[]": […]} stands for one
MAP_IN_ARRAY = "{}"  # and {"{}": {…}} for a map that would look like one of these two


def render_version(update_time: Any, expires_at: float | None) -> str:
    """`SECONDS.NANOSECONDS`, and `~UNIX_SECONDS` if the document expires."""
    # Google's client gives a datetime of its own, but for collection groups the bare protobuf Timestamp (2.34.1).
    moment = update_time.timestamp_pb() if hasattr(update_time, "timestamp_pb") else update_time
    changed = f"{moment.seconds}.{moment.nanos:09d}"
    return changed if expires_at is None else f"{changed}~{expires_at!r}"


def parse_version(version: str) -> tuple[tuple[int, int], float | None]:
    """Seconds and nanoseconds of the update time, and the expiry. ValueError if the version is none of ours."""
    changed, _, expires_at = version.partition("~")
    seconds, _, nanos = changed.partition(".")
    try:
        return (int(seconds), int(nanos)), float(expires_at) if expires_at else None
    except ValueError:
        raise ValueError(f"{version!r} is no version of a document; use one that this store returned") from None


def parse_document(snapshot: Any) -> Document:
    data = {name: _decoded(value) for name, value in snapshot.to_dict().items()}
    return Document(snapshot.reference.path, data, render_version(snapshot.update_time, expiry(data)))


def render_fields(google: Google, fields: Json) -> dict[str, Any]:
    """Top-level fields as an update names them."""
    return {escaped(google, name): _with_googles_vector(google, encoded(value)) for name, value in fields.items()}


def _with_googles_vector(google: Google, value: Any) -> Any:
    return google.library["vectors"].Vector(value.values) if isinstance(value, Vector) else value


def render_replacement(google: Google, old: Mapping[str, Any], new: Json) -> dict[str, Any]:
    """An update that makes of the fields of `old` exactly `new`: Firestore's `set` can be put under no condition."""
    gone = {escaped(google, name): google.library["firestore"].DELETE_FIELD for name in old}
    return {**gone, **render_fields(google, new)}


def render_condition(google: Google, version: str | None) -> Any:
    """Only if the document is at that version; None: only if it exists."""
    if version is None:
        return None
    (seconds, nanos), _ = parse_version(version)
    changed = google.library["timestamps"].Timestamp(seconds=seconds, nanos=nanos)
    return google.client.write_option(last_update_time=changed)


def render_query(google: Google, query: Query, after: tuple[Any, str] | None) -> Any:
    """Ordered by the field asked for and then by path, so that a cursor names one place."""
    open_collection = google.client.collection_group if query.group else google.client.collection
    rendered = open_collection(query.collection)
    for name, operator, value in query.where:
        condition = google.library["query"].FieldFilter(escaped(google, name), operator, encoded(value))
        rendered = rendered.where(filter=condition)
    direction = "DESCENDING" if query.descending else "ASCENDING"
    orders = [escaped(google, query.order_by)] if query.order_by else []
    for order in (*orders, "__name__"):
        rendered = rendered.order_by(order, direction=direction)
    if after is None:
        return rendered
    value, path = after
    place = {order: encoded(value) for order in orders}
    return rendered.start_after({**place, "__name__": google.client.document(path)})


def render_search(google: Google, search: Search, limit: int) -> Any:
    """By cosine: Firestore's distance is 1 less the cosine, and grows from 0 to 2."""
    rendered = google.client.collection(search.collection)
    for name, value in search.where.items():
        condition = google.library["query"].FieldFilter(escaped(google, name), "==", value)
        rendered = rendered.where(filter=condition)
    return rendered.find_nearest(
        vector_field=escaped(google, search.field),
        query_vector=google.library["vectors"].Vector(search.vector.values),
        distance_measure=google.library["measures"].DistanceMeasure.COSINE,
        limit=limit,
        distance_result_field=DISTANCE,
        distance_threshold=1.0 - search.similarity_min + ROUNDING,
    )


def parse_near(snapshot: Any) -> tuple[Document, float]:
    """A document that was found, and how alike it is."""
    document = parse_document(snapshot)
    return document, shown(1.0 - document.data.pop(DISTANCE))


def escaped(google: Google, name: str) -> str:
    """A field's name as a path of its own."""
    return str(google.library["fields"].FieldPath(name).to_api_repr())


def encoded(value: Any) -> Any:
    """A value with arrays in arrays made into something that Firestore can hold."""
    match value:
        case dict():
            return {name: encoded(member) for name, member in value.items()}
        case list() | tuple():
            return [_encoded_member(member) for member in value]
        case _:
            return value


def _encoded_member(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return {ARRAY_IN_ARRAY: encoded(value)}
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in (ARRAY_IN_ARRAY, MAP_IN_ARRAY):
        return {MAP_IN_ARRAY: encoded(value)}
    return encoded(value)


def _decoded(value: Any) -> Any:
    match value:
        case dict():
            return {name: _decoded(member) for name, member in value.items()}
        case list():
            return [_decoded_member(member) for member in value]
        case Sequence() if not isinstance(value, str | bytes):  # Google's vector: its only sequence that is no list
            return Vector(tuple(value))
        case datetime():  # Google's own class, which counts nanoseconds
            return datetime.combine(value.date(), value.time(), UTC)
        case _:
            return value


def _decoded_member(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        (name, inner), = value.items()
        if name in (ARRAY_IN_ARRAY, MAP_IN_ARRAY):
            return _decoded(inner)
    return _decoded(value)
