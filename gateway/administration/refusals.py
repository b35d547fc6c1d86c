"""How a use case says no."""

from collections.abc import Iterable
from typing import Literal

Code = Literal["not_found", "already_exists", "invalid", "conflict"]


class AdminError(Exception):
    """What was refused, why, and what to do next. A REST door maps `code` to 404, 409, 400, 409."""

    def __init__(self, message: str, code: Code) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def invalid(faults: Iterable[str]) -> AdminError:
    """All faults of an input in one refusal."""
    return AdminError("; ".join(faults), "invalid")
