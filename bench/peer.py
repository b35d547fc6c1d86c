"""What a peer is to the bench: a command on a port, what to send it, and a clear word when it cannot join."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.targets import Site

INSTALL_TIMEOUT_S = 900


class PeerMissing(Exception):
    """This peer cannot join; says why, and what would let it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A peer ready to start on its port. `sign_in` gives header lines once it serves, where none can be known before."""

    version: str
    command: Sequence[str]
    environment: Mapping[str, str]
    credential: tuple[str, ...] = ()
    sign_in: Callable[[], tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """One row. `prepare` installs if need be, writes the peer's configuration for a port, and starts what it stands on, to be
    stopped with the stack; PeerMissing if it cannot. `streams_max` keeps a slow peer from taking minutes."""

    name: str
    prepare: Callable[[Site, int, ExitStack], Prepared]
    streams_max: int
    note: str
    ready_timeout_s: float = 120.0


def install(command: Sequence[str], what: str) -> None:
    """Runs an installer. PeerMissing with its last words if it fails."""
    print(f"installing {what}: {' '.join(command)}", file=sys.stderr)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(f"{what} could not be installed: {error}") from error
    if done.returncode != 0:
        raise PeerMissing(f"{what} could not be installed: {done.stderr[-500:]}")
