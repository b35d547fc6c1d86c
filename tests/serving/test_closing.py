"""The end of a process where everything that is left to do hangs."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app import AFTER_DRAIN_S, build_house
from gateway.settings import read


@dataclass
class Hanging:
    """A room that needs all the time it is given."""

    given_s: list[float] = field(default_factory=list)

    def close(self, timeout_s: float) -> None:
        self.given_s.append(timeout_s)
        time.sleep(timeout_s)


@pytest.mark.parametrize("signalled_before_s", [0.0, 1.0])
def test_what_hangs_after_the_drain_shares_one_deadline(tmp_path: Path, signalled_before_s: float) -> None:
    """Ledger, alerts and telemetry together get no more than what Cloud Run leaves, from the signal on; each is asked."""
    settings = read({"GATEWAY_STORE": f"sqlite:///{tmp_path}/g.db", "GATEWAY_DRAIN_S": "0.2"})
    rooms: list[Any] = [Hanging(), Hanging(), Hanging()]
    house = replace(build_house(settings), ledger=rooms[0], alerts=rooms[1], telemetry=rooms[2])
    if signalled_before_s:
        house.answering.drain(0.2)
        time.sleep(signalled_before_s)
    house.close()
    given = [room.given_s for room in rooms]
    assert all(len(each) == 1 for each in given)
    assert sum(each[0] for each in given) <= AFTER_DRAIN_S - signalled_before_s + 1
