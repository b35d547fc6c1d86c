"""Golden files: what each inbound request becomes on its way to Vertex AI, byte for byte.

`NAME.json` is a request as a client sends it, `NAME.to-vertex.json` what goes out or how it is refused. After a change
on purpose: `pytest tests/golden --update-golden`, then read the diff.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.canonical.call import Call, Caller, Target
from gateway.canonical.errors import GatewayError
from gateway.canonical.json_object import JsonObject
from gateway.dialects import DIALECTS
from gateway.providers import vertex
from gateway.providers.provider import Lesson, Provider
from gateway.routing.plan import plan

FOLDER = Path(__file__).parent
INBOUND = sorted(path for path in FOLDER.glob("*/*.json") if not path.name.endswith(".to-vertex.json"))
PROVIDER = Provider(id="vertex", kind="vertex", credential="adc", project_id="acme-prod", locations=("global",))


def read_call(path: Path) -> Call:
    """The request in a golden file. The body's bytes are those in the file."""
    file = JsonObject(path.read_bytes())
    headers: dict[str, str] = file.value("headers")
    dialect = DIALECTS[path.parent.name]
    pattern, operation = next((p, o) for p, o in dialect.PATHS if p.search(file.value("path")))
    match = pattern.search(file.value("path"))
    assert match is not None
    request = dialect.parse_request(operation, match, {}, headers, file.raw("body"))
    return Call("req_1", Caller("key_1", "demo"), dialect.NAME, request, headers, at=0.0, started=0.0)


def prepare(path: Path, lesson: Lesson = Lesson()) -> tuple[dict[str, Any], bytes]:  # noqa: B008
    """What goes out: everything but the body, and the body."""
    try:
        call = read_call(path)
        target: Target = plan(call, {"vertex": PROVIDER}).targets[0]
        outgoing = vertex.prepare(call, target, "acme-prod", lesson)
    except GatewayError as error:
        return {"refused": {"status": error.status, "type": error.kind, "message": error.message}}, b""
    rest = {"path": outgoing.path, "headers": dict(sorted(outgoing.headers.items())), "dropped": list(outgoing.dropped)}
    return rest, outgoing.body


def render(rest: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(rest, indent=2, ensure_ascii=False).encode()
    return (text.removesuffix(b"\n}") + b',\n  "body": ' + body + b"\n}\n") if body else text + b"\n"


@pytest.mark.parametrize("path", INBOUND, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_goes_to_vertex_is_what_was_agreed(path: Path, pytestconfig: pytest.Config) -> None:
    """Path, headers, what was dropped, and the body's bytes."""
    found = render(*prepare(path))
    expected = path.with_suffix(".to-vertex.json")
    if pytestconfig.getoption("--update-golden"):
        expected.write_bytes(found)
    assert found.decode() == expected.read_text(), f"read the difference; if it is meant: pytest {FOLDER.name} --update-golden"


@pytest.mark.parametrize("path", INBOUND, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_is_not_edited_keeps_its_bytes(path: Path) -> None:
    """`system`, `tools`, `thinking` and every field that nobody knows go out as they came in."""
    rest, body = prepare(path)
    if "refused" in rest:
        return
    sent, received = JsonObject(body), read_call(path).request.document
    edited = {"model", "anthropic_version", "stream"} | {name.partition(".")[0] for name in rest["dropped"]}
    for name in received.names():
        if name not in edited:
            assert sent.raw(name) == received.raw(name), name
    assert set(sent.names()) - set(received.names()) <= {"anthropic_version", "stream"}


def test_claude_codes_vertex_mode_passes_byte_for_byte() -> None:
    """It speaks the upstream's own dialect already."""
    path = FOLDER / "vertex" / "claude-code-vertex-mode-passes-byte-for-byte.json"
    assert prepare(path)[1] == read_call(path).request.document.source


def test_no_golden_file_lost_its_request() -> None:
    """A renamed request takes its answer along."""
    assert {p.name for p in FOLDER.glob("*/*.to-vertex.json")} == {p.with_suffix(".to-vertex.json").name for p in INBOUND}
