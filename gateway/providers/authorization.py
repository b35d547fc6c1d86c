"""How a request proves who sends it: the headers that each kind of provider wants a credential turned into.

Applied to the finished request, last of all, because a signature covers it. A 401 afterwards is the affair of whoever
gave the value.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.canonical.late import Late
from gateway.credentials.access_token import TokenError
from gateway.providers.provider import Outgoing

aws_signing: Any = Late("gateway.credentials.aws")
bedrock: Any = Late("gateway.providers.bedrock")
_ONE_LINE = re.compile(r"[!-~]{1,4096}")


def bearer(value: str, location: str, url: str, outgoing: Outgoing, at: float) -> Mapping[str, str]:
    """Google's access tokens, and the keys of OpenAI and of those who are compatible."""
    return {"authorization": f"Bearer {_key(value)}"}


google = bearer


def api_key(value: str, location: str, url: str, outgoing: Outgoing, at: float) -> Mapping[str, str]:
    """Anthropic's own API."""
    return {"x-api-key": _key(value)}


def google_api_key(value: str, location: str, url: str, outgoing: Outgoing, at: float) -> Mapping[str, str]:
    """The Gemini API, which is not Vertex AI."""
    return {"x-goog-api-key": _key(value)}


def aws(value: str, location: str, url: str, outgoing: Outgoing, at: float) -> Mapping[str, str]:
    """Bedrock: a signature over this very request, or an API key as bearer."""
    region = bedrock.region_of(location)
    headers: Mapping[str, str] = aws_signing.authorize(value, "POST", url, outgoing.headers, outgoing.body, region=region, at=at)
    return headers


def _key(value: str) -> str:
    """A value that fits into one header line; what it holds is told to nobody."""
    if _ONE_LINE.fullmatch(value):
        return value
    mend = "store the key alone, as plain text on one line"
    raise TokenError("api_key_unusable", "the provider's credential is no API key", mend, key_at_fault=True)
