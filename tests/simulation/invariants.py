"""What must be true after every event, and what is measured at the end."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from world import START, World

from gateway.canonical.store import Json
from gateway.spending.budgets import parse_budget


def nothing_appears_or_vanishes(world: World) -> None:
    """What is taken and not spent is exactly what stands in allowances."""
    lent: defaultdict[str, int] = defaultdict(int)
    counters: dict[str, Json] = {}
    for path, data in world.store.budget_documents():
        period, is_allowance, _ = path.partition("/allowances/")
        if is_allowance:
            lent[period] += data["amount"]
        elif path.count("/") == 3:
            counters[path] = data
    for path, data in counters.items():
        assert data["taken"] - data["spent"] == lent[path], f"{path}: {data}, lent {lent[path]}"


def never_beyond_the_limit(world: World) -> None:
    """In strict: what was used, and what open calls may use at worst."""
    assert world.at_most <= limit_of(world), f"{world.at_most} of {limit_of(world)}"


def limit_of(world: World) -> int:
    limit = parse_budget("bud_1", world.store.get("budgets/bud_1").data).amount
    assert limit is not None
    return limit


def check_settled(world: World) -> None:
    """After everything lapsed and was swept: every call is charged once, and no money is locked."""
    periods = [data for path, data in world.store.budget_documents() if path.count("/") == 3]
    spent = sum(data["spent"] for data in periods)
    assert sum(data["taken"] for data in periods) == spent
    charged = sum(hold["settled"] for data in world.store.usage_documents() for hold in data["holds"])
    died = sum(one.draft.cost for one in world.lost_records)
    most = charged + died
    if dict(world.setup.fields).get("mode") == "strict":
        # What a lapsed allowance cannot account for stays spent; a call whose record came too late, charged with its worst.
        guessed = sum(one.draft.worst for one in (*world.lost_calls, *world.lost_records, *world.duplicates))
        most = limit_of(world) + guessed
    assert charged <= spent <= most, f"spent {spent}, documents {charged}, lost records {died}"
    documented = {data["request_id"] for data in world.store.usage_documents()}
    lost = {one.call.id for one in (*world.lost_calls, *world.lost_records)}
    missing = [one for one in world.admitted if one.call.id not in documented and one.call.id not in lost]
    assert not missing, f"{len(missing)} admitted calls have no usage document"


@dataclass(frozen=True, slots=True)
class Measures:
    """Shares of the limit, of the calls offered, or per 1,000 calls admitted."""

    offered: int
    admitted: int
    overshoot: float
    utilisation: float
    false_refusals: float
    early_refusals: float
    operations: float
    hottest_per_s: float
    longest_wait_s: float


def measure(world: World, limit: int | None = None) -> Measures:
    """False refusals: refused calls whose money was left over in the end, as a share of the calls offered until the budget was
    used up. Early refusals: refused while less than 98 % was used or would be by open calls, as the same share."""
    limit = limit or limit_of(world)
    used = sum(one.draft.cost for one in world.admitted)
    exhausted_at = _exhausted_at(world, limit)
    offered = sum(one.at <= exhausted_at for one in (*world.admitted, *world.refused))
    left = limit - used
    false = 0
    for refused in world.refused:
        if refused.draft.cost <= left:
            left -= refused.draft.cost
            false += 1
    early = sum(refused.true_used < 0.98 * limit for refused in world.refused)
    billed = sum(world.store.billed.values()) - len(world.admitted)  # usage documents are written anyway
    hottest = max((n for path, n in world.store.written.items() if "/periods/" in path), default=0)
    return Measures(
        offered=len(world.admitted) + len(world.refused),
        admitted=len(world.admitted),
        overshoot=max(0.0, used / limit - 1),
        utilisation=used / limit,
        false_refusals=false / max(1, offered),
        early_refusals=early / max(1, offered),
        operations=1000 * billed / max(1, len(world.admitted)),
        hottest_per_s=hottest / world.setup.run_s,
        longest_wait_s=world.max_waits_s,
    )


@dataclass(frozen=True, slots=True)
class Span:
    """What happened between two moments of a world. Operations leave usage documents out, which are written anyway."""

    billed: Counter[str]
    calls: int
    writes_per_s: dict[str, float]  # by path
    longest_wait_s: float

    @property
    def operations_per_call(self) -> float:
        return sum(self.billed.values()) / max(1, self.calls)


def measure_span(world: World, since_s: float, until_s: float) -> Span:
    """Lives through the world, and measures it from `since_s` to `until_s` after its start."""
    counts: dict[float, tuple[Counter[str], Counter[str], int]] = {}

    def look(world: World) -> None:
        for moment in (since_s, until_s):
            if moment not in counts and world.time >= START + moment:
                counts[moment] = Counter(world.store.billed), Counter(world.store.written), len(world.admitted)
                world.max_waits_s = 0.0 if moment == since_s else world.max_waits_s

    world.run(look)
    (billed, written, calls), (billed_then, written_then, calls_then) = counts[since_s], counts[until_s]
    documents = sum(count for path, count in (written_then - written).items() if "/usage/" in path)
    rates = {path: count / (until_s - since_s) for path, count in (written_then - written).items()}
    spent = billed_then - billed
    spent["writes"] -= documents
    return Span(spent, calls_then - calls, rates, world.max_waits_s)


def _exhausted_at(world: World, limit: int) -> float:
    used = 0
    for one in sorted(world.admitted, key=lambda one: one.at):
        used += one.draft.cost
        if used >= 0.98 * limit:
            return one.at
    return START + world.setup.run_s
