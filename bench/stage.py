"""What a run starts before it measures: fake upstream, tunnels, emulator, gateways, peers; all stopped with the stack."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.native import Tools
from bench.peer import PeerMissing
from bench.peers import PEERS, peer_running
from bench.processes import Cores
from bench.seeds import budgets_hold, config_holds
from bench.targets import SERVERS, Deployment, Site, Target, ask_for_head, deploy, deployed, upstream_running
from bench.tunnels import TlsMissing, tunnels_running
from tests import emulator

Note = Callable[[str], None]


def site_running(tools: Tools, stores: Sequence[str], stack: ExitStack, note: Note) -> Site:
    """The folder, the fake upstream, and TLS in front of it if a store asks for that."""
    cores = Cores.of_this_machine()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-bench-")))
    port = stack.enter_context(upstream_running(tools, cores, folder))
    tls = None
    if any(store.endswith("+tls") for store in stores):
        try:
            tls = stack.enter_context(tunnels_running(port, cores.tools, folder))
        except TlsMissing as missing:
            note(f"no TLS rows: {missing}")
    return Site(folder, cores, tools, port, tls)


def make_deployments(servers: Sequence[str], stores: Sequence[str], site: Site, stack: ExitStack, note: Note) -> list[Deployment]:
    """One for each server and store, as far as this machine has what they need."""
    address = start_emulator(stores, site, stack, note)
    offered = [store for store in stores if address or not store.startswith("firestore")]
    offered = [store for store in offered if site.tls or not store.endswith("+tls")]
    return [deploy(SERVERS[server], store, site, address) for server in servers for store in offered]


def start_emulator(stores: Sequence[str], site: Site, stack: ExitStack, note: Note) -> str | None:
    if not any(store.startswith("firestore") for store in stores):
        return None
    try:
        with pinned(site.cores.store):
            return stack.enter_context(emulator.running(emulator.find()))
    except emulator.EmulatorMissing as missing:
        note(f"no Firestore rows: {missing}")
        return None


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Children started meanwhile inherit this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start_gateways(deployments: Sequence[Deployment], site: Site, stack: ExitStack, note: Note) -> list[Target]:
    """`direct` first, then every gateway; a variant only if it does what it is to be measured for."""
    targets = [Target("direct", site.upstream)]
    targets += [Target("direct+tls", site.tls.client)] if site.tls else []
    for deployment in deployments:
        say(f"starting {deployment.name}")
        target = stack.enter_context(deployed(deployment))
        if fault := variant_fault(target, deployment):
            note(f"{target.name} left out: this version {fault}")
            continue
        targets.append(target)
    return targets


def variant_fault(target: Target, deployment: Deployment) -> str | None:
    """What a gateway that has answered once does not do although it was set up for it."""
    if target.variant == "budgets" and not budgets_hold(deployment.store_url):
        return "does not draw on the budgets that were made"
    if target.variant == "config" and not config_holds(deployment.store_url):
        return "does not go where the config leads"
    if target.variant == "cache" and ask_for_head(target)[1].get("x-gateway-cache") != "hit":
        return "does not answer from the cache"
    return None


def start_peers(names: Sequence[str], site: Site, stack: ExitStack, note: Note) -> Iterator[tuple[Target, dict[str, Any]]]:
    """Each with its version and the milliseconds of its start; what cannot be started is named."""
    for name in names:
        say(f"starting {name}")
        try:
            running = stack.enter_context(peer_running(PEERS[name], site))
        except PeerMissing as missing:
            say(f"left out: {missing}")
            note(f"{name} left out: {missing}")
            continue
        yield running.target, {"version": running.version, "start": running.start}


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
