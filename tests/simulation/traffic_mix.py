"""Calls as agents make them: most are cheap, a few are dear, and how dear is known only in part beforehand."""

import math
import random
from dataclasses import dataclass

CENT = 10_000_000  # nano-dollars
PROMPT_MEDIAN, PROMPT_SPREAD = 1.0 * CENT, 1.0
ANSWER_MEDIAN, ANSWER_SPREAD = 0.6 * CENT, 1.1
ANSWER_Q90 = ANSWER_MEDIAN * math.exp(1.2816 * ANSWER_SPREAD)
MEAN_COST = PROMPT_MEDIAN * math.exp(PROMPT_SPREAD**2 / 2) + ANSWER_MEDIAN * math.exp(ANSWER_SPREAD**2 / 2)
WORST_ANSWER = 40 * CENT


@dataclass(frozen=True, slots=True)
class Draft:
    """One call: what is known of it beforehand, and what will become of it."""

    guess: int
    likely: int
    worst: int
    cost: int
    open_s: float


def draw(chance: random.Random, open_s_mean: float) -> Draft:
    """The prompt is estimated to a tenth, of the answer only how dear nine in ten are; the worst holds. A call in ten is dear for
    what only a closer look tells, and guessed at a fifth."""
    prompt = chance.lognormvariate(math.log(PROMPT_MEDIAN), PROMPT_SPREAD)
    answer = min(chance.lognormvariate(math.log(ANSWER_MEDIAN), ANSWER_SPREAD), WORST_ANSWER)
    cost = prompt + answer
    worst = prompt * 1.5 + WORST_ANSWER
    likely = int(min(worst, prompt * chance.uniform(0.95, 1.15) + ANSWER_Q90))
    relative = answer / (ANSWER_MEDIAN * math.exp(ANSWER_SPREAD**2 / 2))
    open_s = open_s_mean * (0.3 + 0.7 * relative)
    return Draft(likely // 5 if likely % 10 == 0 else likely, likely, int(worst) + 1, int(cost), min(open_s, 30 * open_s_mean))
