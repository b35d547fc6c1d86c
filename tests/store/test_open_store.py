"""From a URL to a store: what is understood, what is refused, and what opening must not do."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.store import STORES, open_store

GOOD = ["sqlite:///a.db", "sqlite:///a/b.db", "sqlite:////var/a.db", "firestore://acme/(default)", "firestore://-/gateway"]
BAD = ["", "sqlite", "sqlite:a.db", "sqlite://", "sqlite:///", "sqlite://a.db", "sqlite:///a/", "sqlite:///:memory:",
       "postgres://a/b", "firestore://", "firestore://a", "firestore://a/",
       "firestore:///x", "firestore://a/b/c"]  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_a_url_opens_its_store_without_touching_anything(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file, no connection, no credentials are needed before the first call."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    open_store(url).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", BAD)
def test_a_url_that_names_no_store_is_refused_with_the_right_form(url: str) -> None:
    """The error shows how the URL should look."""
    with pytest.raises(ValueError, match=r"sqlite:///PATH|firestore://PROJECT/DATABASE"):
        open_store(url)


def test_every_row_says_how_its_url_looks() -> None:
    """The form begins with the scheme it is registered under."""
    assert all(kind.url_form.startswith(f"{scheme}://") for scheme, kind in STORES.items())


def test_opening_a_store_does_not_load_googles_libraries() -> None:
    """They take half a second and are loaded at the first call, after the port is open."""
    script = """
import sys
from gateway.store import open_store
open_store("sqlite:///a.db"), open_store("firestore://acme/(default)")
print([name for name in sys.modules if name.startswith(("google.cloud.", "google.api_core", "grpc"))])
"""
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=30)
    assert (run.stdout, run.stderr) == ("[]\n", "")
