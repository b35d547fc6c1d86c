"""AWS Signature Version 4, checked as AWS describes it: written anew, so that it can find fault with other signers.

Source: AWS General Reference, "Create a signed AWS API request", read 2026-11-20.
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from urllib.parse import quote

from gateway.sandbox.keys import Keys
from gateway.sandbox.wire import Request

PROOF = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/, ]+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[^, ]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
SKEW_S_MAX = 300.0
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and "
    "signing method. Consult the service documentation for details."
)


class Refused(Exception):
    """The signature is no good: the name of AWS's exception, and its message."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def check(request: Request, keys: Keys, service: str, now: float) -> None:
    """Refused unless the request was signed with these keys within five minutes."""
    proof = PROOF.fullmatch(request.headers.get("authorization", ""))
    if proof is None:
        raise Refused("IncompleteSignatureException", "Authorization header requires Credential, SignedHeaders and Signature.")
    if proof["id"] != keys.access_key_id:
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    names = proof["names"].split(";")
    must = {"host", "x-amz-date"} | {name for name in request.headers if name.startswith("x-amz-")}
    if proof["service"] != service or names != sorted(names) or not must <= set(names):
        wanted = f"Credential should be scoped to {service} and sign {', '.join(sorted(must))}."
        raise Refused("InvalidSignatureException", wanted)
    stamp = request.headers.get("x-amz-date", "")
    if abs(_moment(stamp) - now) > SKEW_S_MAX or not stamp.startswith(proof["day"]):
        raise Refused("InvalidSignatureException", f"Signature expired: {stamp} is not within 5 min. of now")
    scope = f"{proof['day']}/{proof['region']}/{service}/aws4_request"
    said = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(_canonical(request, names).encode()).hexdigest()))
    key = f"AWS4{keys.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.new(key, said.encode(), "sha256").hexdigest(), proof["signature"]):
        raise Refused("InvalidSignatureException", MISMATCH)


def _moment(stamp: str) -> float:
    """Unix seconds; the beginning of time for a stamp that is none."""
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _canonical(request: Request, names: list[str]) -> str:
    """The path is encoded once more than it stands on the wire; every service but S3 has it so."""
    headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names]
    payload = request.headers.get("x-amz-content-sha256") or hashlib.sha256(request.body).hexdigest()
    query = "&".join(sorted(request.query.split("&"))) if request.query else ""
    return "\n".join((request.method, quote(request.path, safe="/~"), query, "".join(headers), ";".join(names), payload))
