"""What a run stands on: TLS tunnels, a sign-in, a database, peers; and the aims that are read from its result."""

import base64
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bench.__main__ import parse, write_tables
from bench.aims import AIMS
from bench.identity import CLIENT_ID, provider_running
from bench.idle import slope
from bench.loads import Load
from bench.native import prepare_tools
from bench.peer import PeerMissing
from bench.peers import PEERS, peer_running
from bench.postgres import PostgresMissing, postgres_running
from bench.processes import Cores, tree
from bench.report import render_aims
from bench.seeds import budget_documents
from bench.soak import Soak
from bench.stage import site_running
from bench.targets import Site, ask
from bench.tunnels import TlsMissing, Tunnels, tunnels_running
from gateway.administration.budget_fields import check_amounts

TOO_SMALL = sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2
pytestmark = pytest.mark.skipif(TOO_SMALL, reason="the bench needs Linux and two cores")


@pytest.fixture
def site() -> Any:
    """A fake upstream and nothing else."""
    with ExitStack() as stack:
        yield site_running(prepare_tools(), ("sqlite",), stack, print)


@pytest.fixture
def tunnels(site: Site) -> Any:
    """TLS before the fake upstream, and the way there for a plain client."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(tunnels_running(site.upstream, site.cores.tools, site.folder))
        except TlsMissing as missing:
            pytest.skip(str(missing))


def through(tunnels: Tunnels, site: Site, load: Load, **options: Any) -> dict[str, Any]:
    head, body = load.write(site.folder, (), "test")
    named = {"port": tunnels.client, "head": head, "body": body, **options}
    command = [*site.tools.load, "stream" if load.stream else "json", *(f"{name}={value}" for name, value in named.items())]
    seen: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout)
    return seen


@pytest.mark.parametrize("large", [False, True])
def test_calls_pass_the_tunnels_whole(site: Site, tunnels: Tunnels, large: bool) -> None:
    """Small and large requests and their answers arrive as they were sent, TLS or not."""
    seen = through(tunnels, site, Load(large=large), connections=4, seconds=0.3)
    assert seen["finished"] > 20
    assert sum(seen["errors"].values()) == 0


@pytest.mark.parametrize(("fault", "finished"), [("", 6), ("cut", 0)])
def test_streams_pass_the_tunnels_as_they_are(site: Site, tunnels: Tunnels, fault: str, finished: int) -> None:
    """Every event arrives; a stream that the upstream cut is cut behind the tunnels too."""
    seen = through(tunnels, site, Load(stream=True, events=6, interval_ms=2, fault=fault), connections=6)
    assert (seen["finished"], seen["errors"]["broken"] + seen["errors"]["reset"]) == (finished, 6 - finished)


def test_the_certificate_is_trusted_and_checked(site: Site, tunnels: Tunnels) -> None:
    """Who trusts the run's certificate reaches the upstream; who does not is warned."""
    url = f"https://127.0.0.1:{tunnels.server}/stats"
    trusting = ssl.create_default_context(cafile=str(tunnels.certificate))
    with urllib.request.urlopen(url, timeout=10, context=trusting) as answer:
        assert json.load(answer)["connections"] >= 1
    with pytest.raises(OSError, match="certificate verify failed"):
        urllib.request.urlopen(url, timeout=10, context=ssl.create_default_context())


def test_a_sign_in_gives_a_token_that_its_keys_prove() -> None:
    """The provider says yes to everybody, but signs properly: issuer, audience and nonce are those that were asked for."""
    with provider_running() as issuer:
        discovery = fetch(f"{issuer}/.well-known/openid-configuration")
        asked = urllib.parse.urlencode({"redirect_uri": f"{issuer}/back", "state": "s-1", "nonce": "n-1", "client_id": CLIENT_ID})
        with pytest.raises(urllib.error.HTTPError) as came_back:
            fetch(f"{discovery['authorization_endpoint']}?{asked}")
        sent = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(came_back.value.url).query))
        token = fetch(discovery["token_endpoint"], urllib.parse.urlencode({"code": sent["code"]}).encode())["id_token"]
        key = fetch(discovery["jwks_uri"])["keys"][0]
    public = rsa.RSAPublicNumbers(*(int.from_bytes(decoded(key[part])) for part in ("e", "n"))).public_key()
    signed, _, signature = token.rpartition(".")
    public.verify(decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    claims = json.loads(decoded(signed.partition(".")[2]))
    assert sent["state"] == "s-1"
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (issuer, CLIENT_ID, "n-1")


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def fetch(url: str, form: bytes | None = None) -> dict[str, Any]:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, form, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.full
def test_the_database_is_private_and_goes_with_the_run() -> None:
    """PostgreSQL on loopback in a folder of its own, as an ordinary user; no process is left behind."""
    before = set(tree(os.getpid()))
    try:
        with postgres_running(Cores.of_this_machine().store) as url:
            assert url.startswith("postgres://bench@127.0.0.1:")
            assert set(tree(os.getpid())) > before
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    assert set(tree(os.getpid())) <= before


@pytest.mark.full
def test_claude_gateway_joins_signed_in(site: Site) -> None:
    """Anthropic's gateway answers a call for a person who signed in, and its cold start is timed."""
    try:
        with peer_running(PEERS["claude"], site) as running:
            assert ask(running.target) == 200
            assert running.start["first_answer_ms"] > 0
    except PeerMissing as missing:
        pytest.skip(str(missing))


def test_budgets_are_what_an_admin_could_have_made() -> None:
    """The seeded documents have the fields and amounts of budgets: three, in two units, for everyone and for the key."""
    documents = budget_documents("key_1")
    assert [fault for document in documents for fault in check_amounts(document)] == []
    assert {(document["scope"]["type"], document["unit"], document["period"]) for document in documents} == {
        ("organization", "usd", "month"), ("key", "usd", "day"), ("key", "requests", "minute"),
    }  # fmt: skip


def test_the_slope_is_that_of_the_nearest_line() -> None:
    """Megabytes for each stream, whatever the process weighs by itself."""
    assert slope([(0, 50), (100, 53), (500, 65), (1000, 80)]) == pytest.approx(0.03)
    assert slope([(5, 1)]) == 0.0


def a_result(**medians: float) -> dict[str, Any]:
    """A result with calls per second of some targets, 32 connections."""
    rates = {target.replace("_", "/"): {"rps": {"median": rate}} for target, rate in medians.items()}
    return {
        "at": "2026-11-21T00:00:00Z", "commit": "abc", "machine": {"cores": 2, "model": "m", "kernel": "k"},
        "versions": {"python": "3.11"}, "rounds": [], "cold": [], "summary": {"c32": rates},
    }  # fmt: skip


def test_aims_are_judged_by_the_figures_of_the_run() -> None:
    """Met, missed and not measured are told apart, from the result alone."""
    result = a_result(gateway_sqlite=3000, litellm=100, portkey=1500)
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in render_aims(result).splitlines()}
    assert lines["calls/s against LiteLLM, 32 connections"].endswith("| 30 × | yes |")
    assert lines["calls/s against Portkey, 32 connections"].endswith("| 2 × | no |")
    assert lines["calls/s against `claude gateway` with its spend limits, 32 connections"].endswith("| – | not measured |")


def test_a_soak_counts_among_the_aims_only_if_it_was_run() -> None:
    """Its minutes, streams and faults come from its own result."""
    without, passed = a_result(), a_result() | {"soak": {"minutes": 60.0, "admitted": 38_000, "faults": []}}
    soak_aims = [aim for aim in AIMS if "soak" in aim.title]
    assert [aim.figure(without) for aim in soak_aims] == [None, None, None]
    assert all(aim.met(aim.figure(passed) or 0.0) for aim in soak_aims)


def test_a_table_is_written_from_a_result_and_a_soak(tmp_path: Path) -> None:
    """One command fills the aims of a document from both files, options in any order."""
    result, soaked, page = (tmp_path / name for name in ("result.json", "soak.json", "page.md"))
    result.write_text(json.dumps(a_result(gateway_sqlite=3000, litellm=100)))
    soaked.write_text(json.dumps({"minutes": 60.0, "admitted": 38_000, "faults": ["memory grew by 40.0 MB from 60 MB"]}))
    page.write_text("before\n<!-- bench:aims -->\nyesterday\n<!-- /bench -->\nafter\n")
    options = parse(["table", str(result), "--soak", str(soaked), str(page)])
    assert write_tables(options.files, options.soak) == 0
    written = page.read_text()
    assert "| streams in the soak | ≥ 10,000 | 38,000 | yes |" in written
    assert "| faults of the soak: growth, broken streams, missing records | = 0 | 1 | no |" in written
    assert written.startswith("before\n") and written.endswith("after\n") and "yesterday" not in written


def test_a_soak_that_was_cut_short_has_not_passed() -> None:
    """What was seen until then is kept, and said to be incomplete."""
    wave = {"answered": 10, "no_answer": 0, "statuses": {}, "part": "streams", "errors": {}}
    cut = Soak([wave], [{"minute": 1.0, "rss_mb": 60.0}], records=10, interrupted=True)
    assert cut.faults(1) == ["interrupted before its time"]
