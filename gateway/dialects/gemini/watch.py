"""Reading Gemini answers as they pass: usage, the answered model, the end, an error. Nothing is changed or held back.

Every chunk of a stream may bear `usageMetadata`; the figures are cumulative, so only the last chunk is parsed, and only when
somebody asks. `finishReason`, `blockReason` and `error` are looked for in the bytes first.
Source: Google's streamGenerateContent reference, 2026-11-20.
"""

from dataclasses import replace
from typing import Any

import msgspec

from gateway.canonical.usage import Usage
from gateway.dialects.gemini.errors import KINDS
from gateway.dialects.gemini.usage import count_searches, meter
from gateway.dialects.sse import WholeRecords, data_of

FRAME_BYTES = 330  # what a chunk holds beside its text
CHARACTERS_PER_TOKEN = 4
FIRST_WORD = b'"parts"'
_SIGNS = (b'"finishReason"', b'"blockReason"', b'"error"')
Json = dict[str, Any]


class GeminiStreamWatch:
    """Fed every chunk of an `alt=sse` stream in order, in any cutting; LF and CRLF alike."""

    def __init__(self) -> None:
        self.ended = False
        self.spoke = False
        self.error_kind: str | None = None
        self._records = WholeRecords()
        self._last = b""  # the last whole record with figures, as it came
        self._bytes = 0
        self._count = 0

    @property
    def may_end(self) -> bool:
        return self.ended

    @property
    def at_boundary(self) -> bool:
        return self._records.at_boundary

    @property
    def answered_model(self) -> str | None:
        model = _parse_record(self._last).get("modelVersion")
        return model if isinstance(model, str) else None

    def feed(self, chunk: bytes) -> None:
        whole = self._records.take(chunk)[:-2]
        if not whole:
            return
        self.spoke = self.spoke or FIRST_WORD in whole
        self._bytes += len(whole)
        self._count += whole.count(b"\n\ndata:") + whole.startswith(b"data:")
        if (place := whole.rfind(b'"promptTokenCount"')) >= 0:  # Vertex AI's first chunks bear `trafficType` alone
            self._last = whole[max(0, whole.rfind(b"\n\n", 0, place)) :].lstrip(b"\n").partition(b"\n\n")[0]
        if any(sign in whole for sign in _SIGNS):
            for record in whole.split(b"\n\n"):
                self._read(_parse_record(record))

    def _read(self, record: Json) -> None:
        error, feedback, candidates = record.get("error"), record.get("promptFeedback"), record.get("candidates")
        if isinstance(error, dict):
            self.error_kind = KINDS.get(str(error.get("status")), "api_error")
        listed = candidates if isinstance(candidates, list) else []
        finished = [isinstance(each, dict) and bool(each.get("finishReason")) for each in listed]
        self.ended = self.ended or any(finished) or (isinstance(feedback, dict) and bool(feedback.get("blockReason")))

    def usage(self) -> Usage | None:
        if not self._last:
            return None
        record = _parse_record(self._last)
        metadata = record.get("usageMetadata")
        candidates = record.get("candidates")
        searches = count_searches(candidates[0]) if isinstance(candidates, list) and candidates else 0
        usage = meter(metadata if isinstance(metadata, dict) else {}, searches)
        if self.ended:
            return usage
        output = max(usage.tokens.output, self._output_tokens_relayed())
        return replace(usage, tokens=replace(usage.tokens, output=output), completeness="partial")

    def _output_tokens_relayed(self) -> int:
        """An estimate from the bytes that passed: for answers cut before their own figures came."""
        relayed = self._bytes + self._records.forgotten + len(self._records.tail)
        return max(0, relayed - self._count * FRAME_BYTES) // CHARACTERS_PER_TOKEN


def _parse_record(record: bytes) -> Json:
    try:
        parsed = msgspec.json.decode(data_of(record))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
