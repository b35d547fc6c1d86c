"""The simulated token endpoint gives tokens to the one account it knows, and Vertex AI takes no others."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials
from sandbox_client import Answered, Client

from gateway.sandbox import Fault, Sandbox

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
NOW = 1_800_000_000.0


@pytest.fixture
def sandbox(key_path: Path) -> Any:
    with Sandbox(key_path=key_path, environment={}, now=lambda: NOW) as running:
        yield running


def assertion(sandbox: Sandbox, key: Any = None, **changes: Any) -> str:
    info = json.loads(sandbox.service_account_json)
    key = key or serialization.load_pem_private_key(info["private_key"].encode(), password=None)
    claims = {
        "iss": info["client_email"],
        "aud": "https://oauth2.googleapis.com/token",
        "scope": SCOPE,
        "iat": NOW,
        "exp": NOW + 3600,
        **changes,
    }
    signed = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    return f"{signed}.{_encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def exchange(client: Client, made: str, grant: str = GRANT) -> Answered:
    return client.send("POST", "/token", urlencode({"grant_type": grant, "assertion": made}).encode())


def test_googles_own_library_gets_a_token_that_vertex_takes(key_path: Path) -> None:
    """A key file of the sandbox works with google-auth as it is."""
    with Sandbox(key_path=key_path, environment={}) as sandbox:
        info = json.loads(sandbox.service_account_json)
        credentials = Credentials.from_service_account_info(info, scopes=[SCOPE])  # type: ignore[no-untyped-call]
        credentials.refresh(Request())
        assert credentials.token.startswith("ya29.")
        assert sandbox.mints == 1
        assert Client(sandbox).ask(token=credentials.token).status == 200


def test_a_mint_is_answered_as_google_answers_it(sandbox: Sandbox, client: Client) -> None:
    """access_token, expires_in and token_type, and the life that was configured."""
    sandbox.expires_in_s = 120
    answered = exchange(client, assertion(sandbox))
    assert answered.status == 200
    assert answered.json | {"access_token": "-"} == {"access_token": "-", "expires_in": 120, "token_type": "Bearer"}


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"aud": "https://example.com"}, "invalid_grant", "Failed audience check"),
        ({"iss": "other@p.iam.gserviceaccount.com"}, "invalid_grant", "Invalid grant: account not found"),
        ({"exp": NOW + 3601}, "invalid_grant", "Token must be a short-lived token (60 minutes)"),
        ({"iat": NOW - 7200, "exp": NOW - 3600}, "invalid_grant", "Token must be a short-lived token (60 minutes)"),
        ({"iat": NOW + 400, "exp": NOW + 500}, "invalid_grant", "Token must be a short-lived token (60 minutes)"),
        ({"scope": ""}, "invalid_scope", "Empty or missing scope"),
        ({"scope": "everything"}, "invalid_scope", "Invalid OAuth scope"),
    ],
)
def test_a_wrong_claim_is_refused_in_googles_words(
    sandbox: Sandbox, client: Client, changes: dict[str, Any], error: str, description: str
) -> None:
    """400 with the error code and description that the real endpoint gives."""
    answered = exchange(client, assertion(sandbox, **changes))
    assert (answered.status, answered.json["error"]) == (400, error)
    assert description in answered.json["error_description"]
    assert sandbox.mints == 0


def test_a_signature_by_another_key_is_refused(sandbox: Sandbox, client: Client) -> None:
    """The signature is really verified."""
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    answered = exchange(client, assertion(sandbox, stranger))
    assert answered.json == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


@pytest.mark.parametrize("made", ["", "a.b", "a.b.c", "é.ü.ö"])
def test_what_is_no_assertion_is_refused_without_a_stumble(client: Client, made: str) -> None:
    """Garbage is a 400, never a 500."""
    assert exchange(client, made).status == 400


def test_another_grant_is_refused(sandbox: Sandbox, client: Client) -> None:
    """Only the JWT bearer grant is spoken."""
    assert exchange(client, assertion(sandbox), "authorization_code").json["error"] == "unsupported_grant_type"


def test_the_token_endpoint_can_be_made_to_fail(sandbox: Sandbox, client: Client) -> None:
    """Scripted faults of the endpoint strike once each, then it works."""
    sandbox.script(Fault(status=503), on="token")
    assert exchange(client, assertion(sandbox)).status == 503
    assert exchange(client, assertion(sandbox)).status == 200


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "CREDENTIALS_MISSING"),
        ("Bearer ya29.unknown", "ACCESS_TOKEN_EXPIRED"),
        ("Bearer gw-something", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        ("Basic Zm9v", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ],
)
def test_vertex_refuses_strange_credentials(client: Client, header: str | None, reason: str) -> None:
    """401 UNAUTHENTICATED in Google's envelope, with the reason."""
    path = "/v1/projects/p/locations/global/publishers/anthropic/models/claude-opus-5-5:rawPredict"
    answered = client.send("POST", path, b"{}", {"authorization": header} if header else {})
    assert answered.status == 401
    assert answered.json["error"]["status"] == "UNAUTHENTICATED"
    assert answered.json["error"]["details"][0]["reason"] == reason


def test_tokens_expire_and_can_be_revoked(key_path: Path) -> None:
    """After its life, and after a revocation, a token is answered 401."""
    clock = [NOW]
    with Sandbox(key_path=key_path, environment={}, now=lambda: clock[0], expires_in_s=60) as sandbox:
        client, token = Client(sandbox), sandbox.access_token()
        assert client.ask(token=token).status == 200
        clock[0] += 61
        assert client.ask(token=token).status == 401
        fresh = sandbox.access_token()
        sandbox.revoke_tokens()
        assert client.ask(token=fresh).status == 401


def test_a_token_of_a_small_scope_is_not_enough(sandbox: Sandbox, client: Client) -> None:
    """403 for a token without cloud-platform."""
    small = exchange(client, assertion(sandbox, scope="https://www.googleapis.com/auth/userinfo.email")).json["access_token"]
    answered = client.ask(token=small)
    assert (answered.status, answered.json["error"]["details"][0]["reason"]) == (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
