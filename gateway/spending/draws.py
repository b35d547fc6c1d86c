"""What a call draws on: which budgets, and how much of each it sets aside.

Where a call may go to several targets, `balanced` budgets are drawn on as if the first will answer; who did answer is known when
it is settled (`call_hold.py`). A `strict` budget is held from the beginning for every target that it would count.
"""

from collections.abc import Mapping, Sequence

from gateway.canonical.call import Call, Plan
from gateway.spending.amounts import Amounts, Estimate, Estimates
from gateway.spending.budgets import Unit, count
from gateway.spending.matching import BudgetBook, Match

Counts = Mapping[Unit, int]
Draw = tuple[Match, int, int]
"""So much is set aside of a budget, and the call may come to so much."""


def is_counted(book: BudgetBook, call: Call, plan: Plan) -> bool:
    """Whether a budget counts the call although none does at its first target."""
    return book.by_target and any(book.matching(call, target) for target in plan.targets[1:])


def guess(book: BudgetBook, call: Call, plan: Plan, estimates: Estimates) -> Amounts | None:
    """What the call will likely use, at a glance; None if that would not do, wherever the money is."""
    if plan.hedge_s is not None or (plan.legs and plan.legs[0].params) or (book.has_strict and len(plan.targets) > 1):
        return None
    return estimates.guess(call, plan.targets[0])


def find_draws(
    book: BudgetBook, matches: Sequence[Match], call: Call, plan: Plan, estimates: Estimates
) -> tuple[list[Draw], Amounts]:
    """In the order in which they are taken, and what the call will likely use. `matches` are those of its first target."""
    first = _estimate(estimates, call, plan, 0)
    draws = _draw(matches, count(first.likely), count(first.worst), hedged=plan.hedge_s is not None)
    if book.has_strict and len(plan.targets) > 1:
        draws = _draw_anywhere(draws, book, call, plan, estimates)
    return draws, first.likely


def _draw(matches: Sequence[Match], likely: Counts, worst: Counts, *, hedged: bool) -> list[Draw]:
    """At least 1 of each, so that a budget of nothing refuses what is free too."""
    draws = []
    for match in matches:
        budget = match.budget
        most = worst[budget.unit] or 1
        if hedged and budget.unit == "usd":
            most *= 2  # two targets read the prompt
        draws.append((match, most if budget.mode == "strict" else likely[budget.unit] or 1, most))
    return draws


def _draw_anywhere(draws: list[Draw], book: BudgetBook, call: Call, plan: Plan, estimates: Estimates) -> list[Draw]:
    """With the strict budgets of the other targets; of each the dearest that it would count."""
    found = {draw[0].name: draw for draw in draws}
    for number, target in enumerate(plan.targets[1:], 1):
        strict = [match for match in book.matching(call, target) if match.budget.mode == "strict"]
        if strict:
            worst = count(_estimate(estimates, call, plan, number).worst)
            for draw in _draw(strict, worst, worst, hedged=plan.hedge_s is not None):
                name = draw[0].name
                found[name] = max(draw, found.get(name, draw), key=lambda each: each[1])
    return sorted(found.values(), key=lambda draw: draw[0].place)


def _estimate(estimates: Estimates, call: Call, plan: Plan, number: int) -> Estimate:
    params = plan.legs[number].params if plan.legs else None
    return estimates.estimate(call, plan.targets[number], params or None)
