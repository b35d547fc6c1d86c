"""Stores by the scheme of their URL. A new store is one file and one row here; the contract tests find it."""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.canonical.store import Store


@dataclass(frozen=True, slots=True)
class StoreKind:
    """`implementation` is `module:class`, loaded at first use; the class has `from_url(rest, *, now)`."""

    url_form: str
    implementation: str


STORES: dict[str, StoreKind] = {
    "sqlite": StoreKind("sqlite:///PATH", "gateway.store.sqlite:SqliteStore"),
    "firestore": StoreKind("firestore://PROJECT/DATABASE", "gateway.store.firestore:FirestoreStore"),
}


def open_store(url: str, *, now: Callable[[], float] = time.time) -> Store:
    """The store that `url` names. Nothing is opened or connected before its first call. ValueError for another URL.

    `now` is the clock, in unix seconds, that decides which documents have expired.
    """
    scheme, separator, rest = url.partition("://")
    kind = STORES.get(scheme)
    if kind is None or not separator:
        raise ValueError(f"{url!r} names no store; use {' or '.join(kind.url_form for kind in STORES.values())}")
    module, _, name = kind.implementation.partition(":")
    store: Store = getattr(importlib.import_module(module), name).from_url(rest, now=now)
    return store
