"""Secrets by reference: files, environment variables, and what is said when one cannot be read."""

import os
from pathlib import Path

import pytest
from token_doubles import HandClock

from gateway.canonical.secret_reference import is_secret_reference
from gateway.credentials.secrets import SecretError, Secrets


def secrets(**environment: str) -> Secrets:
    return Secrets(HandClock().now, environment=environment)


def test_a_variable_is_read_each_time() -> None:
    """Another value counts at once, and white space around it is no part of it."""
    environment = {"KEY": " first\r\n"}
    reader = Secrets(HandClock().now, environment=environment)
    assert reader.read("env:KEY") == "first"
    environment["KEY"] = "second"
    assert reader.read("env:KEY") == "second"


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A rotated key file counts from the next read on; an unchanged one is not opened again."""
    path = tmp_path / "key"
    path.write_text("\ufefffirst\n")
    reader = secrets()
    assert reader.read(f"file:{path}") == "first"
    stamp = path.stat()
    path.write_text("other")
    os.truncate(path, stamp.st_size)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert reader.read(f"file:{path}") == "first", "same time, size and inode: not looked into"
    path.write_text("second")
    assert reader.read(f"file:{path}") == "second"


def test_a_file_swapped_by_renaming_is_seen(tmp_path: Path) -> None:
    """Mounted secrets are replaced by renaming, with the old file's times if it comes to that."""
    path, other = tmp_path / "key", tmp_path / "other"
    path.write_text("first")
    other.write_text("secnd")
    for file in (path, other):
        os.utime(file, ns=(1, 1))
    reader = secrets()
    assert reader.read(f"file:{path}") == "first"
    other.replace(path)
    assert reader.read(f"file:{path}") == "secnd"


def test_a_file_that_appears_is_read_at_once(tmp_path: Path) -> None:
    """A fault of a file is not remembered: putting the file there mends it."""
    reader, path = secrets(), tmp_path / "key"
    with pytest.raises(SecretError, match="No such file or directory; check the path"):
        reader.read(f"file:{path}")
    path.write_text("value")
    assert reader.read(f"file:{path}") == "value"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:NOT_SET", "env:NOT_SET: this variable is not set; set it"),
        ("env:EMPTY", "env:EMPTY: it is empty; store a value"),
        ("file:/", "file:/: Is a directory; check the path"),
        ("file:a\0b", "it is not a path; check the path"),
        ("projects/p/secrets/s", "write projects/P/secrets/S/versions/V"),
        ("projects/p/secrets/s/versions/", "write projects/P/secrets/S/versions/V"),
        ("projects/p/locations/l/secrets/s/versions/1", "write projects/P/secrets/S/versions/V"),
        ("projects/p/secrets/s/versions/1\n", "write projects/P/secrets/S/versions/V"),
    ],
    ids=repr,
)
def test_a_fault_names_reference_cause_and_mend(reference: str, words: str) -> None:
    """Whoever reads the message knows which secret it is about and what to do."""
    with pytest.raises(SecretError) as caught:
        secrets(EMPTY="\n").read(reference)
    assert words in str(caught.value)


def test_bytes_that_are_no_text_are_named_and_not_shown(tmp_path: Path) -> None:
    """A key store or archive in place of a text is refused without a byte of it."""
    path = tmp_path / "key"
    path.write_bytes(b"\xff\xfesecret")
    with pytest.raises(SecretError, match="not UTF-8") as caught:
        secrets().read(f"file:{path}")
    assert caught.value.__context__ is None


def test_a_secret_put_where_a_reference_belongs_is_not_echoed() -> None:
    """What is no reference may be the secret itself."""
    with pytest.raises(SecretError, match="a text of 10 characters") as caught:
        secrets().read("sk-live-42")
    assert "sk-live" not in str(caught.value)


def test_what_is_meant_as_a_reference_is_told_by_its_beginning() -> None:
    """Three schemes, nothing else."""
    assert all(map(is_secret_reference, ["projects/p/secrets/s/versions/1", "file:x", "env:X", "projects/p"]))
    assert not any(map(is_secret_reference, ["adc", "{}", "./key.json", "sk-live-42", ""]))
