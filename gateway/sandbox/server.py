"""The sandbox itself: its life, and the handles that tests hold."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.sandbox.anthropic_api import AnthropicApi
from gateway.sandbox.bedrock import Bedrock
from gateway.sandbox.claude import Claude
from gateway.sandbox.faults import Fault
from gateway.sandbox.gemini import Gemini
from gateway.sandbox.key_file import account, write
from gateway.sandbox.keys import Keys
from gateway.sandbox.listening import Listener, is_loopback
from gateway.sandbox.openai_api import OpenAi
from gateway.sandbox.recording import Recorded
from gateway.sandbox.secret_manager import Secrets
from gateway.sandbox.serving import Serving
from gateway.sandbox.thinking import Signer
from gateway.sandbox.tokens import TokenOffice
from gateway.sandbox.vertex import Vertex


class SandboxRefused(RuntimeError):
    """The sandbox must not run here; says why, and what to do instead."""


class Sandbox:
    """A simulated Google on loopback, and beside it Anthropic's own API, Bedrock, OpenAI's API and Gemini, all at one URL
    and told apart by their paths. Attributes may be changed while it runs; all methods are safe across threads.

    key_path: where the throwaway service-account key is kept (made if missing); None keeps it in memory.
    expires_in_s: life of access tokens. pace_s: pause before each streamed delta, so that people see it type.
    now: wall clock in unix seconds, for the life of tokens and cached prompts.
    """

    def __init__(
        self,
        *,
        key_path: Path | None = None,
        project: str = "sandbox-project",
        expires_in_s: int = 3599,
        pace_s: float = 0.0,
        now: Callable[[], float] = time.time,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._key_path = key_path
        self._environment = environment
        self._account = account(project, key_path)
        key = self._account.key.public_key()
        self._tokens = TokenOffice(email=self._account.email, key=key, now=now, expires_in_s=expires_in_s)
        claude = Claude(Signer(self._account.pem.encode()), now)
        self._keys = Keys.drawn_from(self._account.pem.encode())
        self._vertex = Vertex(self._tokens, claude, pace_s)
        services = (
            AnthropicApi(self._keys, self._tokens, claude, pace_s),
            Bedrock(self._keys, claude, now, pace_s),
            OpenAi(self._keys, claude, pace_s),
            Gemini(self._keys, self._tokens, claude, self._account.pem.encode(), pace_s),
        )
        self._serving = Serving(self._tokens, self._vertex, services)
        self._listener: Listener | None = None

    def start(self, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Listens on a loopback address; port 0 takes a free one. SandboxRefused on Cloud Run or another address."""
        if self._environment.get("K_SERVICE"):
            raise SandboxRefused("the sandbox is refused on Cloud Run (K_SERVICE is set); configure a real provider")
        if not is_loopback(host):
            raise SandboxRefused(f"the sandbox listens on loopback only, not on {host!r}; use 127.0.0.1")
        if self._listener:
            raise SandboxRefused(f"the sandbox runs already, at {self.url}; call stop() first")
        self._listener = Listener(host, port, self._serving.serve)
        if self._key_path:
            write(self._key_path, self.service_account_json)
        return self

    def stop(self) -> None:
        """Closes the port and every open connection. May be called again."""
        if self._listener:
            self._listener.stop()
            self._listener = None

    def __enter__(self) -> Self:
        return self if self._listener else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, which replaces the host of Vertex AI and of Secret Manager."""
        if self._listener is None:
            raise SandboxRefused("the sandbox is not running; call start() first")
        return self._listener.url

    @property
    def token_uri(self) -> str:
        return f"{self.url}/token"

    @property
    def service_account_json(self) -> str:
        """A key file of the account that the token endpoint knows."""
        return self._account.document(self.token_uri)

    @property
    def api_key(self) -> str:
        """The key that Anthropic's API, OpenAI's, Gemini's and Bedrock take here."""
        return self._keys.api_key

    @property
    def aws_json(self) -> str:
        """The AWS key pair that Bedrock takes here, as JSON with `access_key_id` and `secret_access_key`."""
        return self._keys.aws_json

    @property
    def requests(self) -> list[Recorded]:
        """The last requests, oldest first: at most 1,000, and 64 MiB of bodies."""
        return self._serving.recorder.requests()

    @property
    def mints(self) -> int:
        """How many tokens the token endpoint gave."""
        return self._tokens.mints

    @property
    def expires_in_s(self) -> int:
        """Life of the tokens given from now on, in seconds."""
        return self._tokens.expires_in_s

    @expires_in_s.setter
    def expires_in_s(self, seconds: int) -> None:
        self._tokens.expires_in_s = seconds

    @property
    def secrets(self) -> Secrets:
        """Secret Manager's content by `projects/P/secrets/S`."""
        return self._serving.secrets

    @property
    def betas(self) -> set[str]:
        """The `anthropic-beta` values that inference takes; discard one and it is refused by name."""
        return self._vertex.taken_betas

    @property
    def denied_projects(self) -> set[str]:
        """Projects whose calls are answered 403."""
        return self._vertex.denied_projects

    def access_token(self) -> str:
        """A working token without the way through the token endpoint; not counted in `mints`."""
        return self._tokens.issue()

    def revoke_tokens(self) -> None:
        """Every token given so far is answered 401 from now on."""
        self._tokens.revoke_all()

    def script(self, *faults: Fault, on: str = "inference") -> None:
        """Queues faults for the next requests of a kind: inference and count_tokens (Claude on Vertex AI), token, secrets, or
        the name of a service: anthropic, bedrock, openai, gemini."""
        self._serving.queues[on].add(*faults)

    def clear(self) -> None:
        """Forgets all faults that were queued."""
        self._serving.clear()

    def state(self) -> dict[str, Any]:
        """Mints, and requests by path and status; the same as `GET /_sandbox/state`."""
        return self._serving.state()
