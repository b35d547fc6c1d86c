"""The daily sums of a running gateway: they are those of its usage documents, after a clean run to the last call."""

import time
from pathlib import Path

import pytest
from house import served

from gateway.administration.reconcile import reconcile_rollups


@pytest.mark.parametrize("server", ["asgi", "wsgi"])
def test_nothing_differs_after_a_clean_run(tmp_path: Path, server: str) -> None:
    """Plain calls, streams and refused ones, of two keys; the last sums are written when the gateway shuts down."""
    with served(tmp_path, server=server) as gateway:
        other = gateway.add_key(user="bo@example.com")
        for number in range(4):
            assert gateway.ask(f"Hello {number}").ok
            gateway.ask("Hello", stream=True).close()
            assert gateway.post("/v1/messages", {"model": "claude-sonnet-4-6", "messages": []}, key=other).status_code == 400
        gateway.house.answering.drain(3)
        answer = reconcile_rollups(gateway.store, {}, time.time)
        assert answer["data"] == []
        assert answer["totals"]["requests"] == answer["totals"]["rolled_requests"] == len(gateway.records()) == 12
        assert answer["totals"]["cost_nanodollars"] == sum(record["cost_nanodollars"] for record in gateway.records()) > 0
