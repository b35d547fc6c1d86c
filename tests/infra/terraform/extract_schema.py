"""What the tests need of the google provider's schema, from a published description of it, as `provider_schema.json`.

    python tests/infra/terraform/extract_schema.py PATH/.jsii > tests/infra/terraform/provider_schema.json

Source: the file `.jsii` in the npm package `@cdktf/provider-google` 16.12.1 (bindings generated from provider 6.50.0; the package
is archived). It holds every resource, block and argument with its original name, whether it is required, and its description,
in which the values that an argument takes are listed. Run it again when infra/terraform uses a further kind of resource.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from hcl import declared, texts

MODULE = Path(__file__).parents[3] / "infra" / "terraform"
PROVIDER = "6.50.0"
SOURCE = "extract_schema.py, from .jsii of npm @cdktf/provider-google 16.12.1"
SCALARS = {"string": "string", "number": "number", "boolean": "bool"}
TAKES = re.compile(r"(?:Possible|Allowed|Valid) values(?: are)?:? *\[([^\]]*)\]")
QUOTED = re.compile(r'"([A-Za-z0-9_.\-]+)"')
ORIGINAL = re.compile(r"docs/(resources|data-sources)/(\w+)(?:#(\w+))?")
JSII_OWN = {
    "cdktfStack", "complexObjectIndex", "complexObjectIsFromSet", "constructNodeMetadata", "creationStack", "fqn",
    "friendlyUniqueId", "internalValue", "isEmpty", "node", "rawOverrides", "terraformAttribute", "terraformGeneratorMetadata",
    "terraformMetaArguments", "terraformResource", "terraformResourceType", "tfResourceType",
}  # fmt: skip

Json = dict[str, Any]


def extract(described: Json) -> Json:
    types: Json = described["types"]
    names = declared(texts(MODULE))
    wanted = {"resources": kinds(names["resource"]), "data": kinds(names["data"])}
    found: Json = {"provider": PROVIDER, "source": SOURCE, "resources": {}, "data": {}}
    for name, owner in types.items():
        said = json.dumps(owner.get("docs", {})) + owner.get("name", "")
        match = ORIGINAL.search(said)
        if not match or not owner.get("initializer") or f"{name}Config" not in types:
            continue
        kind = "resources" if match[1] == "resources" else "data"
        original = f"google_{match[2]}"
        if original in wanted[kind]:
            rows = arguments(types, f"{name}Config")
            found[kind][original] = {"arguments": rows, "computed": computed(types[name], rows)}
    if missing := (wanted["resources"] - found["resources"].keys()) | (wanted["data"] - found["data"].keys()):
        raise SystemExit(f"not in this description: {', '.join(sorted(missing))}")
    return {**found, "resources": dict(sorted(found["resources"].items()))}


def kinds(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def arguments(types: Json, name: str) -> Json:
    rows = {}
    for prop in types[name].get("properties", []):
        row = argument(types, prop)
        original = ORIGINAL.search(prop.get("docs", {}).get("remarks", "") or prop.get("docs", {}).get("summary", ""))
        rows[original[3] if original and original[3] else snake(prop["name"])] = row
    return dict(sorted(rows.items()))


def argument(types: Json, prop: Json) -> Json:
    row: Json = {} if prop.get("optional") else {"required": True}
    many, inner = unwrapped(prop["type"])
    if inner in types and types[inner]["kind"] == "interface":
        rows = arguments(types, inner)
        given = {name: kind for name, kind in computed(types.get(f"{inner}OutputReference", {}), rows).items() if kind != "any"}
        return {**row, "block": rows, **({"computed": given} if given else {}), **({"many": True} if many else {})}
    row["type"] = f"{many}({SCALARS.get(inner, inner)})" if many else SCALARS.get(inner, inner)
    docs = prop.get("docs", {})
    listed = TAKES.search(f"{docs.get('summary', '')} {docs.get('remarks', '')}")
    values = QUOTED.findall(listed[1]) if listed else []
    return {**row, "values": values} if values else row


def unwrapped(kind: Json) -> tuple[str | None, str]:
    """`list` or `map` if it is one, and what it is of."""
    if "union" in kind:
        own = [one for one in kind["union"]["types"] if one.get("fqn") != "cdktf.IResolvable"]
        return unwrapped(own[0]) if own else (None, "any")
    if "collection" in kind:
        of = kind["collection"]
        return ("map" if of["kind"] == "map" else "list"), unwrapped(of["elementtype"])[1]
    return None, kind.get("primitive") or kind["fqn"]


def computed(owner: Json, given: Json) -> Json:
    """What the provider fills in: names and types; `any` for what is itself an object."""
    rows = {}
    for prop in owner.get("properties", []):
        name = snake(prop["name"])
        if prop.get("static") or prop["name"] in JSII_OWN or name.endswith("_input") or name in given or name == "timeouts":
            continue
        many, inner = unwrapped(prop["type"])
        kind = {"cdktf.StringMap": "map(string)", "cdktf.IResolvable": "bool"}.get(inner, SCALARS.get(inner, "any"))
        rows[name] = f"{many}({kind})" if many and kind != "any" else kind
    return dict(sorted(rows.items()))


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(extract(json.loads(Path(sys.argv[1]).read_text())), separators=(",", ":")) + "\n")
