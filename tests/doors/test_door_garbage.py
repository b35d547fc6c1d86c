"""What a call leaves behind: nothing that only the garbage collector would find."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from house import Served, message, served
from ledger_doubles import put_budget

from gateway.sandbox import Fault


@pytest.fixture
def on_the_loop(tmp_path: Path) -> Iterator[Served]:
    """As `python -m gateway serve` does it: Werkzeug's server, of the other way, leaves something of its own."""
    with served(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def unfreed() -> Iterator[list[object]]:
    """Objects that were out of use and yet not freed, once `gc.collect` has looked for them."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize(
    ("more", "fault"),
    [({}, None), ({"stream": True}, None), ({}, Fault(status=529, times=3))],
    ids=["plain", "streamed", "refused by the provider"],
)
def test_a_call_is_freed_as_it_ends(
    on_the_loop: Served, unfreed: list[object], more: dict[str, bool], fault: Fault | None
) -> None:
    """It is gone from memory then, not some time later, and nobody has to stop and look for it."""
    if fault is not None:
        on_the_loop.sandbox.script(fault)
    answers = [on_the_loop.post("/v1/messages", message("Hello", **more)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [fault.status if fault else 200] * 3
    assert not left_of(answers, unfreed)


@pytest.mark.parametrize("mode", ["balanced", "strict"])
@pytest.mark.parametrize(("amount", "status"), [("10.00", 200), ("0", 429)], ids=["admitted", "refused"])
def test_a_call_that_a_budget_counts_is_freed_too(
    on_the_loop: Served, unfreed: list[object], mode: str, amount: str, status: int
) -> None:
    """What it set aside leads to it, and must not lead back."""
    put_budget(on_the_loop.store, mode=mode, amount=amount)
    answers = [on_the_loop.post("/v1/messages", message("Hello")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status] * 3
    assert not left_of(answers, unfreed)


def test_a_call_that_went_another_way_is_freed_too(on_the_loop: Served, unfreed: list[object]) -> None:
    """Tokens counted where the first location does not offer it, and a config whose first location has no such model."""
    here, elsewhere = {"provider": "@vertex", "locations": ["us-east5"]}, {"provider": "@vertex"}
    config = {"strategy": {"mode": "fallback"}, "targets": [here, elsewhere]}
    counting = {name: value for name, value in message("Hello").items() if name != "max_tokens"}
    answers = [on_the_loop.post("/v1/messages/count_tokens", counting) for _ in range(3)]
    answers += [
        on_the_loop.post("/v1/messages", message("Hello"), headers={"x-gateway-config": json.dumps(config)}) for _ in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert not left_of(answers, unfreed)


def test_a_call_that_found_no_way_is_freed_too(on_the_loop: Served, unfreed: list[object]) -> None:
    """A config whose only location has no such model, and tokens that no location counts."""
    config = {"provider": "@vertex", "locations": ["us-east5"]}
    on_the_loop.sandbox.script(*[Fault(status=404)] * 12, on="count_tokens")
    counting = {name: value for name, value in message("Hello").items() if name != "max_tokens"}
    answers = [on_the_loop.post("/v1/messages/count_tokens", counting) for _ in range(3)]
    assert all(answer.headers["x-gateway-estimated"] == "input_tokens" for answer in answers)
    headers = {"x-gateway-config": json.dumps(config)}
    answers += [on_the_loop.post("/v1/messages", message("Hello", model="claude-3-haiku"), headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers[3:]] == [404] * 3
    assert not left_of(answers, unfreed)


def left_of(answers: list[requests.Response], unfreed: list[object]) -> list[str]:
    """What of these calls was out of use and yet still there."""
    names = ("x-gateway-request-id", "x-upstream-request-id")
    ids = [answer.headers[name] for answer in answers for name in names if name in answer.headers]
    gc.collect()
    told = [repr(each) for each in unfreed if type(each).__module__.startswith("gateway.")]
    return [each for each in told if any(name in each for name in ids)]
