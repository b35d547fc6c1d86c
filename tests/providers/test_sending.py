"""One target asked: repairs that the client never sees, lessons that outlive the call, credentials that are renewed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.canonical.call import AttemptRecord, Call, Caller, Operation, Target
from gateway.canonical.errors import CredentialRefused, GatewayError, UpstreamFailed, UpstreamRefused
from gateway.canonical.steps import Wait, Work, answer_blocking, do_work, run_blocking
from gateway.canonical.store import Document, Page, Store, StoreUnavailable
from gateway.dialects import DIALECTS
from gateway.providers.http1 import Pool, Timeouts
from gateway.providers.lessons import Lessons
from gateway.providers.provider import Lesson, Provider
from gateway.providers.send import Attempt, Sender
from gateway.sandbox import Sandbox
from gateway.sandbox.faults import Fault
from gateway.store import open_store

DAY_S = 86_400.0
BETAS = "claude-code-20250219,effort-2025-11-24,interleaved-thinking-2025-05-14,web-search-2025-03-05"


@dataclass(frozen=True)
class Token:
    value: str
    fence: int


@dataclass
class Tokens:
    """A broker of the sandbox's tokens. `renews` says whether a refused one is replaced."""

    sandbox: Sandbox
    renews: bool = True
    refusals: list[int] = field(default_factory=list)
    value: str = ""

    def token(self, credential: str) -> Token:
        self.value = self.value or self.sandbox.access_token()
        return Token(self.value, len(self.refusals))

    def at_hand(self, credential: str) -> Token | None:
        return Token(self.value, len(self.refusals)) if self.value else None

    def refused(self, credential: str, fence: int) -> bool:
        self.refusals.append(fence)
        self.value = ""
        return self.renews

    def project_id(self, credential: str) -> str | None:
        return "sandbox-project"


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    taken = set(shared_sandbox.betas)
    yield shared_sandbox
    shared_sandbox.clear()
    shared_sandbox.betas.clear()
    shared_sandbox.betas.update(taken)


class Clock:
    at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/gateway.db", now=clock)
    yield store
    store.close()


@dataclass
class Desk:
    """One instance of the gateway, as far as sending goes."""

    sandbox: Sandbox
    sender: Sender
    tokens: Tokens
    tries: list[AttemptRecord] = field(default_factory=list)

    def send(self, *, dialect: str = "anthropic", betas: str = BETAS, counting: bool = False, **members: Any) -> Attempt:
        self.tries.clear()
        steps = self.sender.send(call(dialect, betas, counting, members), target(self.sandbox, counting), self.tries)
        attempt = run_blocking(steps)
        attempt.exchange.close()
        return attempt

    @property
    def statuses(self) -> list[int]:
        return [attempt.status for attempt in self.tries]

    @property
    def sent(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.sandbox.requests[-1].body)
        return decoded

    @property
    def sent_betas(self) -> str:
        return self.sandbox.requests[-1].headers.get("anthropic-beta", "")


def target(sandbox: Sandbox, counting: bool = False, model: str = "claude-opus-4-6") -> Target:
    provider = Provider("vertex", "vertex", "env", "sandbox-project", base_url=sandbox.url)
    return Target(provider, model, model, "us-east5" if counting else "global", "anthropic")


def call(dialect: str, betas: str, counting: bool, members: dict[str, Any]) -> Call:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], **members}
    path = "/v1/messages"
    if counting:
        path = "/v1/messages/count_tokens"
    else:
        body["max_tokens"] = 50
    if dialect == "vertex":
        path = "/projects/p/locations/l/publishers/anthropic/models/claude-opus-4-6:rawPredict"
        body["anthropic_version"] = "vertex-2023-10-16"
    else:
        body["model"] = "claude-opus-4-6"
    spoken = DIALECTS[dialect]
    pattern, operation = next((p, o) for p, o in spoken.PATHS if p.search(path))
    match = pattern.search(path)
    assert match is not None
    headers = {"anthropic-beta": betas, "anthropic-version": "2023-06-01"}
    request = spoken.parse_request(operation, match, {}, headers, msgspec.json.encode(body))
    return Call("req_1", Caller("k", "p"), dialect, request, headers, at=0.0, started=time.monotonic())


@pytest.fixture
def open_desk(sandbox: Sandbox, store: Store, clock: Clock) -> Iterator[Callable[..., Desk]]:
    pools: list[Pool] = []

    def build(**more: Any) -> Desk:
        pools.append(Pool())
        tokens = Tokens(sandbox, **more)
        lessons = Lessons(store, clock, clock)
        return Desk(sandbox, Sender(pools[-1], {"google": tokens}, lessons, Timeouts(2, 5, 5), total_s=20, wait_s=0.05), tokens)

    yield build
    for pool in pools:
        pool.close()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


# -- lessons -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["anthropic", "vertex"])
def test_a_refused_beta_is_dropped_and_the_call_succeeds(desk: Desk, dialect: str) -> None:
    """One more request, once; the client sees 200 and is told what was dropped."""
    desk.sandbox.betas.discard("web-search-2025-03-05")
    attempt = desk.send(dialect=dialect)
    assert (attempt.head.status, desk.statuses) == (200, [400, 200])
    assert attempt.dropped == ("anthropic-beta:web-search-2025-03-05",)
    assert desk.sent_betas == "claude-code-20250219,effort-2025-11-24,interleaved-thinking-2025-05-14"
    again = desk.send(dialect=dialect)
    assert desk.statuses == [200] and again.dropped == attempt.dropped


def test_several_betas_named_at_once_are_dropped_at_once(desk: Desk) -> None:
    """Exactly those, and the body twin of the one that has one."""
    desk.sandbox.betas.difference_update({"web-search-2025-03-05", "effort-2025-11-24"})
    attempt = desk.send(output_config={"effort": "low"})
    assert desk.statuses == [400, 200]
    assert set(attempt.dropped) == {
        "anthropic-beta:effort-2025-11-24", "anthropic-beta:web-search-2025-03-05", "output_config.effort",
    }  # fmt: skip
    assert "output_config" not in desk.sent


def test_effort_goes_but_the_format_of_the_answer_stays(desk: Desk) -> None:
    """Structured output is what was asked for."""
    desk.sandbox.betas.discard("effort-2025-11-24")
    wanted = {"type": "json_schema", "schema": {"type": "object", "properties": {}, "additionalProperties": False}}
    desk.send(output_config={"effort": "low", "format": wanted})
    assert desk.sent["output_config"] == {"format": wanted}


@pytest.mark.parametrize("dialect", ["anthropic", "vertex"])
def test_a_refused_field_is_dropped(desk: Desk, dialect: str) -> None:
    """From the closed list."""
    attempt = desk.send(dialect=dialect, service_tier="auto", metadata={"user_id": "u"})
    assert (attempt.head.status, attempt.dropped, desk.statuses) == (200, ("service_tier",), [400, 200])
    assert desk.sent["metadata"] == {"user_id": "u"}


@pytest.mark.parametrize("dialect", ["anthropic", "vertex"])
def test_a_vertex_clients_field_is_dropped_with_its_beta(desk: Desk, dialect: str) -> None:
    """Both halves, learned from the refusal of one."""
    desk.sandbox.betas.discard("context-management-2025-06-27")
    betas = "claude-code-20250219,context-management-2025-06-27"
    attempt = desk.send(dialect=dialect, betas=betas, context_management={"edits": []})
    assert attempt.head.status == 200
    assert set(attempt.dropped) == {"anthropic-beta:context-management-2025-06-27", "context_management"}
    assert desk.sent_betas == "claude-code-20250219" and "context_management" not in desk.sent


@pytest.mark.parametrize("member", [{"tools": [{"name": 1}]}, {"nonsense": 1}, {"thinking": {"type": "adaptive", "x": 1}}])
def test_what_must_not_be_dropped_is_refused_to_the_caller(desk: Desk, member: dict[str, Any]) -> None:
    """In the provider's own words, after one request."""
    with pytest.raises(UpstreamRefused) as refused:
        desk.send(**member)
    assert (refused.value.status, refused.value.wire, desk.statuses) == (400, "anthropic", [400])


def test_safeguards_without_their_beta_are_refused_to_the_caller(desk: Desk) -> None:
    """Never dropped to make a call pass."""
    with pytest.raises(UpstreamRefused, match="safeguards"):
        desk.send(safeguards=[{"type": "dangerous_tool_use"}])
    assert desk.statuses == [400]


def test_a_repair_is_tried_once(desk: Desk) -> None:
    """A provider that names one thing after the other is not asked for ever."""
    words = "Unexpected value(s) `{}` for the `anthropic-beta` header."
    desk.sandbox.script(*(Fault(status=400, message=words.format(beta)) for beta in BETAS.split(",")))
    with pytest.raises(UpstreamRefused):
        desk.send()
    assert desk.statuses == [400, 400]


def test_a_lesson_is_shared_with_other_instances_for_a_day(
    desk: Desk, open_desk: Callable[..., Desk], clock: Clock, store: Store
) -> None:
    """In memory at once, through the store for others; then the upstream is asked anew."""
    running = open_desk()
    running.send()
    desk.sandbox.betas.discard("web-search-2025-03-05")
    desk.send()
    (document,) = store.query("lessons").documents
    assert document.data["betas"] == ["web-search-2025-03-05"] and document.data["model"] == "claude-opus-4-6"
    assert document.data["expires_at"].timestamp() == clock.at + DAY_S
    fresh = open_desk()
    fresh.send()
    assert fresh.statuses == [200]
    clock.at += 601
    running.send()
    assert running.statuses == [200], "an instance that ran all the while hears of it within ten minutes"
    desk.sandbox.betas.add("web-search-2025-03-05")
    clock.at += DAY_S
    for instance in (desk, open_desk()):
        assert instance.send().dropped == ()
        assert "web-search-2025-03-05" in instance.sent_betas


def test_a_lesson_is_of_its_model_its_location_and_its_operation(desk: Desk) -> None:
    """What token counting does not take, inference may."""
    here = target(desk.sandbox)
    desk.sender.lessons.learn(here, "generate", Lesson(fields=frozenset({"metadata"})))

    def known(target: Target, operation: Operation) -> Lesson:
        return run_blocking(desk.sender.lessons.known(target, operation))

    assert known(here, "generate").fields == {"metadata"}
    assert known(here, "count_tokens") == known(target(desk.sandbox, model="claude-opus-4-5"), "generate") == Lesson()
    assert known(target(desk.sandbox, counting=True), "generate") == Lesson()


def test_lessons_add_up(desk: Desk, open_desk: Callable[..., Desk]) -> None:
    """A second one does not overwrite the first, in the store neither."""
    here = target(desk.sandbox)
    for name in ("metadata", "tags"):
        desk.sender.lessons.learn(here, "generate", Lesson(fields=frozenset({name})))
    for instance in (desk, open_desk()):
        assert run_blocking(instance.sender.lessons.known(here, "generate")).fields == {"metadata", "tags"}


class Away:
    """A store that is not there, and says so slowly."""

    def __init__(self) -> None:
        self.asked = 0

    def query(self, *_: Any, **__: Any) -> Page:
        self.asked += 1
        raise StoreUnavailable("away")

    def commit(self, *_: Any, **__: Any) -> list[dict[str, int]]:
        raise StoreUnavailable("away")

    def get(self, *_: Any, **__: Any) -> Document | None:
        raise StoreUnavailable("away")


def test_without_a_store_lessons_are_kept_in_memory(sandbox: Sandbox, clock: Clock) -> None:
    """An outage costs the sharing, never a call; and it is not found out anew by every call."""
    store = Away()
    lessons = Lessons(store, clock, clock)  # type: ignore[arg-type]
    lessons.learn(target(sandbox), "generate", Lesson(betas=frozenset({"x"})))
    for _ in range(20):
        assert run_blocking(lessons.known(target(sandbox), "generate")).betas == {"x"}
    assert store.asked == 1
    clock.at += DAY_S + 1
    assert run_blocking(lessons.known(target(sandbox), "generate")) == Lesson()


def test_counting_is_sent_with_the_few_betas_it_takes(desk: Desk) -> None:
    """So that it is answered at first try."""
    attempt = desk.send(counting=True, betas=f"{BETAS},token-counting-2024-11-01")
    assert (attempt.head.status, desk.statuses) == (200, [200])


# -- credentials and faults --------------------------------------------------------------------------------------------


def test_a_refused_token_is_renewed_once_and_unseen(desk: Desk) -> None:
    """401 → another token → 200."""
    desk.sandbox.script(Fault(revoke_token=True))
    assert desk.send().head.status == 200
    assert (desk.statuses, desk.tokens.refusals) == ([401, 200], [0])


def test_a_token_that_is_refused_twice_is_the_operators_affair(desk: Desk) -> None:
    """Two requests, then 502."""
    desk.sandbox.script(Fault(revoke_token=True, times=2))
    with pytest.raises(CredentialRefused) as refused:
        desk.send()
    assert (refused.value.status, desk.statuses, len(desk.tokens.refusals)) == (502, [401, 401], 1)


def test_a_token_that_cannot_be_renewed_is_not_tried_again(open_desk: Callable[..., Desk]) -> None:
    """An access token given by hand, say."""
    desk = open_desk(renews=False)
    desk.sandbox.script(Fault(revoke_token=True))
    with pytest.raises(CredentialRefused):
        desk.send()
    assert desk.statuses == [401]


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (Fault(status=429, retry_after="3"), 429, "rate_limit_error"),
        (Fault(status=500), 500, "api_error"),
        (Fault(status=502), 502, "api_error"),
        (Fault(status=503), 503, "api_error"),
        (Fault(status=529), 529, "overloaded_error"),
        (Fault(status=403), 502, "api_error"),
        (Fault(drop=True), 502, "api_error"),
        (Fault(redirect_to="http://127.0.0.1:9/"), 502, "api_error"),
    ],
)
def test_other_faults_are_told_after_one_request(desk: Desk, fault: Fault, status: int, kind: str) -> None:
    """Nothing is tried again that was not ours to mend."""
    desk.sandbox.script(fault)
    with pytest.raises(GatewayError) as failed:
        desk.send()
    assert (failed.value.status, failed.value.kind, len(desk.tries)) == (status, kind, 1)
    assert "sandbox-project" not in failed.value.message
    if fault.retry_after:
        assert failed.value.headers()["retry-after"] == "3"


def test_silence_is_told_so_that_the_client_can_be_pinged(desk: Desk) -> None:
    """A wait that is answered False is `wait_s` of silence, and may be followed by another."""
    desk.sandbox.script(Fault(wait_s=0.3))
    steps = desk.sender.send(call("anthropic", "", False, {}), target(desk.sandbox), desk.tries)
    step, silences = next(steps), 0
    while silences < 2:
        if isinstance(step, Work):
            step = do_work(steps, step)
        else:
            assert isinstance(step, Wait) and step.wait_s <= desk.sender.wait_s
            heard = answer_blocking(step)
            silences += not heard
            step = steps.send(heard)
    steps.close()
    assert desk.tries[0].status == 0


def test_an_answer_beyond_the_limit_is_refused(desk: Desk) -> None:
    """A plain body is bounded."""
    steps = desk.sender.send(call("anthropic", "", False, {}), target(desk.sandbox), [])
    attempt = run_blocking(steps)
    with pytest.raises(UpstreamFailed, match="more than"):
        run_blocking(desk.sender.read_whole(attempt.exchange, 100))


def test_a_header_that_could_break_the_request_is_not_passed_on(desk: Desk) -> None:
    """Odd characters in a client's header harm nobody."""
    odd = call("anthropic", "", False, {})
    odd.headers["anthropic-x"] = "caf\xe9\x01"  # type: ignore[index]
    run_blocking(desk.sender.send(odd, target(desk.sandbox), desk.tries))
    assert desk.statuses == [200] and "anthropic-x" not in desk.sandbox.requests[-1].headers
