"""What goes wrong before an answer begins, the same at every simulated service: silence, resets, statuses, pages."""

from collections.abc import Callable

from gateway.sandbox import asking, delivery
from gateway.sandbox.errors import Refusal, invalid
from gateway.sandbox.faults import Fault, FaultQueue
from gateway.sandbox.refusing import envelope, html
from gateway.sandbox.wire import Connection


def take(queue: FaultQueue, prompt: str) -> Fault:
    """The Fault for a request with this prompt; 400 for a directive that cannot be read."""
    try:
        return queue.take(prompt)
    except ValueError as error:
        raise invalid(f"[sandbox: …] {error}") from error


def prompt_of(body: object) -> str:
    """The words of a Messages body's last turn, as far as it is one."""
    said = body.get("messages") if isinstance(body, dict) else None
    whole = isinstance(said, list) and all(isinstance(message, dict) for message in said)
    return asking.prompt_text(body) if whole and isinstance(body, dict) else ""


def last_words(turns: object) -> str:
    """The words of the last turn, whichever format it is written in."""
    return _words(turns[-1]) if isinstance(turns, list) and turns else turns if isinstance(turns, str) else ""


def _words(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, map(_words, value)))
    if isinstance(value, dict):
        return _words(value.get("text") or value.get("content") or value.get("parts") or "")
    return ""


def fails(fault: Fault, connection: Connection, refuse: Callable[[Fault], Refusal]) -> bool:
    """Waits as the fault says; whether that was all because the answer is no answer of a model."""
    if fault.wait_s:
        connection.wait(fault.wait_s)
    if fault.drop:
        connection.cut(reset=True)
    if fault.redirect_to:
        connection.reply(302, {"location": fault.redirect_to, "content-type": delivery.HTML}, html(302))
    elif fault.status and envelope(fault) == "html":
        connection.reply(fault.status, {"content-type": delivery.HTML}, html(fault.status))
    elif fault.status:
        raise refuse(fault)
    elif fault.body:
        delivery.spoilt(connection, fault)
    else:
        return False
    return True
