"""One instance as a process of its own, for tests: makes calls of a given price against one budget until told to stop.

python ledger_instance.py STORE_URL CALLS_PER_S COST LIKELY WORST OPEN_S

Tells on standard output, as JSON lines, what it admitted, settled and refused; ends when standard input does, giving everything
back.
"""

import json
import random
import sys
import threading
import time

from ledger_doubles import StatedEstimates, call, plan, usage_document

from gateway.canonical.errors import BudgetExceeded, RateExceeded, Unavailable
from gateway.canonical.steps import run_blocking
from gateway.canonical.store import AlreadyExists
from gateway.canonical.usage import Usage
from gateway.spending.ledger import Ledger
from gateway.store import open_store

said = threading.Lock()


def say(**fact: object) -> None:
    with said:
        sys.stdout.write(json.dumps(fact) + "\n")
        sys.stdout.flush()


def main(store_url: str, calls_per_s: str, cost: str, likely: str, worst: str, open_s: str) -> None:
    store = open_store(store_url)
    store.get("budgets/bud_1", timeout_s=20.0)
    ledger = Ledger(store, StatedEstimates())
    stopping = threading.Event()
    chance = random.Random()
    threads = []

    def one_call(number: str) -> None:
        one = call(number, int(likely), int(worst))  # type: ignore[arg-type]
        try:
            hold = run_blocking(ledger.reserve(one, plan()))
        except (BudgetExceeded, RateExceeded) as error:
            say(refused=number, kind=type(error).__name__)
            return
        except Unavailable as error:
            say(unavailable=number, why=str(error.reason))
            return
        used = chance.randint(int(cost) // 2, int(cost))
        say(admitted=number, worst=int(worst))
        time.sleep(chance.uniform(0.5, 1.5) * float(open_s))
        writes = hold.settle(Usage(), used)
        say(settled=number, used=used)
        try:
            store.commit([usage_document(one, hold, used), *writes], timeout_s=10.0)
        except AlreadyExists:
            say(duplicate=number)

    say(ready=True)
    sys.stdin.readline()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    count = 0
    while not stopping.wait(chance.expovariate(float(calls_per_s))):
        count += 1
        threads.append(threading.Thread(target=one_call, args=(f"{id(store) % 9973}-{time.time_ns()}-{count}",), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(20)
    ledger.close(5.0)
    say(closed=True)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
