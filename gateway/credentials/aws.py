"""AWS credentials: key pairs that sign each request (Signature Version 4), or a Bedrock API key sent as bearer.

The secret is JSON, `{"access_key_id", "secret_access_key", "session_token"?, "region"?}`, or the API key as plain text.
Signing is botocore's, which is loaded by the first request that needs it. What is signed is what is sent: nothing may
change a request afterwards. Sources: AWS Signature Version 4 reference, Bedrock API keys guide, 2026-11-20.
"""

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from gateway.credentials.access_token import TokenError

LOADED_LATE = {"signing": "botocore.auth", "request": "botocore.awsrequest", "keys": "botocore.credentials"}
SERVICE = "bedrock"
REGION = re.compile(r"[a-z]{2,3}(?:-[a-z]+){1,3}-\d{1,2}")
_REGION_IN_HOST = re.compile(r"//(?:[^/]*\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")
_API_KEY = re.compile(r"[!-~]{8,4096}")
_FORM = (
    'store {"access_key_id":"AKIA…","secret_access_key":"…"}, with "session_token" and "region" where there are such, '
    "or a Bedrock API key as plain text"
)


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """A key pair; `session_token` belongs to keys that expire. `region` is where requests go that name no other."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None


@lru_cache(maxsize=64)
def parse_aws_credential(text: str) -> AwsKeys | str:
    """Keys, or an API key; TokenError says what a secret should hold, never what it holds."""
    if not text.startswith("{"):
        if _API_KEY.fullmatch(text):
            return text
        raise _unusable("it is neither JSON nor an API key")
    try:
        document = json.loads(text)
    except ValueError:
        raise _unusable("it is no valid JSON") from None
    keys = {name: document.get(name) for name in ("access_key_id", "secret_access_key", "session_token", "region")}
    for name, value in keys.items():
        if value is None and name in ("session_token", "region"):
            continue
        if not isinstance(value, str) or not _API_KEY.fullmatch(value):
            raise _unusable(f"{name} is missing or no plain text")
    if keys["region"] and not REGION.fullmatch(keys["region"]):
        raise _unusable("region is no AWS region such as us-east-1")
    return AwsKeys(**keys)


def _unusable(what: str) -> TokenError:
    return TokenError("aws_credential_unusable", f"the AWS credential cannot be used: {what}", _FORM, key_at_fault=True)


def authorize(
    text: str, method: str, url: str, headers: Mapping[str, str], body: bytes, *, region: str, at: float
) -> dict[str, str]:
    """The headers that let a request to Bedrock in. `at` is unix seconds; AWS takes signatures within five minutes.

    `region` is the one that is signed for if neither host nor credential names one. TokenError if the secret is unfit.
    """
    keys = parse_aws_credential(text)
    if isinstance(keys, str):
        return {"authorization": f"Bearer {keys}"}
    named = _REGION_IN_HOST.search(url)
    return sign(keys, method, url, headers, body, region=named[1] if named else keys.region or region, at=at)


def sign(
    keys: AwsKeys, method: str, url: str, headers: Mapping[str, str], body: bytes, *, region: str, at: float
) -> dict[str, str]:
    """`authorization`, `x-amz-date` and, for keys that expire, `x-amz-security-token`.

    Signed are the host, the date, `content-type` and every `x-amz-…` header: what no proxy changes.
    """
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": stamp} | ({"x-amz-security-token": keys.session_token} if keys.session_token else {})
    signed = {name: value for name, value in headers.items() if name == "content-type" or name.startswith("x-amz-")}
    request = _library("request").AWSRequest(method=method, url=url, headers=signed | added, data=body)
    request.context["timestamp"] = stamp
    pair = _library("keys").Credentials(keys.access_key_id, keys.secret_access_key)
    signer = _library("signing").SigV4Auth(pair, SERVICE, region)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    proof = f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, Signature={signature}"
    return {"authorization": proof, **added}


def _library(part: str) -> Any:
    return importlib.import_module(LOADED_LATE[part])
