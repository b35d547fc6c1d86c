"""What a simulated service is to the sandbox: some paths, answered."""

from typing import Protocol

from gateway.sandbox.faults import FaultQueue
from gateway.sandbox.wire import Connection, Request


class Service(Protocol):
    """`name` is what faults are scripted on."""

    name: str
    faults: FaultQueue

    def answer(self, request: Request, connection: Connection) -> bool:
        """Answers on the connection; False if the path is none of its own. Refusal in the service's own words."""
