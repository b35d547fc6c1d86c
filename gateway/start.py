"""From an environment to a running house, and what a newcomer is shown: used by every way of starting the gateway."""

import importlib
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.app import House, build_house
from gateway.records.log import LineLog
from gateway.settings import Settings, read

if TYPE_CHECKING:
    from gateway.sandbox import Sandbox

LOADED_LATE = {"sandbox": "gateway.sandbox"}  # a production start does not pay for it
SANDBOX_MARK = {"x-gateway-sandbox": "true"}


@dataclass(frozen=True, slots=True)
class Running:
    """A house, and the sandbox beside it if there is one."""

    house: House
    sandbox: "Sandbox | None"

    def close(self) -> None:
        self.house.close()
        if self.sandbox is not None:
            self.sandbox.stop()


def run_house(environment: Mapping[str, str]) -> Running:
    """Builds the house and warms it behind the callers' backs. SettingsFault if the environment is wrong.

    Call it in the process that serves, after any fork: connections and threads begin here.
    """
    settings = read(environment)
    sandbox = start_sandbox(settings) if settings.sandbox else None
    house = build_house(
        with_sandbox(settings, sandbox) if sandbox else settings,
        lines=LineLog(for_people=sys.stdout.isatty()),
        marks=SANDBOX_MARK if sandbox else None,
    )
    threading.Thread(target=house.warm, name="warm", daemon=True).start()
    return Running(house, sandbox)


def start_sandbox(settings: Settings) -> "Sandbox":
    """The simulated Google on a free loopback port. Its key stays beside the store, so that a second start is quick."""
    room: Any = importlib.import_module(LOADED_LATE["sandbox"])
    sandbox: Sandbox = room.Sandbox(key_path=state_folder(settings) / "sandbox-key.json", pace_s=0.02)
    return sandbox.start()


def with_sandbox(settings: Settings, sandbox: "Sandbox") -> Settings:
    return replace(
        settings,
        vertex_service_account_json=sandbox.service_account_json,
        vertex_base_url=sandbox.url,
        google_token_uri=sandbox.token_uri,
    )


def state_folder(settings: Settings) -> Path:
    """Where a laptop's files are kept: beside the SQLite store."""
    if settings.store.startswith("sqlite:///"):
        return Path(settings.store.removeprefix("sqlite:///")).parent
    return Path(".gateway")
