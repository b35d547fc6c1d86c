"""The smallest request there is, sent to one model at one place: how `provider test` finds out what works."""

import time

from gateway.administration.provider_tests import ProbeResult
from gateway.canonical.call import AttemptRecord, Call, Caller, Operation, Request, Target
from gateway.canonical.errors import GatewayError, StreamBroken
from gateway.canonical.json_object import JsonObject
from gateway.canonical.steps import run_blocking
from gateway.catalog.models import find, vendor_of
from gateway.dialects import DIALECTS
from gateway.providers import PROVIDERS
from gateway.providers.provider import Provider
from gateway.providers.send import Sender

ASKED: dict[str, tuple[str, Operation, bytes]] = {
    "chat": ("anthropic", "generate", b'{"max_tokens":1,"messages":[{"role":"user","content":"."}]}'),
    "embedding": ("openai-embeddings", "embed", b'{"input":"."}'),
}
"""By what a model is for: in which format, and how."""
ANSWER_BYTES_MAX = 1024 * 1024


class Prober:
    """Asks as the gateway itself would, outside any project: no record is written."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def probe(self, provider: Provider, model: str, location: str) -> ProbeResult:
        call = _call(model)
        wire = PROVIDERS[provider.kind].wire_for(vendor_of(model), DIALECTS[call.dialect].WIRE)
        if wire is None:
            return ProbeResult(0, f"a {provider.kind} provider does not speak to {model} here")
        target = Target(provider, model, model, location, wire)
        tries: list[AttemptRecord] = []
        started = time.monotonic()
        try:
            attempt = run_blocking(self._sender.send(call, target, tries))
            if attempt.body is None:
                run_blocking(self._sender.read_whole(attempt.exchange, ANSWER_BYTES_MAX))
            return ProbeResult(200, latency_ms=round((time.monotonic() - started) * 1000))
        except (GatewayError, StreamBroken) as error:
            words = error.reason if isinstance(error, GatewayError) and error.status == 502 else str(error)
            return ProbeResult(tries[-1].status if tries else 0, words)


def _call(model: str) -> Call:
    """For words, or for a vector of a model that makes those."""
    known = find(model)
    dialect, operation, body = ASKED[known.mode if known else "chat"]
    return Call(
        id="probe",
        caller=Caller(key_id="probe", project="probe"),
        dialect=dialect,
        request=Request(operation, model, stream=False, document=JsonObject(body)),
        headers={},
        at=time.time(),
        started=time.monotonic(),
    )
