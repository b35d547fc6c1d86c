"""A clock that moves when a test says so."""

from dataclasses import dataclass

START = 1_795_000_000.0  # 2026-11-18T11:06:40Z


@dataclass
class Clock:
    """Unix seconds."""

    seconds: float = START

    def __call__(self) -> float:
        return self.seconds
