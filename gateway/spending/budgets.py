"""Where a call asks for its money before it goes out, and says afterwards what it cost."""

from collections.abc import Callable
from typing import Protocol

from gateway.canonical.call import Call, Plan
from gateway.canonical.store import Json, Write


class Hold(Protocol):
    """Money set aside for one call. Ends once: settled with what it cost, or released unused."""

    def settle(self, cost_nanodollars: int) -> list[Write]:
        """The writes to commit together with the usage document."""

    def release(self) -> None: ...

    def render(self) -> list[Json]:
        """What the usage document says of it."""


Reserve = Callable[[Call, Plan], Hold]
"""Raises GatewayError (429) if a budget is exhausted."""


class Unlimited:
    """The hold of a deployment without budgets."""

    def settle(self, cost_nanodollars: int) -> list[Write]:
        return []

    def release(self) -> None:
        return None

    def render(self) -> list[Json]:
        return []


def reserve_unlimited(call: Call, plan: Plan) -> Hold:
    return Unlimited()
