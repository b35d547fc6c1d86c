"""Two targets, of which one at a time fails in every way there is: callers hardly notice."""

import random
import threading
from pathlib import Path

import pytest
from routing_house import routed

from gateway.sandbox.faults import Fault

CALLS, WORKERS = 1_200, 6
CONFIG = {
    "strategy": {"mode": "fallback"},
    "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}],
    "retry": {"attempts": 1, "max_wait_ms": 50},
    "request_timeout": 1_500,
}


def mishap(draw: random.Random) -> Fault:
    """A status, a cut, silence, or something that is no answer; all of them before the first word."""
    return draw.choice([
        Fault(status=429), Fault(status=500), Fault(status=503), Fault(status=529), Fault(drop=True), Fault(body="html"),
        Fault(body="malformed"), Fault(body="empty"), Fault(stream_error="overloaded_error", at=1), Fault(cut="rst", at=1),
        Fault(cut="clean", at=0), Fault(wait_s=2.0),
    ])  # fmt: skip


@pytest.mark.full
def test_calls_succeed_while_one_target_is_well(tmp_path: Path, key_path: Path) -> None:
    """999 of 1,000, plain and streamed; and every call has its record."""
    draw = random.Random(7)
    with routed(tmp_path, key_path) as router:
        key = router.key(router.put("chaos", CONFIG))
        failed: list[str] = []
        lock = threading.Lock()

        def work(worker: int) -> None:
            for number in range(CALLS // WORKERS):
                with lock:
                    if draw.random() < 0.3:
                        router.script("inference", mishap(draw))
                body = {"model": "claude-sonnet-4-6", "max_tokens": 20, "stream": number % 2 == 0,
                        "messages": [{"role": "user", "content": f"{worker}/{number}"}]}  # fmt: skip
                answer = router.gateway.post("/v1/messages", body, key=key)
                whole = "message_stop" in answer.text if body["stream"] else '"type":"message"' in answer.text
                if answer.status_code != 200 or not whole:
                    with lock:
                        failed.append(f"{answer.status_code} {answer.text[-200:]}")

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)
        assert len(failed) <= CALLS / 1_000, failed[:5]
        router.gateway.house.records.flush(5.0)
        written = len(router.gateway.store.query("projects/demo/usage", limit=1_000).documents)
        assert written == min(CALLS, 1_000)
