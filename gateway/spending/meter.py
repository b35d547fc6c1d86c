"""What a call used: the provider's figures where it gave them, an estimate that is marked as one where it did not."""

from gateway.canonical.dialect import StreamWatch
from gateway.canonical.usage import Tokens, Usage

BYTES_PER_TOKEN = 4


class Meter:
    """Watches one answer pass. Chunks are looked at, never held."""

    def __init__(self, request_bytes: int, watch: StreamWatch | None) -> None:
        self._request_bytes = request_bytes
        self._watch = watch
        self._bytes = 0
        self._plain: Usage | None = None

    def watch(self, chunk: bytes) -> None:
        self._bytes += len(chunk)
        if self._watch is not None:
            self._watch.feed(chunk)

    def count(self, chunk: bytes) -> None:
        """One that the watch has seen before."""
        self._bytes += len(chunk)

    def settle_plain(self, usage: Usage | None, body_bytes: int) -> None:
        """A plain answer is whole: its usage, if it could be read."""
        self._plain = usage
        self._bytes = body_bytes

    def usage(self) -> Usage:
        found = self._plain or (self._watch.usage() if self._watch is not None else None)
        return found or self._estimate()

    def _estimate(self) -> Usage:
        tokens = Tokens(input=self._request_bytes // BYTES_PER_TOKEN, output=self._bytes // BYTES_PER_TOKEN)
        return Usage(tokens=tokens, completeness="estimated")
