"""Anthropic's `claude gateway` as a peer: it is part of the Claude Code binary, and stands on PostgreSQL and a sign-in.

Its configuration and its sign-in are as documented at code.claude.com/docs/en/claude-apps-gateway-config and
…-spend-limits, read 2026-11-21, and tried with 2.1.329.
"""

import json
import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests

from bench.identity import CLIENT_ID, CLIENT_SECRET, provider_running
from bench.peer import PeerMissing, Prepared
from bench.postgres import PostgresMissing, postgres_running
from bench.targets import Site

SESSION_HOURS = 12
PERIODS = ("daily", "weekly", "monthly")
CAP_CENTS = "100000000"  # a million dollars: limits are checked and charged, and refuse nobody
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
ASK_TIMEOUT_S = 10.0


def prepare_claude(site: Site, port: int, stack: ExitStack) -> Prepared:
    """Spend limits on for each of its three periods; Vertex AI as its upstream, with an access token that needs no renewal."""
    binary = find_binary()
    try:
        database = stack.enter_context(postgres_running(site.cores.store))
    except PostgresMissing as missing:
        raise PeerMissing(f"`claude gateway` keeps its state in PostgreSQL: {missing}") from missing
    issuer = stack.enter_context(provider_running())
    admin_key = secrets.token_hex(32)
    config = site.folder / "claude-gateway.json"  # JSON is YAML
    config.touch(0o600)
    config.write_text(json.dumps(configuration(site, port, database, issuer, admin_key)))
    environment = {
        "CLAUDE_CONFIG_DIR": str(site.folder / "claude"),
        "CLAUDE_GATEWAY_ALLOW_LOOPBACK": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    command = [str(binary), "gateway", "--config", str(config)]
    return Prepared(version_in(binary), command, environment, sign_in=lambda: sign_in(port, admin_key))


def find_binary() -> Path:
    root = Path(os.environ.get("TOLLGATE_CLIENTS") or Path.home() / ".cache" / "tollgate-clients")
    found = sorted(root.glob("claude-code-*/claude"))
    if not found:
        raise PeerMissing("`claude gateway` is part of the Claude Code binary: run `make clients`")
    return found[-1]


def version_in(binary: Path) -> str:
    return binary.parent.name.removeprefix("claude-code-")


def configuration(site: Site, port: int, database: str, issuer: str, admin_key: str) -> dict[str, Any]:
    upstream = {
        "provider": "vertex",
        "region": "global",
        "project_id": "bench",
        "base_url": f"http://127.0.0.1:{site.upstream}/v1",
        "auth": {"access_token": "ya29.bench"},
    }
    return {
        "listen": {"host": "127.0.0.1", "port": port, "public_url": f"http://127.0.0.1:{port}"},
        "oidc": {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
        "session": {"jwt_secret": secrets.token_hex(32), "ttl_hours": SESSION_HOURS},
        "store": {"postgres_url": database},
        "upstreams": [upstream],
        "admin": {"write_keys": [{"id": "bench", "key": admin_key}]},
    }


def sign_in(port: int, admin_key: str) -> tuple[str, ...]:
    """Sets the spend limits, then signs in with the device grant as Claude Code does, browser included: the header lines."""
    url = f"http://127.0.0.1:{port}"
    with requests.Session() as session:
        session.trust_env = False
        for period in PERIODS:
            limit = {"scope": {"type": "organization"}, "amount": CAP_CENTS, "period": period}
            ask(session, f"{url}/v1/organizations/spend_limits", json=limit, headers={"x-api-key": admin_key})
        grant = ask(session, f"{url}/oauth/device_authorization", data={"client_id": "claude_code"}).json()
        browser = {"origin": url, "sec-fetch-site": "same-origin"}
        ask(session, f"{url}/device", data={"user_code": grant["user_code"]}, headers=browser)
        form = {"grant_type": DEVICE_GRANT, "device_code": grant["device_code"], "client_id": "claude_code"}
        token = ask(session, f"{url}/oauth/token", data=form).json()
    return (f"authorization: Bearer {token['access_token']}",)


def ask(session: requests.Session, url: str, **what: Any) -> requests.Response:
    """One step; PeerMissing that names it if it is refused. Redirects are followed, as a browser does."""
    answer = session.post(url, timeout=ASK_TIMEOUT_S, **what)
    if answer.status_code != 200:
        path = url.partition("://")[2].partition("/")[2]
        raise PeerMissing(f"`claude gateway` answered /{path} with {answer.status_code}: {answer.text[:200]}")
    return answer
