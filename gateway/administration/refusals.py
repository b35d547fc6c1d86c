"""How a use case says no."""

import re
from collections.abc import Iterable
from typing import Literal

Code = Literal["not_found", "already_exists", "invalid", "conflict"]
FIELD = re.compile(r"'?([A-Za-z_][\w.-]{0,63})'?(?=: | is no (?:field|parameter))")


class AdminError(Exception):
    """What was refused, why, and what to do next. A REST door maps `code` to 404, 409, 400, 409."""

    def __init__(self, message: str, code: Code) -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    @property
    def path(self) -> str | None:
        """The field at fault, the first if there are several: refusals of fields begin with its name."""
        found = FIELD.match(self.message)
        return found[1] if found else None


def invalid(faults: Iterable[str]) -> AdminError:
    """All faults of an input in one refusal."""
    return AdminError("; ".join(faults), "invalid")
