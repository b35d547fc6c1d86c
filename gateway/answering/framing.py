"""A stream in another outer form than its dialect's usual one, chosen by the client: the same events, wrapped otherwise."""

from gateway.canonical.dialect import Framing
from gateway.canonical.reply import Relay


def framed(relay: Relay, framing: Framing) -> Relay:
    """The relay's way, with its bytes in the other form."""
    try:
        step = next(relay)
        while True:
            if isinstance(step, bytes):
                if wrapped := framing.feed(step):
                    yield wrapped
                step = next(relay)
                continue
            try:
                answer = yield step
            except Exception as error:
                step = relay.throw(error)
            else:
                step = relay.send(answer)
    except StopIteration:
        yield framing.end()
    finally:
        relay.close()
