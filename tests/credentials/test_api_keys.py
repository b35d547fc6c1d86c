"""Keys by reference: read once in a while, read anew when they were refused, and never told."""

from pathlib import Path

import pytest

from gateway.credentials.access_token import TokenError
from gateway.credentials.api_keys import AT_HAND_S, ApiKeys
from gateway.credentials.secrets import Secrets


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def environment() -> dict[str, str]:
    return {"KEY": "sk-one"}


@pytest.fixture
def keys(clock: Clock, environment: dict[str, str]) -> ApiKeys:
    return ApiKeys(Secrets(clock, environment=environment), clock)


def test_a_key_is_at_hand_after_it_was_read(keys: ApiKeys, clock: Clock) -> None:
    """So that a call does not block for it; a while later it is looked at again."""
    assert keys.at_hand("env:KEY") is None
    key = keys.token("env:KEY")
    assert (key.value, keys.at_hand("env:KEY")) == ("sk-one", key)
    clock.at += AT_HAND_S
    assert keys.at_hand("env:KEY") is None
    assert keys.token("env:KEY") == key == keys.at_hand("env:KEY")


def test_a_changed_key_has_another_fence(keys: ApiKeys, environment: dict[str, str]) -> None:
    """A call that used the old one and was refused is tried again with the new one."""
    old = keys.token("env:KEY")
    environment["KEY"] = "sk-two"
    assert keys.refused("env:KEY", old.fence)
    new = keys.token("env:KEY")
    assert (new.value, new.fence != old.fence) == ("sk-two", True)
    assert keys.refused("env:KEY", old.fence), "a straggler with the old key is worth a retry too"


def test_a_refused_key_that_did_not_change_is_no_reason_to_retry(keys: ApiKeys) -> None:
    """The operator has to mend it."""
    assert not keys.refused("env:KEY", keys.token("env:KEY").fence)


def test_the_environments_own_key_is_the_key_itself(keys: ApiKeys) -> None:
    """No reference: nothing is read."""
    key = keys.token("sk-inline")
    assert (key.value, keys.refused("sk-inline", key.fence), keys.project_id("sk-inline")) == ("sk-inline", False, None)


def test_an_unreadable_reference_is_the_operators_to_mend(keys: ApiKeys, tmp_path: Path) -> None:
    """The reference is named, and a caller is told nothing of it."""
    with pytest.raises(TokenError) as error:
        keys.token(f"file:{tmp_path}/missing")
    assert "missing" in str(error.value) and "missing" not in error.value.message


def test_a_key_does_not_show(keys: ApiKeys) -> None:
    """In no log line that prints it."""
    assert "sk-one" not in repr(keys.token("env:KEY"))
