"""infra/terraform read without terraform: blocks and arguments against the provider's schema, names against what is declared."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "provisioner"}
HOUSEKEEPING = {"__is_block__", "__comments__", "__inline_comments__"}

DECLARED = re.compile(r'^(resource|data|variable|output) "([\w-]+)"(?: "([\w-]+)")? \{', re.MULTILINE)
LOCAL = re.compile(r"^  ([a-z_]+)\s+=", re.MULTILINE)
NAMED = {
    "variable": re.compile(r"\bvar\.(\w+)"),
    "local": re.compile(r"\blocal\.(\w+)"),
    "resource": re.compile(r"(?<![\w.\"])(google_\w+\.\w+)"),
    "data": re.compile(r"\bdata\.(\w+\.\w+)"),
}
COMMENT = re.compile(r"(?m)(?:^|\s)#.*$")


def texts(module: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(module.glob("*.tf"))}


def unquoted(name: str) -> str:
    return name.strip('"')


def unknown_arguments(parsed: Json, schema: Json) -> Iterator[str]:
    """What the schema does not have, and what it requires and is not there. `parsed` is one file, as python-hcl2 gives it."""
    for kind, rows in (("resource", schema["resources"]), ("data", schema["data"])):
        for entry in parsed.get(kind, []):
            for type_name, named in entry.items():
                if type_name in HOUSEKEEPING:
                    continue
                row = rows.get(unquoted(type_name))
                for name, body in named.items():
                    if name in HOUSEKEEPING:
                        continue
                    path = f"{unquoted(type_name)}.{unquoted(name)}"
                    yield from [f"{path}: no such {kind}"] if row is None else _faults(body, row["arguments"], path, META)


def _faults(body: Json, arguments: Json, path: str, beside: set[str]) -> Iterator[str]:
    given = {unquoted(name): value for name, value in body.items() if name not in HOUSEKEEPING}
    blocks = [(name, block) for name, value in given.items() if name != "dynamic" for block in _blocks(value)]
    named_dynamic = [pair for entry in given.get("dynamic", []) for pair in entry.items() if pair[0] not in HOUSEKEEPING]
    dynamic = [(unquoted(name), block["content"]) for name, block in named_dynamic]
    blocks += [(name, block) for name, content in dynamic for block in content]
    names = {*given, *(name for name, _ in dynamic)} - beside - {"dynamic"}
    for name in sorted(names - arguments.keys()):
        yield f"{path}.{name}: no such argument"
    for name in sorted(name for name, row in arguments.items() if row.get("required") and name not in names):
        yield f"{path}.{name}: missing"
    for name, block in blocks:
        if "block" in arguments.get(name, {}):
            yield from _faults(block, arguments[name]["block"], f"{path}.{name}", set())
    for name, value in given.items():
        taken = arguments.get(name, {}).get("values")
        if taken and isinstance(value, str) and re.fullmatch(r'"[^$]+"', value) and unquoted(value) not in taken:
            yield f"{path}.{name} = {value}: one of {', '.join(taken)}"


def _blocks(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict) and "__is_block__" in one] if isinstance(value, list) else []


def declared(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Names by kind; a resource's is `type.name`."""
    found: dict[str, set[str]] = {"resource": set(), "data": set(), "variable": set(), "output": set(), "local": set()}
    for text in files.values():
        for kind, first, second in DECLARED.findall(text):
            found[kind].add(f"{first}.{second}" if second else first)
        for block in re.findall(r"^locals \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            found["local"] |= set(LOCAL.findall(block))
    return found


def named(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Names by kind, as expressions use them."""
    text = COMMENT.sub("", "\n".join(files.values()))
    found = {kind: set(pattern.findall(text)) for kind, pattern in NAMED.items()}
    return {**found, "resource": {name for name in found["resource"] if f"data.{name}" not in text}}
