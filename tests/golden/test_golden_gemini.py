"""Golden files of Gemini: what Messages becomes on its way to Gemini and back, and what a Gemini client's words become.

`from-messages/NAME.json` is a Messages body → `.to-gemini.json`; `to-messages/` a Gemini client's → `.to-messages.json`;
`answers/` and `streams/` are Gemini's own, told to a Messages client; `streams-from-messages/` are Claude's, told to a
Gemini client. After a change on purpose: `pytest tests/golden --update-golden`, then read the diff.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.errors import GatewayError
from gateway.catalog.models import find
from gateway.dialects.anthropic import chat as anthropic_chat
from gateway.dialects.gemini import door as gemini

FOLDER = Path(__file__).parent / "gemini"
ASKED = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
THINKING = {"thinking": {"type": "adaptive"}}


def traits(name: str) -> ModelTraits:
    model = find(name)
    if model is None:
        return ModelTraits(name, "google")
    return ModelTraits(model.id, model.vendor, model.max_output_tokens, model.capabilities)


def from_messages(body: bytes) -> Any:
    request = json.loads(body)
    rendered, dropped = gemini.render_chat(anthropic_chat.parse_chat(request), traits(request["model"]), stream=True)
    return {"dropped": dropped, "body": rendered}


def to_messages(body: bytes) -> Any:
    chat = gemini.parse_chat(json.loads(body))
    return {"dropped": chat.dropped, "extras": chat.extras, "body": chat.body}


def answer(body: bytes) -> Any:
    message = gemini.parse_answer(json.loads(body))
    return anthropic_chat.render_answer(message, asked_model="gemini-3.8-flash", request=THINKING)


def stream(data: bytes) -> bytes:
    parser, renderer = gemini.parse_stream(), anthropic_chat.render_stream(asked_model="gemini-3.8-flash", request=THINKING)
    return b"".join(renderer.render(event) for event in [*parser.feed(data), *parser.end()])


def stream_from_messages(data: bytes) -> bytes:
    parser, renderer = anthropic_chat.parse_stream(), gemini.render_stream(asked_model="claude-opus-5-5", request=ASKED)
    return b"".join(renderer.render(event) for event in [*parser.feed(data), *parser.end()])


CASES: dict[str, tuple[str, str, Callable[[bytes], Any]]] = {
    "from-messages": (".json", ".to-gemini.json", from_messages),
    "to-messages": (".json", ".to-messages.json", to_messages),
    "answers": (".json", ".to-messages.json", answer),
    "streams": (".sse", ".to-messages.sse", stream),
    "streams-from-messages": (".sse", ".to-gemini.sse", stream_from_messages),
}
FILES = [
    path
    for folder, (ending, becomes, _) in CASES.items()
    for path in sorted((FOLDER / folder).glob(f"*{ending}"))
    if not path.name.endswith(becomes)
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_it_becomes_is_what_was_agreed(path: Path, pytestconfig: pytest.Config) -> None:
    """The body and what was dropped, or how it is refused."""
    ending, becomes, convert = CASES[path.parent.name]
    try:
        found = convert(path.read_bytes())
    except GatewayError as error:
        found = {"refused": {"status": error.status, "type": error.kind, "message": error.message}}
    data = found if isinstance(found, bytes) else json.dumps(found, indent=1, ensure_ascii=False).encode() + b"\n"
    expected = path.with_name(path.name.removesuffix(ending) + becomes)
    if pytestconfig.getoption("--update-golden"):
        expected.write_bytes(data)
    assert data.decode() == expected.read_text(), "read the difference; if it is meant: pytest tests/golden --update-golden"
