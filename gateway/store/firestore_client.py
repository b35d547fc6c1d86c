"""Google's Firestore client as this house uses it: built late, never hanging, its errors put into our words.

- Built at the first call, in a thread of its own: credentials and the metadata server may take longer than the caller
  can wait. Loading the libraries (0.4 s) counts against nobody's time limit. Built anew in a forked process, where the
  parent's gRPC threads are missing.
- Google's own retries are switched off on every call: with them `timeout=2` waits up to 300 s (measured 2026-11-20).
  What may safely be repeated is repeated here, within the caller's one deadline.
- Connects again within seconds: gRPC by itself waits longer and longer, and found a server that had been away for 40 s
  only 28 s after its return (measured 2026-11-21; up to two minutes by its defaults).
"""

import functools
import importlib
import math
import os
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.canonical.store import StoreUnavailable

T = TypeVar("T")

LIBRARIES = {
    "firestore": "google.cloud.firestore",
    "services": "google.cloud.firestore_v1.services.firestore",
    "transports": "google.cloud.firestore_v1.services.firestore.transports",
    "query": "google.cloud.firestore_v1.base_query",
    "types": "google.cloud.firestore_v1.types",
    "fields": "google.cloud.firestore_v1.field_path",
    "vectors": "google.cloud.firestore_v1.vector",
    "measures": "google.cloud.firestore_v1.base_vector_query",
    "timestamps": "google.protobuf.timestamp_pb2",
    "retry": "google.api_core.retry",
    "api_errors": "google.api_core.exceptions",
    "auth_errors": "google.auth.exceptions",
    "grpc": "grpc",
}
CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # how long one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
PAUSES_S = (0.03, 0.15)
REPEATABLE_READ = frozenset({"ServiceUnavailable"})  # the connection died while it was idle: usual on Cloud Run
REPEATABLE_WRITE = frozenset({"Aborted"})  # lost against another write; nothing was written

_ADVICE = {
    "PermissionDenied": "grant roles/datastore.user on the project to the gateway's service account",
    "Unauthenticated": "run `gcloud auth application-default login`, or give the service its service account",
    "GoogleAuthError": "run `gcloud auth application-default login`, or give the service its service account",
    "OSError": "name the project: GATEWAY_STORE=firestore://PROJECT/DATABASE or GOOGLE_CLOUD_PROJECT",
    "NotFound": "create the document first, or the database: `gcloud firestore databases create --location=LOCATION`",
    "AlreadyExists": "update the document, or choose another id",
    "FailedPrecondition": "read the document again and repeat; or, for an index, deploy infra/firestore.indexes.json",
    "InvalidArgument": "change what is stored or asked for",
    "ResourceExhausted": "a quota is used up; see the quotas page of the project",
}
_ADVICE_OTHERWISE = "check the network and https://status.cloud.google.com, then try again"


@dataclass(frozen=True, slots=True)
class Google:
    """The client of this process and the modules it needs, by the names in LIBRARIES."""

    client: Any
    service: Any  # the generated client beneath it
    database: str  # projects/P/databases/D
    transport: Any
    library: Mapping[str, Any]
    errors: tuple[type[Exception], ...]
    no_retry: Any  # queries cannot do with None: they ask the retry object about each error


class FirestoreClient:
    """`project` None: the one of the credentials or of GOOGLE_CLOUD_PROJECT."""

    def __init__(self, project: str | None, database: str) -> None:
        self._project = project
        self._database = database
        self._closed = False
        self._of_process: dict[int, Future[Google]] = {}  # a parent's stays: a child may neither use nor close it

    def call(
        self,
        rpc: Callable[[Google, float], T],
        *,
        timeout_s: float,
        repeatable: Collection[str],
        kinds: Mapping[str, type[Exception]],
    ) -> T:
        """What `rpc(google, remaining_s)` returns. Errors named in `kinds` become those, others StoreUnavailable."""
        load()  # work of this machine's own, seconds on a busy one: no reason to give the store up
        deadline = time.monotonic() + timeout_s
        google = self._google(timeout_s)
        pauses_s = iter(PAUSES_S)
        while True:
            try:
                # Never zero or less, which Google's client takes for no limit at all.
                return rpc(google, max(0.001, deadline - time.monotonic()))
            except google.errors as error:
                pause_s = random.uniform(0.5, 1.0) * next(pauses_s, math.inf)
                if type(error).__name__ not in repeatable or time.monotonic() + pause_s > deadline:
                    raise explained(error, kinds, timeout_s) from error
                time.sleep(pause_s)
            except ValueError as error:
                if self._closed:  # gRPC's word for a channel that was closed meanwhile
                    raise StoreUnavailable("the Firestore store was closed during the call; open it again") from error
                raise

    def close(self) -> None:
        self._closed = True
        built = self._of_process.pop(os.getpid(), None)
        if built is not None and built.done() and built.exception() is None:
            built.result().transport.close()

    def _google(self, timeout_s: float) -> Google:
        if self._closed:
            raise StoreUnavailable("the Firestore store is closed; open it again")
        process = os.getpid()
        building = self._of_process.get(process) or self._build_once(process)
        if not building.done():
            wait([building], timeout_s)
        if not building.done():
            raise StoreUnavailable(
                f"the Firestore client was not ready within {timeout_s:.3g} s, perhaps for want of credentials; "
                f"try again, or {_ADVICE['GoogleAuthError']}"
            )
        error = building.exception()
        if isinstance(error, Exception):
            if self._of_process.get(process) is building:
                del self._of_process[process]  # the next call tries again
            raise explained(error, {}, timeout_s) from error
        return building.result()

    def _build_once(self, process: int) -> "Future[Google]":
        mine: Future[Google] = Future()
        first = self._of_process.setdefault(process, mine)  # atomic: a lock might be held across a fork
        if first is mine:
            threading.Thread(target=self._build, args=(mine,), name="firestore-client", daemon=True).start()
        return first

    def _build(self, building: "Future[Google]") -> None:
        try:
            building.set_result(_connected(self._project, self._database, load()))
        except Exception as error:
            building.set_exception(error)


@functools.cache
def load() -> Mapping[str, Any]:
    """Google's libraries, by the names in LIBRARIES."""
    return {name: importlib.import_module(module) for name, module in LIBRARIES.items()}


def _connected(project: str | None, database: str, library: Mapping[str, Any]) -> Google:
    client = library["firestore"].Client(project=project, database=database)
    transport = _transport(client, library)
    # Google's client takes no channel options; its own channel would be made here, at the first call.
    service = client._firestore_api_internal = library["services"].FirestoreClient(transport=transport)
    return Google(
        client=client,
        service=service,
        database=f"projects/{client.project}/databases/{database}",
        transport=transport,
        library=library,
        errors=(library["api_errors"].GoogleAPIError, library["auth_errors"].GoogleAuthError, library["grpc"].RpcError),
        no_retry=library["retry"].Retry(predicate=lambda error: False),
    )


def _transport(client: Any, library: Mapping[str, Any]) -> Any:
    kind = library["transports"].FirestoreGrpcTransport
    emulator = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if emulator:
        return kind(channel=library["grpc"].insecure_channel(emulator, options=CHANNEL_OPTIONS))
    return kind(channel=kind.create_channel(credentials=client._credentials, options=CHANNEL_OPTIONS))


def explained(error: Exception, kinds: Mapping[str, type[Exception]], timeout_s: float) -> Exception:
    """A foreign error as one of ours, by the name of its class or of the nearest one above it."""
    names = [ancestor.__name__ for ancestor in type(error).__mro__]
    kind = next((kinds[name] for name in names if name in kinds), StoreUnavailable)
    advice = next((_ADVICE[name] for name in names if name in _ADVICE), _ADVICE_OTHERWISE)
    said = str(getattr(error, "message", None) or error).partition("\n")[0][:300]
    return kind(f"Firestore, allowed {timeout_s:.3g} s: {names[0]}: {said}; {advice}")

