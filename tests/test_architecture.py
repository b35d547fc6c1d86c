"""The floors hold: imports go down only, rooms on one floor do not know each other, nothing is imported inside a function."""

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "gateway"
FLOORS = [
    {"canonical"},
    {"dialects", "catalog", "store", "credentials", "sandbox", "settings"},
    {"providers", "callers", "cache", "spending", "records", "telemetry"},
    {"routing"},
    {"answering", "administration"},
    {"doors"},
    {"app", "wires", "wsgi", "asgi", "probing", "start", "server", "serve", "__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(HOUSE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imports_of(tree: ast.AST) -> list[str]:
    """The rooms that a file imports, by name."""
    modules = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that the floors can be read"
            modules += [node.module] if node.module != "gateway" else [f"gateway.{alias.name}" for alias in node.names]
    return [m.split(".")[1] for m in modules if m.startswith("gateway.")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_a_file_imports_only_from_lower_floors(path: Path) -> None:
    """A room knows itself and what lies below it."""
    room = room_of(path)
    if room == "__init__":
        return
    assert room in FLOOR_OF, f"{room} stands on no floor: add it to FLOORS and to ARCHITECTURE.md"
    for other in imports_of(ast.parse(path.read_text())):
        if other in {room, "NAME", "VERSION"}:
            continue
        if FLOOR_OF[room] == len(FLOORS) - 1:
            continue
        assert FLOOR_OF[other] < FLOOR_OF[room], f"{path.name} ({room}) must not import {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_nothing_is_imported_inside_a_function(path: Path) -> None:
    """Heavy libraries are named as strings in a registry row and loaded at first use; nothing else is late."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            late = [n for n in ast.walk(function) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not late, f"{path.name}:{late[0].lineno} imports inside {function.name}"


def test_the_sandbox_shares_no_code_with_the_gateway() -> None:
    """A simulated Google must not share our bugs."""
    for path in (HOUSE / "sandbox").rglob("*.py"):
        others = set(imports_of(ast.parse(path.read_text()))) - {"sandbox"}
        assert not others, f"{path.name} imports {others}"
