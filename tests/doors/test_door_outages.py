"""The store goes away in the middle of traffic: who is known works on, and nothing that was spent is forgotten."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from house import Served
from switched_store import SwitchedStore
from wire import ask, eventually

from gateway.callers.keys import hash_key
from gateway.canonical.store import Update
from gateway.sandbox import Fault
from gateway.store import open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SwitchedStore]:
    """Back again before the gateway shuts down, which would wait for it."""
    switched = SwitchedStore(open_store(f"sqlite:///{tmp_path}/switched.db"))
    yield switched
    switched.away = False


def ready(gateway: Served) -> tuple[int, dict[str, object]]:
    answer = ask(gateway.url, "GET", "/readyz")
    return answer.status, answer.json()


def test_known_keys_work_on_and_their_records_are_written_later(serve: Callable[..., Served], store: SwitchedStore) -> None:
    """Plain calls and streams are answered through the outage, at their usual pace; then every record is there, once."""
    gateway = serve(store=store, GATEWAY_KEY_REFRESH_S="0.2")
    assert gateway.ask().status_code == 200
    store.away = True
    time.sleep(0.3)  # what is known is due to be read anew
    gateway.ask()  # the first one waits a while for the store
    started = time.monotonic()
    plain = [gateway.ask(f"Call {i}") for i in range(5)]
    running = gateway.stream()
    assert running.rest()[-1].kind == "message_stop"
    assert [answer.status_code for answer in plain] == [200] * 5
    assert time.monotonic() - started < 5.0
    assert ready(gateway)[0] == 503
    store.away = False
    ids = {answer.headers["x-gateway-request-id"] for answer in plain} | {running.request_id}
    eventually(lambda: ids <= {record["request_id"] for record in gateway.records()}, within_s=8)
    assert len(gateway.records()) == 8
    assert ready(gateway)[0] == 200


def test_readiness_says_what_is_the_matter(serve: Callable[..., Served], store: SwitchedStore) -> None:
    """503 while the store is away, with the number of records that wait; liveness is another matter."""
    gateway = serve(store=store)
    assert gateway.ask().status_code == 200
    store.away = True
    assert gateway.ask().status_code == 200
    status, facts = ready(gateway)
    assert status == 503
    assert (facts["status"], facts["records_waiting"], facts["records_lost"]) == ("store unavailable", 1, 0)
    assert ask(gateway.url, "GET", "/livez").status == 200
    store.away = False
    well = {"status": "ready", "store": "ok", "records_waiting": 0, "records_lost": 0, "records_written": 2, "commits": 2}
    eventually(lambda: ready(gateway) == (200, well))


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"])
def test_a_key_that_was_never_seen_gets_503(serve: Callable[..., Served], store: SwitchedStore, path: str) -> None:
    """Neither let in nor told that it is wrong: it may be tried again."""
    gateway = serve(store=store)
    assert gateway.ask().status_code == 200
    new = gateway.add_key()
    store.away = True
    answer = ask(gateway.url, "GET" if path.endswith("models") else "POST", path, body=b"{}", headers={"x-api-key": new})
    assert (answer.status, answer.error["type"], answer.headers["retry-after"]) == (503, "api_error", "2")
    store.away = False
    assert gateway.post("/v1/messages", b"{}", key=new).status_code == 400


def test_a_gateway_that_starts_without_its_store_answers_503_until_it_is_there(
    serve: Callable[..., Served], store: SwitchedStore
) -> None:
    """It starts, says what is the matter, and works as soon as it can."""
    gateway = serve(store=store)
    store.away = True
    assert [gateway.ask().status_code for _ in range(2)] == [503, 503]
    store.away = False
    assert gateway.ask().status_code == 200


def test_tokens_are_minted_locally(serve: Callable[..., Served], store: SwitchedStore) -> None:
    """The shared token cannot be read, so this instance makes its own, once."""
    gateway = serve(store=store)
    assert (
        ask(gateway.url, "GET", "/v1/models", headers={"x-api-key": gateway.key}).status == 200
    )  # the key is known, no token yet
    gateway.house.ledger.directory.warm()
    store.away = True
    assert [gateway.ask().status_code for _ in range(3)] == [200, 200, 200]
    assert gateway.sandbox.mints == 1


def test_a_revocation_holds_after_the_outage(serve: Callable[..., Served], store: SwitchedStore) -> None:
    """What was decided meanwhile takes effect as soon as the store can be read."""
    gateway = serve(store=store, GATEWAY_KEY_REFRESH_S="0.2")
    assert gateway.ask().status_code == 200
    store.away = True
    time.sleep(0.3)
    assert gateway.ask().status_code == 200
    store.away = False
    store.commit([Update(f"keys/{hash_key(gateway.key)}", {"revoked_at": "now"})])
    eventually(lambda: gateway.ask().status_code == 401, within_s=3)


def test_known_keys_are_refused_when_the_outage_lasts_too_long(serve: Callable[..., Served], store: SwitchedStore) -> None:
    """A gateway that cannot check keys for long (0.5 s here) stops to trust its memory."""
    gateway = serve(store=store, GATEWAY_KEY_REFRESH_S="0.1", GATEWAY_KEY_OUTAGE_S="0.5")
    assert gateway.ask().status_code == 200
    store.away = True
    time.sleep(0.6)
    assert gateway.ask().status_code == 503


def test_a_full_buffer_loses_the_oldest_and_says_so(serve: Callable[..., Served], store: SwitchedStore) -> None:
    """Bounded memory; the log line of each call stays."""
    gateway = serve(store=store, GATEWAY_WRITE_BUFFER="3")
    assert gateway.ask().status_code == 200
    store.away = True
    answers = [gateway.ask(f"Call {i}") for i in range(5)]
    facts = ready(gateway)[1]
    assert facts["records_waiting"] == 3
    assert facts["records_lost"] == 2
    store.away = False
    ids = [answer.headers["x-gateway-request-id"] for answer in answers]
    eventually(lambda: set(ids[2:]) <= {record["request_id"] for record in gateway.records()}, within_s=8)
    logged = {line["request_id"] for line in gateway.log_lines() if "cost_nanodollars" in line}
    assert set(ids) <= logged


def test_an_outage_that_ends_the_process_loses_nothing(
    serve: Callable[..., Served], store: SwitchedStore, tmp_path: Path
) -> None:
    """At shutdown the buffer is written if the store comes back within the drain time."""
    gateway = serve(store=store, GATEWAY_DRAIN_S="2")
    assert gateway.ask().status_code == 200
    store.away = True
    answer = gateway.ask("Late")
    store.away = False
    gateway.house.close()
    with_its_own_connection = open_store(f"sqlite:///{tmp_path}/switched.db")
    assert with_its_own_connection.get(f"projects/demo/usage/{answer.headers['x-gateway-request-id']}") is not None
    with_its_own_connection.close()


def test_errors_of_the_provider_are_told_as_ever_in_an_outage(serve: Callable[..., Served], store: SwitchedStore) -> None:
    """Two things may fail at once: the caller hears of the one that concerns them."""
    gateway = serve(store=store)
    assert gateway.ask().status_code == 200
    store.away = True
    gateway.sandbox.script(Fault(status=429), Fault(status=401))
    assert gateway.ask().status_code == 429
    assert gateway.ask().status_code == 200
