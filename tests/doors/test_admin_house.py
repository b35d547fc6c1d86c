"""The admin door as a house has it: by its settings, and with its rooms listening."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admin_desk import ADMIN_KEY, Told, told

from gateway.app import House, build_house
from gateway.canonical.errors import Unauthenticated
from gateway.canonical.steps import run_blocking
from gateway.doors.http import HttpRequest
from gateway.settings import read


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    settings = read({
        "GATEWAY_STORE": f"sqlite:///{tmp_path}/gateway.db", "GATEWAY_ADMIN_KEY": ADMIN_KEY, "VERTEX_PROJECT_ID": "claude-prod",
    })  # fmt: skip
    built = build_house(settings, marks={"x-gateway-sandbox": "true"})
    yield built
    built.close()


def ask(house: House, method: str, path: str, body: Any = None) -> Told:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    sent = b"" if body is None else json.dumps(body).encode()
    return told(house.admin.handle(HttpRequest(method, f"/admin/v1{path}", headers, {}, lambda limit_bytes: sent)))


def test_a_revocation_holds_here_at_once(house: House) -> None:
    """Elsewhere within a minute (GATEWAY_KEY_REFRESH_S)."""
    ask(house, "POST", "/projects", {"id": "acme"})
    key = ask(house, "POST", "/keys", {"project": "acme", "user": "Ana@example.com"}).body
    headers = {"authorization": f"Bearer {key['key']}"}
    assert run_blocking(house.callers.identify(headers)).user == "ana@example.com"
    ask(house, "POST", f"/keys/{key['id']}/revoke")
    with pytest.raises(Unauthenticated):
        run_blocking(house.callers.identify(headers))


def test_a_new_provider_is_used_here_at_once(house: House) -> None:
    """Beside the environment's."""
    assert list(house.directory.all()) == ["vertex"]
    made = ask(house, "POST", "/providers", {"id": "vertex-eu", "kind": "vertex", "credential": "adc", "locations": ["eu"]})
    assert made.status == 201 and made.headers["x-gateway-sandbox"] == "true"
    assert list(house.directory.all()) == ["vertex", "vertex-eu"]
    assert [one["id"] for one in ask(house, "GET", "/providers").body["data"]] == ["vertex", "vertex-eu"]
