"""Counting tokens: at the first of a plan's targets whose location offers it, and there first the next time."""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.canonical.call import AttemptRecord, Call, Plan, Target
from gateway.canonical.errors import GatewayError, UpstreamRefused
from gateway.canonical.steps import Steps
from gateway.providers.send import Attempt

NO_COUNTING_STATUSES = (400, 404, 501)


class Send(Protocol):
    """Asks one target: the answer under way, or GatewayError."""

    def __call__(self, call: Call, target: Target, tries: list[AttemptRecord]) -> Steps[Attempt]: ...


@dataclass(slots=True)
class Counting:
    """Remembers where it went well."""

    _counts_at: dict[tuple[str, str, str], Target] = field(default_factory=dict)

    def first_success(self, send: Send, call: Call, plan: Plan, tries: list[AttemptRecord]) -> Steps[Attempt]:
        """Goes on to the next location where one does not offer it; the first refusal is what the caller sees if all
        refuse."""
        first: GatewayError | None = None
        try:
            for target in self._order(plan):
                try:
                    attempt = yield from send(call, target, tries)
                    self._counts_at[_place(plan.targets[0])] = target
                    return attempt
                except GatewayError as error:
                    if not offers_no_counting(error):
                        raise
                    first = first or error
            assert first is not None, "a plan has at least one target"
            raise first
        finally:
            del first  # its traceback knows this frame: a circle that only the garbage collector would end

    def _order(self, plan: Plan) -> list[Target]:
        """The location that counted last time first."""
        last = self._counts_at.get(_place(plan.targets[0]))
        return sorted(plan.targets, key=lambda target: target != last)


def offers_no_counting(error: GatewayError) -> bool:
    """The location has no token counting for this model, as opposed to a fault in the request: that is told in the
    caller's own wire format by whoever does count."""
    return error.status in NO_COUNTING_STATUSES and not (isinstance(error, UpstreamRefused) and error.wire)


def _place(target: Target) -> tuple[str, str, str]:
    return target.provider.id, target.location, target.model
