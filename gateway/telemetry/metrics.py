"""Calls as metrics: how long, how soon, how many tokens, how much money; and how this process is doing.

Names and bucket limits of `gen_ai.…`: semantic conventions for generative AI (docs/gen-ai/gen-ai-metrics.md, read
2026-11-21). Attributes have few values; the SDK itself stops at 2,000 combinations of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from gateway.telemetry import attributes
from gateway.telemetry.hook import Readings
from gateway.telemetry.observation import Observation as Settled

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))
DEBTS_MAX = 1_000
DEBT_TOLD_S = 600.0  # a budget that nobody draws upon any more is heard of no more
IN_DOLLARS = {"usd": attributes.NANODOLLARS}
Callback = Callable[[CallbackOptions], Iterator[Observation]]


@dataclass(frozen=True, slots=True)
class Debt:
    """What was spent beyond a budget's limit, in the budget's unit; `told_at` is monotonic seconds."""

    budget: str
    unit: str
    amount: float
    told_at: float


class Metrics:
    """The instruments of one meter. `clock` gives monotonic seconds."""

    def __init__(self, meter: Meter, readings: Readings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._debts: dict[tuple[str, str], Debt] = {}
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "Duration of a call, all attempts together.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )  # fmt: skip
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Time until a stream's first word.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )  # fmt: skip
        self._usage = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of a call; input includes cached ones.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )  # fmt: skip
        self._tokens = meter.create_counter("gateway.tokens", "{token}", "Tokens by billing class.")
        self._cost = meter.create_counter("gateway.cost", "{USD}", "Cost of calls in US dollars.")
        self._attempts = meter.create_counter("gateway.attempts", "{attempt}", "Requests sent to providers.")
        self._refusals = meter.create_counter("gateway.refusals", "{request}", "Requests that never became a call.")
        self._read(meter, readings)

    def _read(self, meter: Meter, readings: Readings) -> None:
        meter.create_observable_gauge("gateway.open_calls", [_reading(readings.open_calls)], "{call}", "Calls under way.")
        meter.create_observable_gauge(
            "gateway.records.waiting", [_reading(readings.records_waiting)], "{record}", "Usage records that wait for the store."
        )
        meter.create_observable_counter(
            "gateway.records.lost", [_reading(readings.records_lost)], "{record}", "Usage records that are only in the log."
        )
        meter.create_observable_counter(
            "gateway.access_tokens.minted", [_reading(readings.tokens_minted)], "{token}", "Google access tokens minted."
        )
        meter.create_observable_gauge(
            "gateway.budget.debt", [self._read_debts], "1", "Spent beyond a budget's limit, in the budget's unit."
        )

    def call(self, observation: Settled) -> None:
        document, tokens = observation.document, observation.document["tokens"]
        common = attributes.shared(observation)
        ended = {**common, "error.type": document["error_type"]} if document["error_type"] else common
        self._duration.record(document["latency_ms"] / 1000, ended)
        if document["stream"] and document["ttft_ms"] is not None:
            self._first_chunk.record(document["ttft_ms"] / 1000, ended)
        if document["tokens"]["output"] or attributes.prompt_tokens(tokens):
            self._usage.record(attributes.prompt_tokens(tokens), {**common, "gen_ai.token.type": "input"})
            self._usage.record(tokens["output"], {**common, "gen_ai.token.type": "output"})
        charged = {**common, "gateway.project": document["project"]}
        for name, count in tokens.items():
            if count:
                self._tokens.add(count, {**charged, "gateway.token.class": name})
        self._cost.add(document["cost_nanodollars"] / attributes.NANODOLLARS, charged)
        for attempt in document["attempts"]:
            self._attempts.add(1, attributes.of_attempt(observation, attempt))

    def refusal(self, status: int, error_type: str) -> None:
        self._refusals.add(1, {"http.response.status_code": status, "error.type": error_type})

    def budget(self, budget_id: str, period: str, used: int, limit: int, unit: str) -> None:
        """The periods of a budget that is counted per user are told apart; at most DEBTS_MAX of them."""
        name = (budget_id, period)
        if used <= limit:
            self._debts.pop(name, None)
        elif name in self._debts or len(self._debts) < DEBTS_MAX:
            self._debts[name] = Debt(budget_id, unit, (used - limit) / IN_DOLLARS.get(unit, 1), self._clock())

    def _read_debts(self, options: CallbackOptions) -> Iterator[Observation]:
        """The largest of each budget."""
        largest: dict[tuple[str, str], float] = {}
        for name, debt in list(self._debts.items()):
            if self._clock() - debt.told_at > DEBT_TOLD_S:
                self._debts.pop(name, None)
                continue
            key = (debt.budget, debt.unit)
            largest[key] = max(largest.get(key, 0.0), debt.amount)
        for (budget, unit), amount in largest.items():
            yield Observation(amount, {"gateway.budget": budget, "gateway.budget.unit": unit})


def _reading(read: Callable[[], int]) -> Callback:
    return lambda options: iter([Observation(read())])
