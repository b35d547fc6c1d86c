"""`python -m gateway.sandbox`: the simulated Google as a process of its own, for benchmarks and multi-process tests."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from gateway.sandbox.server import Sandbox, SandboxRefused


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=9090, help="0 takes a free one")
    parser.add_argument("--key-file", type=Path, default=Path(".gateway/sandbox-key.json"), help="the service-account key")
    parser.add_argument("--pace-ms", type=float, default=0.0, help="pause before each streamed delta")
    chosen = parser.parse_args(arguments)
    done = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: done.set())
    try:
        sandbox = Sandbox(key_path=chosen.key_file, pace_s=chosen.pace_ms / 1000).start(chosen.host, chosen.port)
    except (SandboxRefused, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with sandbox:
        sys.stdout.write(
            f"{sandbox.url}\nservice-account key: {chosen.key_file}\ntoken endpoint: {sandbox.token_uri}\n"
            f"API key (Anthropic, OpenAI, Gemini, Bedrock): {sandbox.api_key}\nAWS keys: {sandbox.aws_json}\n"
        )
        sys.stdout.flush()
        done.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
