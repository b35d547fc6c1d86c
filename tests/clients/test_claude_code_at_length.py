"""The real Claude Code CLI in its many moods: models, switches, sub-agents, counting, and upstreams that fail under it."""

import pytest
from claude_cli import Cli
from house import Served
from traffic import betas, cost_nanodollars, inference, oldest_first, statuses

from gateway.sandbox import Fault

pytestmark = pytest.mark.full
BOTH = ("messages", "vertex")
ANSWER = "a pretend Claude that lives on your own machine"
MODELS = [
    ("messages", "opus", "claude-opus-5-5"),
    ("messages", "sonnet", "claude-sonnet-5-5"),
    ("messages", "haiku", "claude-haiku-5-5"),
    ("messages", "fable", "claude-fable-5-2"),
    ("messages", "opus[1m]", "claude-opus-5-5"),
    ("messages", "claude-sonnet-4-6[1m]", "claude-sonnet-4-6"),
    ("messages", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929"),
    ("messages", "claude-haiku-4-5", "claude-haiku-4-5@20251001"),
    ("messages", "claude-opus-4-8", "claude-opus-4-8"),
    ("messages", "vertex/claude-sonnet-5", "claude-sonnet-5"),
    ("vertex", "opus", "claude-opus-5-5"),
    ("vertex", "sonnet", "claude-sonnet-4-5@20250929"),
    ("vertex", "haiku", "claude-haiku-4-5@20251001"),
    ("vertex", "claude-sonnet-4-6[1m]", "claude-sonnet-4-6"),
    ("vertex", "claude-opus-4-1", "claude-opus-4-1@20250805"),
]
SWITCHES: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
    ("no experimental betas", (), {"CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1"}),
    ("no thinking", (), {"CLAUDE_CODE_DISABLE_THINKING": "1"}),
    ("no prompt caching", (), {"DISABLE_PROMPT_CACHING": "1"}),
    ("caching for an hour", (), {"ENABLE_PROMPT_CACHING_1H": "1"}),
    ("no tool search", (), {"ENABLE_TOOL_SEARCH": "false"}),
    ("no tools", ("--tools", ""), {}),
    ("few tools", ("--tools", "Bash"), {}),
    ("most effort", ("--effort", "max"), {}),
    ("plan mode", ("--permission-mode", "plan"), {}),
    ("auto mode", ("--permission-mode", "auto"), {}),
    ("restricted", ("--restricted",), {}),
    ("own system prompt", ("--system-prompt", "You are a ferret."), {}),
    ("every event", ("--output-format", "stream-json", "--verbose", "--include-partial-messages"), {}),
]


@pytest.mark.parametrize(("mode", "asked", "upstream"), MODELS, ids=lambda value: str(value))
def test_every_model_name_is_served_and_priced(claude: Cli, gateway: Served, mode: str, asked: str, upstream: str) -> None:
    """Aliases, dates, `[1m]`: answered at the first try under Vertex's own name, for the price that Claude Code reckons."""
    said = claude.run("Hello", "--model", asked, mode=mode)
    assert ANSWER in said.text
    assert [(r.path.rpartition("/")[2], r.status) for r in inference(gateway)] == [(f"{upstream}:streamRawPredict", 200)]
    (record,) = gateway.records()
    assert record["price_known"]
    if asked != "vertex/claude-sonnet-5":  # a name that Claude Code cannot price
        assert record["cost_nanodollars"] == said.cost_nanodollars > 0


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(("options", "environment"), [s[1:] for s in SWITCHES], ids=[s[0] for s in SWITCHES])
def test_no_switch_of_the_cli_costs_a_retry(
    claude: Cli, gateway: Served, mode: str, options: tuple[str, ...], environment: dict[str, str]
) -> None:
    """Whatever betas and fields a switch adds or takes away, upstream answers 200 at the first try."""
    said = claude.run("Hello", *options, mode=mode, **environment)
    assert ANSWER in said.text, said
    assert statuses(gateway) == [200]


def test_caching_for_an_hour_reaches_the_bill(claude: Cli, gateway: Served) -> None:
    """The longer time to live travels, and its dearer price is charged."""
    said = claude.run("Hello", ENABLE_PROMPT_CACHING_1H="1")
    (record,) = gateway.records()
    assert record["tokens"]["cache_write_1h"] > 1000
    assert record["cost_nanodollars"] == said.cost_nanodollars


@pytest.mark.parametrize("mode", BOTH)
def test_web_search_works_and_is_billed(claude: Cli, gateway: Served, mode: str) -> None:
    """Claude Code's search is a side request with a server tool, for which Vertex AI wants a beta that only its Vertex
    mode sends; with few tools it also defers one under a beta that Vertex AI does not know."""
    prompt = 'use the tool WebSearch with {"query":"search the web for ferret news"}'
    said = claude.run(prompt, "--tools", "WebSearch", "--allowedTools", "WebSearch", mode=mode)
    assert "The sandbox" in said.text, said
    assert statuses(gateway) == [200, 200, 200]
    assert sorted(r["searches"] for r in gateway.records()) == [0, 0, 1]
    assert cost_nanodollars(gateway) == said.cost_nanodollars


@pytest.mark.parametrize("mode", BOTH)
def test_a_sub_agent_is_recorded_under_its_session(claude: Cli, gateway: Served, mode: str) -> None:
    """Its calls bear the session's id and its own; the parent's only the session's."""
    prompt = 'use the tool Agent with {"description":"d","prompt":"Hello from above","subagent_type":"general-purpose"}'
    said = claude.run(prompt, mode=mode)
    assert said.code == 0, said
    assert set(statuses(gateway)) == {200}
    records = gateway.records()
    assert {record["session_id"] for record in records} == {said.session}
    assert len({record["agent_id"] for record in records}) == 2
    assert cost_nanodollars(gateway) == said.cost_nanodollars


@pytest.mark.parametrize("mode", BOTH)
def test_context_is_counted_in_a_burst_and_for_nothing(claude: Cli, gateway: Served, mode: str) -> None:
    """/context: some 25 token counts at once, all answered, none billed."""
    said = claude.run("/context", mode=mode)
    assert "Context Usage" in said.text
    lines = [line for line in gateway.log_lines() if line.get("operation") == "count_tokens"]
    assert len(lines) >= 15
    assert {line["status"] for line in gateway.log_lines()} == {200}
    assert gateway.records() == []


@pytest.mark.parametrize("mode", BOTH)
def test_a_session_goes_on_in_another_process(claude: Cli, gateway: Served, mode: str) -> None:
    """What was thought, said and done comes back with its signatures intact, which upstream checks."""
    first = claude.run("run: echo ferret-$((1+1))", "--allowedTools", "Bash", mode=mode)
    second = claude.run("think about what you did", "--resume", first.session, mode=mode)
    assert "think about what you did" in second.text, second
    assert statuses(gateway) == [200, 200, 200]
    assert b'"signature"' in inference(gateway)[-1].body
    assert {record["session_id"] for record in gateway.records()} == {first.session}


def test_the_key_may_come_as_an_api_key(claude: Cli, gateway: Served) -> None:
    """ANTHROPIC_API_KEY goes out as `x-api-key` alone."""
    said = claude.run("Hello", ANTHROPIC_AUTH_TOKEN="", ANTHROPIC_API_KEY=gateway.key)
    assert ANSWER in said.text
    assert [record["status"] for record in gateway.records()] == [200]


@pytest.mark.parametrize("mode", BOTH)
def test_own_headers_reach_the_books_and_stay_here(claude: Cli, gateway: Served, mode: str) -> None:
    """ANTHROPIC_CUSTOM_HEADERS may carry metadata and a trace id."""
    headers = 'x-gateway-metadata: {"team":"ferrets"}\nx-gateway-trace-id: t-1'
    claude.run("Hello", mode=mode, ANTHROPIC_CUSTOM_HEADERS=headers)
    (record,) = gateway.records()
    assert (record["metadata"], record["trace_id"]) == ({"team": "ferrets"}, "t-1")
    (request,) = inference(gateway)
    assert [name for name in request.headers if name.startswith("x-gateway") or "claude-code" in name] == []


@pytest.mark.parametrize("mode", BOTH)
def test_a_beta_that_upstream_refuses_is_learned_once(claude: Cli, gateway: Served, mode: str) -> None:
    """Claude Code never sees the 400; the next session does not cause one."""
    gateway.sandbox.betas.discard("thinking-token-count-2026-05-13")
    said = [claude.run("Hello", mode=mode) for _ in range(2)]
    assert all(ANSWER in one.text for one in said), said
    assert statuses(gateway) == [400, 200, 200]
    assert "thinking-token-count-2026-05-13" not in betas(inference(gateway)[-1])
    assert [len(record["attempts"]) for record in oldest_first(gateway)] == [2, 1]
    assert all("anthropic-beta:thinking-token-count-2026-05-13" in record["dropped"] for record in gateway.records())


@pytest.mark.parametrize("mode", BOTH)
def test_an_expired_token_of_the_gateway_is_none_of_the_users_business(claude: Cli, gateway: Served, mode: str) -> None:
    """401 upstream: a new token, the same call again, one record."""
    gateway.sandbox.script(Fault(revoke_token=True))
    assert ANSWER in claude.run("Hello", mode=mode).text
    assert statuses(gateway) == [401, 200]
    assert [len(record["attempts"]) for record in gateway.records()] == [2]


@pytest.mark.parametrize("mode", BOTH)
def test_a_refused_credential_is_the_operators_affair(claude: Cli, gateway: Served, mode: str) -> None:
    """403 upstream: one request, and no invitation to log in."""
    gateway.sandbox.script(Fault(status=403, times=0))
    said = claude.run("Hello", mode=mode)
    assert "502 the provider refused the gateway's own credential, not yours" in said.text
    assert "sandbox-project" not in said.stdout
    assert statuses(gateway) == [403]


@pytest.mark.parametrize("mode", BOTH)
def test_an_overload_passes(claude: Cli, gateway: Served, mode: str) -> None:
    """529 once: Claude Code asks again by itself. Each call is in the books, the failed one at no cost."""
    gateway.sandbox.script(Fault(status=529))
    said = claude.run("Hello", mode=mode)
    assert ANSWER in said.text
    assert statuses(gateway) == [529, 200]
    assert [(r["status"], r["cost_nanodollars"] > 0) for r in oldest_first(gateway)] == [(529, False), (200, True)]
    assert cost_nanodollars(gateway) == said.cost_nanodollars


@pytest.mark.parametrize("mode", BOTH)
def test_an_overload_that_stays_is_told_soon(claude: Cli, gateway: Served, mode: str) -> None:
    """Claude Code gives up after three 529s: their kind must have travelled."""
    gateway.sandbox.script(Fault(status=529, times=0))
    assert "Repeated 529 Overloaded errors" in claude.run("Hello", mode=mode).text
    assert statuses(gateway) == [529, 529, 529]


@pytest.mark.parametrize("mode", BOTH)
def test_a_prompt_that_is_too_long_is_understood(claude: Cli, gateway: Served, mode: str) -> None:
    """The provider's wording arrives unmodified: Claude Code reads the two numbers in it."""
    gateway.sandbox.script(Fault(status=400, message="prompt is too long: 1000005 tokens > 1000000 maximum", times=0))
    said = claude.run("Hello", mode=mode)
    assert "Prompt is too long" in said.text
    assert "1000005 tokens (limit 1000000)" in said.text
    assert statuses(gateway) == [400]


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("fault", [{"cut": "rst"}, {"cut": "fin"}, {"cut": "clean"}, {"truncate": True}], ids=str)
def test_a_stream_that_breaks_early_is_asked_again(claude: Cli, gateway: Served, mode: str, fault: dict[str, object]) -> None:
    """Before a block is finished: nothing of the torn answer is kept, the second one is whole."""
    gateway.sandbox.script(Fault(at=4, **fault))  # type: ignore[arg-type]
    said = claude.run("Hello", mode=mode)
    assert said.text.startswith("You said: “Hello”.")
    assert said.text.endswith("a real Claude will answer here.")
    records = oldest_first(gateway)
    assert [record["completeness"] for record in records] == ["partial", "final"]
    assert [(record["status"], record["error_type"] is None) for record in records] == [(502, False), (200, True)]


@pytest.mark.parametrize("mode", BOTH)
def test_a_stream_that_breaks_late_is_resumed(claude: Cli, gateway: Served, mode: str) -> None:
    """After a finished block Claude Code keeps it, says so, and asks for the rest: it noticed the break."""
    gateway.sandbox.script(Fault(at=-2, cut="rst"))
    said = claude.run("Hello", mode=mode)
    assert "cut off mid-stream" in said.text, said
    assert [record["completeness"] for record in oldest_first(gateway)] == ["partial", "final"]


@pytest.mark.parametrize("mode", BOTH)
def test_an_error_event_travels(claude: Cli, gateway: Served, mode: str) -> None:
    """overloaded_error as the first event: asked again, and answered."""
    gateway.sandbox.script(Fault(at=0, stream_error="overloaded_error"))
    assert ANSWER in claude.run("Hello", mode=mode).text
    records = oldest_first(gateway)
    assert [record["error_type"] for record in records] == ["overloaded_error", None]


@pytest.mark.parametrize("mode", BOTH)
def test_a_refusal_by_the_model_is_seen_as_one(claude: Cli, gateway: Served, mode: str) -> None:
    """stop_reason refusal with its details: Claude Code goes on by itself, with a beta of its own."""
    gateway.sandbox.script(Fault(stop_reason="refusal"))
    said = claude.run("Hello", mode=mode)
    assert "stopped by a safety classifier" in said.text
    assert statuses(gateway) == [200, 200]
