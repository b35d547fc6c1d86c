"""Tokens at rest: who can find one, and who can open it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.credentials.sealing import sealing_of

KEY, OTHER_KEY = b"k" * 1200, b"o" * 1200
SCOPE, ENDPOINT = "scope", "https://oauth2.googleapis.com/token"
SEALING = sealing_of(KEY, SCOPE, ENDPOINT)


def test_a_sealed_token_opens_with_the_same_key() -> None:
    """Another instance with the same key, scope and endpoint finds the same document and reads it."""
    twin = sealing_of(KEY, SCOPE, ENDPOINT)
    assert twin.fingerprint == SEALING.fingerprint
    assert twin.open(SEALING.seal("ya29.secret", "tokens/x#1"), "tokens/x#1") == "ya29.secret"


def test_key_scope_and_endpoint_each_make_another_fingerprint() -> None:
    """Tokens that differ in what they were minted with, for or where are never mixed up."""
    others = [sealing_of(OTHER_KEY, SCOPE, ENDPOINT), sealing_of(KEY, "other", ENDPOINT), sealing_of(KEY, SCOPE, "http://other")]
    assert len({SEALING.fingerprint, *(other.fingerprint for other in others)}) == 4
    sealed = SEALING.seal("ya29.secret", "c")
    assert [other.open(sealed, "c") for other in others] == [None, None, None]


def test_a_sealed_token_cannot_be_moved() -> None:
    """Copied to another document, or kept beyond its fence, it does not open."""
    sealed = SEALING.seal("ya29.secret", "tokens/x#1")
    assert SEALING.open(sealed, "tokens/y#1") is None
    assert SEALING.open(sealed, "tokens/x#2") is None


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(deadline=None, max_examples=60)
def test_one_changed_byte_spoils_it(position: int, change: int) -> None:
    """Tampering anywhere gives nothing rather than something else."""
    sealed = bytearray(SEALING.seal("ya29.secret", "c"))
    sealed[position % len(sealed)] ^= change
    assert SEALING.open(bytes(sealed), "c") is None


@given(st.binary(max_size=64))
@settings(deadline=None, max_examples=60)
def test_any_bytes_may_stand_there(noise: bytes) -> None:
    """Garbage opens to None, never to an exception."""
    assert SEALING.open(noise, "c") is None


def test_sealing_twice_gives_different_bytes_without_the_token() -> None:
    """Nonces are fresh, and the token is not readable."""
    first, second = SEALING.seal("ya29.secret", "c"), SEALING.seal("ya29.secret", "c")
    assert first != second
    assert b"ya29" not in first + second


def test_neither_repr_shows_a_key() -> None:
    """What may end up in a log names the fingerprint alone."""
    assert repr(SEALING) == f"KeySealing(fingerprint='{SEALING.fingerprint}')"
