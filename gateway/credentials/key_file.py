"""Tokens for a service-account key: parse, sign, exchange. Loaded at first use, for it brings cryptography and requests."""

from dataclasses import dataclass, field

import requests

from gateway.credentials.access_token import SCOPE, AccessToken, TokenError
from gateway.credentials.sealing import KeySealing, sealing_of
from gateway.credentials.service_account import KeyFault, ServiceAccountKey, parse_service_account
from gateway.credentials.timing import Timing
from gateway.credentials.token_endpoint import TokenEndpoint


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A TokenSource. Its tokens are shared between instances, sealed."""

    key: ServiceAccountKey
    sealing: KeySealing
    endpoint: TokenEndpoint = field(repr=False)
    timing: Timing = field(repr=False)

    @property
    def account(self) -> str:
        return self.key.client_email

    @property
    def project_id(self) -> str | None:
        return self.key.project_id

    def mint(self) -> AccessToken:
        """One POST to the operator's token endpoint; TokenError."""
        at = self.timing.now()
        value, lifetime_s = self.endpoint.exchange(self.key.sign_assertion(SCOPE, at), self.account)
        return AccessToken.minted(value, lifetime_s, at)


def open_source(text: str, token_uri: str, session: requests.Session | None, timing: Timing) -> KeyFile:
    """From a key file's text; TokenError if it is not one."""
    try:
        key = parse_service_account(text)
    except KeyFault as fault:
        what, _, mend = str(fault).partition("; ")
        raise TokenError("key_fault", what, mend, key_at_fault=True) from None
    return KeyFile(key, sealing_of(key.pkcs8(), SCOPE, token_uri), TokenEndpoint(token_uri, session, timing), timing)
