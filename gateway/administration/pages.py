"""Lists in pages, as every list of the admin API has them."""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.administration.refusals import AdminError, invalid
from gateway.canonical.store import Document, Json, Operator, Store

LIMIT_MAX = 1_000


def check_limit(limit: int) -> None:
    """AdminError `invalid`."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIMIT_MAX:
        raise invalid([f"limit: should lie between 1 and {LIMIT_MAX}"])


def read_page(
    store: Store,
    collection: str,
    render: Callable[[Document], Json],
    *,
    limit: int,
    cursor: str | None,
    where: Sequence[tuple[str, Operator, Any]] = (),
    order_by: str | None = None,
    descending: bool = False,
) -> Json:
    """`{"data": […], "next_cursor": …}`; AdminError `invalid` for a limit that cannot be, `not_found` for a cursor that
    leads nowhere."""
    check_limit(limit)
    try:
        page = store.query(collection, where=where, order_by=order_by, descending=descending, limit=limit, cursor=cursor)
    except ValueError as error:
        if cursor is None:
            raise
        raise AdminError("cursor: is none of this list's; leave it out to begin at the start", "not_found") from error
    return {"data": [render(document) for document in page.documents], "next_cursor": page.next_cursor}
