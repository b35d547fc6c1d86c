"""What only the production store must stand: dead and silent servers, slow credentials, forks, every error."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.firestore_v1 import types

from gateway.canonical.store import (
    AlreadyExists,
    Conflict,
    Create,
    Missing,
    Store,
    StoreError,
    StoreUnavailable,
    Update,
    Vector,
)
from gateway.store import open_store

ROOT = Path(__file__).parents[2]
URL = "firestore://demo-acme/(default)"
SLACK_S = 2.0  # for a busy machine; what is ruled out are waits of minutes
METHODS: dict[str, Callable[[Store, float], Any]] = {
    "get": lambda store, timeout_s: store.get("a/1", timeout_s=timeout_s),
    "create": lambda store, timeout_s: store.create("a/1", {}, timeout_s=timeout_s),
    "update": lambda store, timeout_s: store.update("a/1", {"n": 1}, timeout_s=timeout_s),
    "delete": lambda store, timeout_s: store.delete("a/1", timeout_s=timeout_s),
    "increment": lambda store, timeout_s: store.increment("a/1", {"n": 1}, timeout_s=timeout_s),
    "commit": lambda store, timeout_s: store.commit([Create("a/1", {})], timeout_s=timeout_s),
    "query": lambda store, timeout_s: store.query("a", timeout_s=timeout_s),
    "nearest": lambda store, timeout_s: store.nearest("a", "v", Vector((1.0,)), where={}, timeout_s=timeout_s),
    "ping": lambda store, timeout_s: store.ping(timeout_s=timeout_s),
}


@contextlib.contextmanager
def store_at(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
    with contextlib.closing(open_store(URL)) as store:
        yield store


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("method", METHODS)
def test_a_silent_server_costs_no_more_than_the_timeout(
    method: str, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method gives up when it was told to, although Google's client by itself would wait for minutes."""
    with store_at(black_hole, monkeypatch) as store:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"allowed 0\.4 s|within 0\.4 s"):
            METHODS[method](store, 0.4)
        assert time.monotonic() - began < 0.4 + SLACK_S


@pytest.mark.parametrize("method", METHODS)
def test_a_closed_port_is_reported_soon(method: str, closed_port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: the answer comes long before the timeout."""
    with store_at(closed_port, monkeypatch) as store:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="check the network"):
            METHODS[method](store, 20.0)
        assert time.monotonic() - began < 5.0


def test_slow_credentials_do_not_hold_up_the_caller(
    black_hole: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A metadata server that does not answer costs each call its timeout, not the ten seconds of looking for it."""
    without_credentials(monkeypatch, tmp_path)
    monkeypatch.setenv("GCE_METADATA_HOST", black_hole)
    monkeypatch.setenv("GCE_METADATA_IP", black_hole)
    with contextlib.closing(open_store(URL)) as store:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="gcloud auth application-default login"):
                store.get("a/1", timeout_s=0.3)
            assert time.monotonic() - began < 0.3 + SLACK_S


def test_missing_credentials_are_explained_and_looked_for_again(
    emulator: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error says how to log in; once that is mended the same store works."""
    without_credentials(monkeypatch, tmp_path)
    with contextlib.closing(open_store(URL)) as store:
        with pytest.raises(StoreUnavailable, match="gcloud auth application-default login"):
            store.get("a/1", timeout_s=10)
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator)
        store.ping(timeout_s=10)


def test_in_production_it_talks_to_google_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without an emulator it connects to firestore.googleapis.com: here through a proxy that lets nothing out."""
    without_credentials(monkeypatch, tmp_path)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account_file(tmp_path)))
    with socket.create_server(("127.0.0.1", 0)) as proxy, contextlib.closing(open_store(URL)) as store:
        monkeypatch.setenv("grpc_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with futures.ThreadPoolExecutor(1) as threads:
            asked = threads.submit(lambda: store.get("a/1", timeout_s=3))
            proxy.settimeout(10)
            with proxy.accept()[0] as connection:
                assert connection.recv(1000).startswith(b"CONNECT firestore.googleapis.com:443 ")
            with pytest.raises(StoreUnavailable):
                asked.result(10)


def service_account_file(folder: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {"type": "service_account", "project_id": "acme", "private_key_id": "1", "private_key": pem,
               "client_email": "g@acme.iam.gserviceaccount.com", "token_uri": "http://127.0.0.1:9/token"}  # fmt: skip
    path = folder / "key.json"
    path.write_text(json.dumps(account))
    return path


def test_closing_ends_the_calls_under_way(black_hole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At shutdown nobody waits for an answer that no longer matters."""
    with store_at(black_hole, monkeypatch) as store, futures.ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(lambda: store.get("a/1", timeout_s=60)) for _ in range(4)]
        time.sleep(0.3)
        store.close()
        for one in asked:
            with pytest.raises(StoreUnavailable):
                one.result(5)


@pytest.mark.full
def test_a_server_that_comes_back_is_found_within_seconds(monkeypatch: pytest.MonkeyPatch, closed_port: str) -> None:
    """After a long outage too, although gRPC by itself would wait for up to two minutes."""
    with store_at(closed_port, monkeypatch) as store:
        gone_until = time.monotonic() + 20
        while time.monotonic() < gone_until:
            with pytest.raises(StoreUnavailable):
                store.query("a", timeout_s=1)
            time.sleep(0.2)
        with serving(ScriptedFirestore(), closed_port):
            back_at = time.monotonic()
            while True:
                with contextlib.suppress(StoreUnavailable):
                    store.query("a", timeout_s=1)
                    break
        assert time.monotonic() - back_at < 4


def without_credentials(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name in ("FIRESTORE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(home))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def test_a_dash_takes_the_project_of_the_environment(emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """firestore://-/DATABASE is the same database as with the project spelt out."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "demo-dash")
    with contextlib.closing(open_store("firestore://-/(default)")) as store:
        store.delete("a/1", timeout_s=10)
        store.create("a/1", {"n": 1})
    for url, there in (("firestore://demo-dash/(default)", True), ("firestore://demo-dash/other", False)):
        with contextlib.closing(open_store(url)) as store:
            assert (store.get("a/1", timeout_s=10) is not None) is there


def test_a_forked_worker_gets_a_client_of_its_own(firestore_url: str) -> None:
    """Used before a fork, in both after it: the parent's connections do not hang the child."""
    script = """
import os, sys
from gateway.store import open_store
store = open_store(sys.argv[1])
store.create("a/parent", {}, timeout_s=10)
children = []
for n in range(3):
    child = os.fork()
    if child == 0:
        store.increment("a/children", {"n": 1}, timeout_s=10)
        os._exit(0)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children], store.get("a/children").data)
"""
    command = [sys.executable, "-c", script, firestore_url]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout == "[0, 0, 0] {'n': 3}\n", run.stderr


# ---- a server that answers as it is told


@dataclass
class ScriptedFirestore(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Fails each call with the next status of its script, then answers; remembers what was called."""

    script: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = call.method.rpartition("/")[2]
        if method == "Commit":
            return grpc.unary_unary_rpc_method_handler(self._answer(method, commit_answer))
        return grpc.unary_stream_rpc_method_handler(self._answer(method, lambda request: iter(())))

    def _answer(self, method: str, answer: Callable[[bytes], Any]) -> Callable[[bytes, grpc.ServicerContext], Any]:
        def handle(request: bytes, context: grpc.ServicerContext) -> Any:
            self.calls.append(method)
            self.requests.append(request)
            if self.script:
                context.abort(*self.script.pop(0))
            return answer(request)

        return handle


def commit_answer(request: bytes) -> bytes:
    writes = types.CommitRequest.deserialize(request).writes
    values = [types.Value(integer_value=1)]
    results = [types.WriteResult(update_time="2026-11-20T00:00:00Z", transform_results=values) for _ in writes]
    return bytes(types.CommitResponse.serialize(types.CommitResponse(write_results=results)))


Scripted = tuple[ScriptedFirestore, str]


@contextlib.contextmanager
def serving(handler: ScriptedFirestore, address: str) -> Iterator[int]:
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[handler])
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait(5)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    handler = ScriptedFirestore()
    with serving(handler, "127.0.0.1:0") as port:
        yield handler, f"127.0.0.1:{port}"


UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "connection reset")
ABORTED = (grpc.StatusCode.ABORTED, "too much contention")


def test_a_read_survives_a_connection_that_died_while_idle(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usual on Cloud Run between two requests: a query asks once more."""
    server, address = scripted
    server.script = [UNAVAILABLE]
    with store_at(address, monkeypatch) as store:
        assert store.query("a", timeout_s=20).documents == []
    assert server.calls == ["RunQuery", "RunQuery"]


def test_an_increment_of_unknown_fate_is_not_repeated(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been counted before the connection broke: sending it again could count it twice."""
    server, address = scripted
    server.script = [UNAVAILABLE]
    with store_at(address, monkeypatch) as store, pytest.raises(StoreUnavailable, match="connection reset"):
        store.increment("a/1", {"n": 1}, timeout_s=20)
    assert server.calls == ["Commit"]


def test_a_write_that_lost_against_another_is_sent_again(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aborted means that nothing was written; after three losses the caller is told."""
    server, address = scripted
    server.script = [ABORTED]
    with store_at(address, monkeypatch) as store:
        assert store.increment("a/1", {"n": 1}, timeout_s=20) == {"n": 1}
        server.script = [ABORTED] * 9
        with pytest.raises(StoreUnavailable, match="too much contention"):
            store.increment("a/1", {"n": 1}, timeout_s=20)
    assert server.calls == ["Commit"] * 5


CREATE, BLIND, CHECKED = Create("a/1", {}), Update("a/1", {"n": 1}), Update("a/1", {"n": 1}, "1.000000002")


@pytest.mark.parametrize(
    ("code", "writes", "error", "advice"),
    [
        ("ALREADY_EXISTS", [CREATE], AlreadyExists, "another id"),
        ("NOT_FOUND", [BLIND], Missing, "create the document first"),
        ("NOT_FOUND", [CREATE], StoreUnavailable, "gcloud firestore databases create"),
        ("FAILED_PRECONDITION", [CREATE, CHECKED], Conflict, "read the document again"),
        ("FAILED_PRECONDITION", [CREATE], StoreError, "said by the server"),
        ("INVALID_ARGUMENT", [CREATE], ValueError, "said by the server"),
        ("PERMISSION_DENIED", [CREATE], StoreUnavailable, "roles/datastore.user"),
        ("UNAUTHENTICATED", [CREATE], StoreUnavailable, "gcloud auth"),
        ("RESOURCE_EXHAUSTED", [CREATE], StoreUnavailable, "quota"),
        ("INTERNAL", [CREATE], StoreUnavailable, "try again"),
        ("UNKNOWN", [CREATE], StoreUnavailable, "try again"),
        ("DATA_LOSS", [CREATE], StoreUnavailable, "try again"),
        ("CANCELLED", [CREATE], StoreUnavailable, "try again"),
    ],
)
def test_each_error_of_a_commit_has_its_meaning(
    code: str, writes: Any, error: type, advice: str, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of ours, never one of Google's, and with what to do next."""
    server, address = scripted
    server.script = [(grpc.StatusCode[code], "said by the server")]
    with store_at(address, monkeypatch) as store, pytest.raises(error, match=advice) as raised:
        store.commit(writes, timeout_s=20)
    assert raised.type is error


def test_a_query_without_its_index_names_what_to_deploy(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator never asks for an index, production does: the first error must show the way."""
    server, address = scripted
    server.script = [(grpc.StatusCode.FAILED_PRECONDITION, "The query requires an index.")]
    with store_at(address, monkeypatch) as store, pytest.raises(StoreError, match="deploy infra/firestore"):
        store.query("a", order_by="at", where=[("key", "==", 1)])


def test_a_search_asks_for_the_cosine_within_its_filter(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter's fields and the vector are those of an index in infra/firestore.indexes.json; the threshold is a distance."""
    server, address = scripted
    with store_at(address, monkeypatch) as store:
        vector = Vector((0.6, 0.8))
        assert store.nearest("p/1/turns", "vector", vector, where={"scope": "x"}, similarity_min=0.9, timeout_s=20) == []
    query = types.RunQueryRequest.deserialize(server.requests[-1]).structured_query
    assert query.where.field_filter.field.field_path == "scope"
    assert query.where.field_filter.op == types.StructuredQuery.FieldFilter.Operator.EQUAL
    search = query.find_nearest
    assert search.vector_field.field_path == "vector"
    assert search.distance_measure == types.StructuredQuery.FindNearest.DistanceMeasure.COSINE
    assert search.distance_threshold == pytest.approx(0.1, abs=1e-5) and search.limit == 10
    assert [one.double_value for one in search.query_vector.map_value.fields["value"].array_value.values] == [0.6, 0.8]


def test_a_search_without_its_index_names_what_to_deploy(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator never asks for one, production does."""
    server, address = scripted
    server.script = [(grpc.StatusCode.FAILED_PRECONDITION, "Missing vector index configuration.")]
    with store_at(address, monkeypatch) as store, pytest.raises(StoreError, match="deploy infra/firestore"):
        store.nearest("a", "v", Vector((1.0,)), where={})
