"""One instance as a process of its own, for tests: told on standard input what to do, answering a JSON line for each.

python token_instance.py STORE_URL TOKEN_URI KEY_PATH THREADS
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from gateway.credentials import key_file  # imported ahead, so that all instances ask at the same moment
from gateway.credentials.google_tokens import TokenBroker
from gateway.credentials.secrets import Secrets
from gateway.store import open_store


def main(store_url: str, token_uri: str, key_path: str, thread_count: str) -> None:
    assert key_file
    store = open_store(store_url)
    store.get("tokens/nobody", timeout_s=20.0)
    broker = TokenBroker(store, Secrets(time.time), token_uri)
    fence = 0
    answer: object = "ready"
    with ThreadPoolExecutor(int(thread_count)) as threads:
        for line in sys.stdin:
            if line.strip() == "refuse":
                answer = broker.refused(key_path, fence)
            elif line.strip() == "token":
                started = time.monotonic()
                tokens = list(threads.map(lambda _: broker.token(key_path), range(int(thread_count))))
                fence = tokens[0].fence
                answer = {"values": sorted({token.value for token in tokens}), "waited_s": time.monotonic() - started}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
