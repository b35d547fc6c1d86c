"""From a plan to an answer: one target for a model call, several for counting."""

from collections.abc import Generator
from typing import Any

import pytest

from gateway.canonical.call import AttemptRecord, Call, Caller, Operation, Plan, Request, Target
from gateway.canonical.errors import GatewayError, NotFound, UpstreamFailed, UpstreamRefused
from gateway.canonical.json_object import JsonObject
from gateway.providers.provider import Provider
from gateway.routing.attempts import Attempts

PROVIDER = Provider("vertex", "vertex", "adc")
PLAN = Plan(tuple(Target(PROVIDER, "m", "m", place, "anthropic") for place in ("global", "us-east5", "europe-west1")))


class Script:
    """Answers or refuses by location."""

    def __init__(self, **faults: GatewayError) -> None:
        self.faults = {name.replace("_", "-"): fault for name, fault in faults.items()}
        self.asked: list[str] = []

    def __call__(self, call: Call, target: Target, tries: list[AttemptRecord]) -> Generator[None, None, Any]:
        self.asked.append(target.location)
        yield
        if target.location in self.faults:
            raise self.faults[target.location]
        return target.location


def drive(attempts: Attempts, operation: Operation) -> Any:
    request = Request(operation, "m", False, JsonObject(b"{}"))
    steps = attempts.first_success(Call("r", Caller("k", "p"), "anthropic", request, {}, at=0.0, started=0.0), PLAN, [])
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def refused(status: int, words: str = "no") -> UpstreamRefused:
    return UpstreamRefused(words, status=status, kind="x")


def test_a_model_call_has_one_target() -> None:
    """Another location might be another jurisdiction, or a second bill."""
    script = Script(**{"global": refused(404)})
    with pytest.raises(UpstreamRefused):
        drive(Attempts(script), "generate")
    assert script.asked == ["global"]


@pytest.mark.parametrize("status", [400, 404, 501])
def test_counting_goes_on_to_where_it_is_offered_and_remembers_it(status: int) -> None:
    """The next time that place is asked first."""
    script = Script(**{"global": refused(status), "us-east5": refused(status)})
    attempts = Attempts(script)
    assert drive(attempts, "count_tokens") == "europe-west1"
    assert drive(attempts, "count_tokens") == "europe-west1"
    assert script.asked == ["global", "us-east5", "europe-west1", "europe-west1"]


def test_the_first_refusal_is_told_if_all_refuse() -> None:
    """That of the model's own location."""
    script = Script(**{"global": refused(404, "first"), "us-east5": NotFound("second"), "europe-west1": refused(400, "third")})
    with pytest.raises(UpstreamRefused, match="first"):
        drive(Attempts(script), "count_tokens")


@pytest.mark.parametrize("fault", [UpstreamFailed("broken"), refused(429), refused(500)])
def test_counting_does_not_spread_a_fault_of_another_kind(fault: GatewayError) -> None:
    """A quota or an outage is not an operation that is not offered."""
    script = Script(**{"global": fault})
    with pytest.raises(type(fault)):
        drive(Attempts(script), "count_tokens")
    assert script.asked == ["global"]
