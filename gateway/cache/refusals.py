"""Answers that are whole and well paid for, and yet none to give again: refused by the model, or taken back by a filter.

Asked once more the model may well answer; and where meanings are compared, one refusal would stand for all that is near it.
Sources: Anthropic Messages, OpenAI Chat Completions and Responses, Google GenerateContent references, Bedrock InvokeModel
with guardrails, 2026-11-20.
"""

import base64
import binascii
import re

REFUSED = re.compile(
    rb'"stop_reason"\s*:\s*"refusal"'
    rb'|"finish_reason"\s*:\s*"content_filter"'
    rb'|"reason"\s*:\s*"content_filter"'
    rb'|"refusal"\s*:\s*"[^"]'
    rb'|"finishReason"\s*:\s*"(?!(?:STOP|MAX_TOKENS|FINISH_REASON_UNSPECIFIED)")'
    rb'|"blockReason"\s*:'
    rb'|"amazon-bedrock-guardrailAction"\s*:\s*"INTERVENED"'
)
"""Within a text that an answer holds, quotation marks are escaped: this is found in its structure alone."""
PACKED = re.compile(rb'"bytes"\s*:\s*"([A-Za-z0-9+/=]+)"')


def is_refused(body: bytes) -> bool:
    """Of a plain answer or all of a stream, in any wire format. An argument of a tool that looks like a refusal is taken for
    one: it costs no more than a miss."""
    return REFUSED.search(body) is not None or REFUSED.search(_unpacked(body)) is not None


def _unpacked(body: bytes) -> bytes:
    """What the frames of a Bedrock stream hold."""
    try:
        return b"\n".join(base64.b64decode(piece) for piece in PACKED.findall(body))
    except binascii.Error:
        return b""
