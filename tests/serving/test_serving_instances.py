"""Several instances of one deployment: they share token, keys and records, and nothing else."""

import json
import re
import threading
import time
from pathlib import Path

import pytest
from house import key_writes
from processes import Gateway, environment, run, running
from wire import Answer, eventually

from gateway.callers.keys import new_key
from gateway.canonical.store import Json, Store
from gateway.sandbox import Sandbox
from gateway.store import open_store

INSTANCES = 3


@pytest.mark.parametrize("kind", ["firestore", "sqlite"])
def test_instances_share_one_token_and_leave_all_their_records(
    request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    """Started together, asked together: the token endpoint gives one token, and every call is on record once."""
    store_url = request.getfixturevalue("firestore_url") if kind == "firestore" else f"sqlite:///{tmp_path}/shared.db"
    store = open_store(store_url)
    key = new_key()
    store.commit(key_writes(key), timeout_s=20)
    with running(tmp_path, environment(sandbox, store_url), key, count=INSTANCES) as gateways:
        answers: list[Answer] = []
        threads = [threading.Thread(target=ask_into, args=(gateway, answers)) for gateway in gateways for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200] * 4 * INSTANCES
        assert sandbox.mints == 1
        found = eventually(lambda: documents if len(documents := records(store)) == len(answers) else None, within_s=10)
    assert {record["request_id"] for record in found} == {answer.request_id for answer in answers}
    store.close()


def ask_into(gateway: Gateway, answers: list[Answer]) -> None:
    answers.append(gateway.ask())


def records(store: Store) -> list[Json]:
    return [document.data for document in store.query("projects/demo/usage").documents]


def test_several_may_start_at_once_on_a_fresh_store(sandbox: Sandbox, store_url: str, tmp_path: Path) -> None:
    """Each wants to make the newcomer's project and key; whoever comes second uses what is there."""
    with running(tmp_path, environment(sandbox, store_url), "", count=INSTANCES) as gateways:
        shown = [re.search(r"gw-[\w-]{43}", gateway.output.read_text()) for gateway in gateways]
        assert [gateway.ask(key=found and found[0]).status for gateway, found in zip(gateways, shown, strict=True)] == [
            200
        ] * INSTANCES


def test_a_key_that_is_revoked_elsewhere_stops_working_everywhere(
    sandbox: Sandbox, store_url: str, store: Store, tmp_path: Path
) -> None:
    """Made, shown to work on two instances, revoked by a command in a third process: within GATEWAY_KEY_REFRESH_S (1 s here)."""
    variables = environment(sandbox, store_url, GATEWAY_KEY_REFRESH_S="1")
    run(variables, "project", "create", "acme")
    made = json.loads(run(variables, "key", "create", "--project", "acme", "--format", "json"))
    with running(tmp_path, variables, made["key"], count=2) as gateways:
        assert [gateway.ask().status for gateway in gateways] == [200, 200]
        run(variables, "key", "revoke", made["id"])
        revoked_at = time.monotonic()
        for gateway in gateways:
            eventually(lambda asked=gateway: asked.ask().status == 401, within_s=4)  # type: ignore[misc]
        assert time.monotonic() - revoked_at < 4
