"""How long to wait before a target that failed is asked again, and how long an attempt may take."""

import random
from collections.abc import Callable
from dataclasses import replace

from gateway.canonical.call import RetryRule
from gateway.canonical.errors import GatewayError, UpstreamRefused, UpstreamTimeout
from gateway.canonical.steps import Signal, Steps, T, Until, Work

FIRST_WAIT_S = 0.5
JITTER = 0.5  # how much of a wait is left to chance, so that many who failed together do not come back together
Draw = Callable[[], float]


def wait_before(rule: RetryRule, error: GatewayError, retries: int, draw: Draw = random.random) -> float | None:
    """Seconds to wait before asking the same target again, exponential with jitter, or what the provider wishes; None if
    it should not be asked again."""
    if retries >= rule.attempts or error.status not in rule.statuses or error.headers().get("x-should-retry") == "false":
        return None
    wished = retry_after_s(error) if rule.use_retry_after else None
    if wished is not None:
        return wished if wished <= rule.max_wait_s else None
    wait_s = min(rule.max_wait_s, FIRST_WAIT_S * 2.0**retries)
    return wait_s * (1 - JITTER * draw())


def retry_after_s(error: GatewayError) -> float | None:
    """What the provider asks for: `retry-after-ms`, which is finer, or `retry-after` in seconds. Dates are not understood."""
    said = error.passed_headers if isinstance(error, UpstreamRefused) else {}
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            value = float(said.get(name, ""))
        except ValueError:
            continue
        if 0 <= value < 1e9:
            return value * unit_s
    return float(error.retry_after_s) if error.retry_after_s is not None else None


def sleep(wait_s: float, wake: Signal, clock: Callable[[], float], slice_s: float) -> Steps[None]:
    """Passes the time in slices, so that a client that waits can be pinged. `wake` ends it."""
    until = clock() + wait_s
    while (left_s := until - clock()) > 0 and not wake.told:
        yield Until(wake, min(left_s, slice_s))


def within(steps: Steps[T], until: float, clock: Callable[[], float], told: str) -> Steps[T]:
    """The steps' result, or UpstreamTimeout at `until`. Work that is being done then is still finished: it has limits of
    its own."""
    try:
        pause = steps.send(None)
        while True:
            if not isinstance(pause, Work):
                left_s = until - clock()
                if left_s <= 0:
                    raise UpstreamTimeout(told)
                if pause.wait_s > left_s:
                    pause = replace(pause, wait_s=left_s)
            try:
                answer = yield pause
            except Exception as error:  # what the work raised is for those who asked for it
                pause = steps.throw(error)
            else:
                pause = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()
