"""The smallest OpenID Connect provider there is, on loopback: it says yes at once. For a peer whose keys come from a sign-in."""

import base64
import json
import secrets
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT_ID = "bench"
CLIENT_SECRET = "bench-has-no-secrets"
PERSON = {"sub": "bench-1", "email": "bench@example.com", "email_verified": True}
ID_TOKEN_TTL_S = 3600


@dataclass(slots=True)
class Provider:
    """One person, one client. Codes are kept until they are exchanged."""

    issuer: str = ""
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048))
    nonces: dict[str, str] = field(default_factory=dict)

    def discovery(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0, section 3: the required members."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> dict[str, Any]:
        public = self.key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "bench", "n": number(public.n), "e": number(public.e)}
        return {"keys": [key]}

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to: nobody is asked anything."""
        code = secrets.token_urlsafe(16)
        self.nonces[code] = query.get("nonce", "")
        return f"{query['redirect_uri']}?{urllib.parse.urlencode({'code': code, 'state': query.get('state', '')})}"

    def exchange(self, form: dict[str, str]) -> dict[str, Any]:
        now = int(time.time())
        claims = {**PERSON, "iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + ID_TOKEN_TTL_S}
        token = self.sign({**claims, "nonce": self.nonces.pop(form.get("code", ""), "")})
        return {"access_token": "bench", "token_type": "Bearer", "expires_in": ID_TOKEN_TTL_S, "id_token": token}

    def sign(self, claims: dict[str, Any]) -> str:
        text = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": "bench"}, claims))
        return f"{text}.{encode(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@contextmanager
def provider_running() -> Iterator[str]:
    """The issuer's URL."""
    provider = Provider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(provider))
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="identity", daemon=True)
    thread.start()
    try:
        yield provider.issuer
    finally:
        server.shutdown()
        server.server_close()


def handler_for(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == "/authorize":
                self.answer(302, {}, location=provider.authorize(dict(urllib.parse.parse_qsl(query))))
            elif path == "/keys":
                self.answer(200, provider.keys())
            elif path == "/.well-known/openid-configuration":
                self.answer(200, provider.discovery())
            else:
                self.answer(404, {})

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            self.answer(200, provider.exchange(dict(urllib.parse.parse_qsl(form))))

        def answer(self, status: int, document: dict[str, Any], **headers: str) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nobody reads it."""

    return Handler


def number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
