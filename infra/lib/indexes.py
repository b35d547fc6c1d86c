"""Makes the Firestore indexes, exemptions and TTL policies that infra/firestore.indexes.json asks for and that are missing.

    GOOGLE_ACCESS_TOKEN=… python3 infra/lib/indexes.py PROJECT DATABASE [--dry-run]

Over REST (Firestore Admin API v1, as of 2026-11-20), because `gcloud firestore indexes fields update` knows no index over
a collection group. Only what differs is written, and nothing is removed. Building goes on in the background.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

WANTED = Path(__file__).parent.parent / "firestore.indexes.json"
ENDPOINT = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_FIRESTORE", "https://firestore.googleapis.com/").rstrip("/")
TIMEOUT_S = 60
Json = dict[str, Any]
Change = tuple[str, str, Json]  # method, path below the database, body


def main(arguments: list[str]) -> int:
    """0, or 1 after saying what Firestore refused."""
    project, database = arguments[:2]
    parent = f"projects/{project}/databases/{database}"
    try:
        changes = list(missing(json.loads(WANTED.read_text()), *existing(parent)))
        for method, path, body in changes:
            sys.stdout.write(f"    {method} {path} {json.dumps(body)}\n")
            if "--dry-run" not in arguments:
                ask(method, f"{parent}/{path}", body)
    except Refused as refused:
        sys.stderr.write(f"error: {refused}\n")
        return 1
    sys.stdout.write(f"    {len(changes)} to make\n" if changes else "    all there\n")
    return 0


def missing(wanted: Json, indexes: list[Json], fields: list[Json]) -> Iterator[Change]:
    """What has to be asked for, in the file's order."""
    there = {composite_key(group_of(index), index) for index in indexes}
    for index in wanted["indexes"]:
        if composite_key(index["collectionGroup"], index) not in there:
            body = {"queryScope": index["queryScope"], "fields": index["fields"]}
            yield "POST", f"collectionGroups/{index['collectionGroup']}/indexes", body
    known = {(group_of(field), field["name"].rpartition("/")[2]): field for field in fields}
    for override in wanted["fieldOverrides"]:
        yield from field_changes(override, known.get((override["collectionGroup"], override["fieldPath"]), {}))


def field_changes(override: Json, known: Json) -> Iterator[Change]:
    group, path = override["collectionGroup"], override["fieldPath"]
    where = f"collectionGroups/{group}/fields/{quote(path)}"
    config = known.get("indexConfig")
    now = None if config is None or config.get("usesAncestorConfig") else {single_key(i) for i in config.get("indexes", [])}
    if now != {(index["queryScope"], order_of(index)) for index in override["indexes"]}:
        indexes = [{"queryScope": i["queryScope"], "fields": [{"fieldPath": path, **kind_of(i)}]} for i in override["indexes"]]
        yield "PATCH", f"{where}?updateMask=indexConfig", {"indexConfig": {"indexes": indexes}}
    if override.get("ttl") and known.get("ttlConfig", {}).get("state") not in ("ACTIVE", "CREATING"):
        yield "PATCH", f"{where}?updateMask=ttlConfig", {"ttlConfig": {}}


def composite_key(group: str, index: Json) -> tuple[Any, ...]:
    fields = [(f["fieldPath"], order_of(f)) for f in index["fields"] if f["fieldPath"] != "__name__"]  # Google adds that one
    return group, index["queryScope"], tuple(fields)


def single_key(index: Json) -> tuple[str, str]:
    return index["queryScope"], order_of(index["fields"][0])


def kind_of(index: Json) -> Json:
    return {key: index[key] for key in ("order", "arrayConfig", "vectorConfig") if key in index}


def order_of(index: Json) -> str:
    return json.dumps(kind_of(index), sort_keys=True)


def group_of(resource: Json) -> str:
    """projects/P/databases/D/collectionGroups/GROUP/…"""
    return str(resource["name"].split("/")[5])


def existing(parent: str) -> tuple[list[Json], list[Json]]:
    """Composite indexes, and fields whose settings are their own."""
    groups = f"{parent}/collectionGroups/-"
    own = list_all(f"{groups}/fields?filter=indexConfig.usesAncestorConfig:false", "fields")
    forgetting = list_all(f"{groups}/fields?filter=ttlConfig:*", "fields")
    merged = {field["name"]: field for field in [*forgetting, *own]}
    return list_all(f"{groups}/indexes", "indexes"), list(merged.values())


def list_all(path: str, member: str) -> list[Json]:
    found: list[Json] = []
    page = ""
    while True:
        joined = f"{path}{'&' if '?' in path else '?'}pageSize=300{page}"
        told = ask("GET", joined, None)
        found += told.get(member, [])
        if not told.get("nextPageToken"):
            return found
        page = f"&pageToken={quote(told['nextPageToken'])}"


class Refused(Exception):
    """Firestore's answer, with what to do."""


def ask(method: str, path: str, body: Json | None) -> Json:
    """One call; a database that is not there holds nothing. Refused."""
    request = urllib.request.Request(
        f"{ENDPOINT}/v1/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"authorization": f"Bearer {os.environ['GOOGLE_ACCESS_TOKEN']}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        words = error.read().decode("utf-8", "replace")[:500]
        if error.code == 409 or (error.code == 404 and method == "GET"):  # being made already; nothing there yet
            return {}
        raise Refused(f"{method} {path}: {error.code} {words}; you need roles/datastore.indexAdmin") from error
    except OSError as error:
        raise Refused(f"{method} {path}: {error}; is the network there?") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
