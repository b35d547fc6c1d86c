"""Golden files: what a request becomes in another wire format, and what a stream of another format becomes in ours.

`crossing/FORMAT/NAME.json` holds a client's body and the model that it goes to, `NAME.to-TARGET.json` what goes out and
what is named as dropped, or how it is refused. `crossing/streams/NAME.sse` is a provider's stream, `NAME.events.json` its
canonical events. After a change on purpose: `pytest tests/golden --update-golden`, then read the diff.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.errors import GatewayError, StreamBroken
from gateway.catalog.models import find
from gateway.dialects import TRANSLATIONS

FOLDER = Path(__file__).parent / "crossing"
TARGETS = {
    "openai": ["anthropic"],
    "openai-responses": ["anthropic", "openai"],
    "anthropic": ["openai", "openai-responses"],
}
PAIRS = [
    (path, target)
    for wire, targets in TARGETS.items()
    for path in sorted((FOLDER / wire).glob("*.json"))
    if ".to-" not in path.name
    for target in targets
]
STREAMS = sorted((FOLDER / "streams").glob("*.sse"))


def traits(name: str) -> ModelTraits:
    model = find(name)
    if model is None:
        return ModelTraits(name, "")
    return ModelTraits(model.id, model.vendor, model.max_output_tokens, model.capabilities)


def carry(path: Path, target: str) -> Any:
    case = json.loads(path.read_bytes())
    before = copy.deepcopy(case["body"])
    try:
        chat = TRANSLATIONS[path.parent.name].parse_chat(case["body"])
        body, dropped = TRANSLATIONS[target].render_chat(chat, traits(case["model"]), stream=case["body"].get("stream") is True)
    except GatewayError as error:
        return {"refused": {"status": error.status, "message": error.message}}
    assert case["body"] == before, "the client's own body was changed"
    return {"dropped": dropped, "body": body}


def compare(found: Any, expected: Path, pytestconfig: pytest.Config) -> None:
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    if pytestconfig.getoption("--update-golden"):
        expected.write_text(text)
    assert text == expected.read_text(), "read the difference; if it is meant: pytest tests/golden --update-golden"


@pytest.mark.parametrize(("path", "target"), PAIRS, ids=[f"{p.parent.name}/{p.stem}.to-{t}" for p, t in PAIRS])
def test_a_request_becomes_what_was_agreed(path: Path, target: str, pytestconfig: pytest.Config) -> None:
    """Every member of it, and what was left behind."""
    compare(carry(path, target), path.with_suffix(f".to-{target}.json"), pytestconfig)


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_providers_stream_becomes_what_was_agreed(path: Path, pytestconfig: pytest.Config) -> None:
    """However odd the server; in one piece and byte by byte alike."""
    stream = path.read_bytes()
    wire = "openai-responses" if b'"response.' in stream else "openai"
    found = [read(wire, stream, step) for step in (len(stream), 1)]
    assert found[0] == found[1]
    compare(found[0], path.with_suffix(".events.json"), pytestconfig)


def read(wire: str, stream: bytes, step: int) -> list[Any]:
    parser = TRANSLATIONS[wire].parse_stream()
    events: list[Any] = []
    try:
        for at in range(0, len(stream), step):
            events += parser.feed(stream[at : at + step])
        events += parser.end()
    except StreamBroken as broken:
        events.append({"broken": str(broken)})
    return events


def test_no_golden_file_lost_its_case() -> None:
    """A renamed case takes its results along."""
    kept = {path.with_suffix(f".to-{target}.json") for path, target in PAIRS}
    kept |= {path.with_suffix(".events.json") for path in STREAMS}
    assert {*FOLDER.glob("*/*.to-*.json"), *FOLDER.glob("streams/*.events.json")} == kept
