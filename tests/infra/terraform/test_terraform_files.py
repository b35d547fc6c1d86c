"""infra/terraform as text: what can be held without terraform, and what it shares with the gateway's code."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from deployment import INFRA, MODULE, SCHEMA
from hcl import declared, named, texts, unknown_arguments
from house import served

from gateway.canonical.store import Json
from gateway.settings import SETTINGS

HOUSE = Path(__file__).parents[3] / "gateway"
FILES = texts(MODULE)
VARIABLES = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', FILES["variables.tf"], re.MULTILINE | re.DOTALL)
OVERRIDES = json.loads((INFRA / "firestore.indexes.json").read_text())["fieldOverrides"]

# Which collection groups each module writes `expires_at` to. In administration/keys.py and the doors it is a key's end,
# kept as `valid_until`.
WRITERS = {
    "administration/people.py": {"usage"},
    "cache/entry.py": {"cache"},
    "cache/semantic.py": {"embeddings"},
    "credentials/shared_tokens.py": {"tokens"},
    "providers/lessons.py": {"lessons"},
    "records/document.py": {"usage"},
    "records/rollups.py": {"rollups"},
    "routing/health.py": {"health"},
    "spending/account.py": {"periods"},
    "spending/alerts.py": {"alerts"},
    "spending/lapsed.py": {"usage", "reconciled"},
    "spending/transfers.py": {"allowances"},
}
NOT_OF_THE_STORE = {"administration/keys.py", "doors/cli/keys.py"}
YET_TO_COME: set[str] = set()  # of rooms that are being built: policy or writer may be there first


def writes_expiry(tree: ast.AST) -> bool:
    """Whether some object literal has the member `expires_at`, or it is assigned."""
    for node in ast.walk(tree):
        keys: list[Any] = node.keys if isinstance(node, ast.Dict) else []
        if isinstance(node, ast.Assign):
            keys = [target.slice for target in node.targets if isinstance(target, ast.Subscript)]
        if any(isinstance(key, ast.Constant) and key.value == "expires_at" for key in keys):
            return True
    return False


def test_whatever_the_code_lets_expire_has_a_ttl_policy() -> None:
    """Modules are found by reading them; a new one has to say here which collection it writes to."""
    found = {str(path.relative_to(HOUSE)) for path in HOUSE.rglob("*.py") if writes_expiry(ast.parse(path.read_text()))}
    assert found - NOT_OF_THE_STORE == WRITERS.keys(), "name the collection in WRITERS, and its policy in the indexes file"
    policies = {row["collectionGroup"] for row in OVERRIDES if row.get("ttl")}
    assert policies - YET_TO_COME == set().union(*WRITERS.values()) - YET_TO_COME


def test_there_is_one_file_for_each_thing() -> None:
    """A newcomer finds the secrets in secrets.tf."""
    things = {"service", "service_accounts", "iam", "secrets", "firestore", "registry", "scheduler", "monitoring", "logging",
              "alerts", "pubsub", "domain", "variables", "outputs", "versions", "main"}  # fmt: skip
    assert {name.removesuffix(".tf") for name in FILES} == things
    assert all(text.startswith("# ") for text in FILES.values()), "each says in its first line what it is for"


@pytest.mark.infra
def test_every_argument_is_one_that_the_provider_has() -> None:
    """Provider 6.50: names, nesting, required ones and values, in dynamic blocks too."""
    hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is not installed")
    faults = [fault for text in FILES.values() for fault in unknown_arguments(hcl2.loads(text), SCHEMA)]
    assert not faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('resource "google_nothing" "x" {}', "no such resource"),
        ('resource "google_pubsub_topic" "x" {\n  nam = "x"\n}', "google_pubsub_topic.x.nam: no such argument"),
        ('resource "google_pubsub_topic" "x" {\n}', "google_pubsub_topic.x.name: missing"),
        (
            'resource "google_firestore_field" "x" {\n  collection = "c"\n  field = "f"\n  dynamic "ttl" {\n'
            "    for_each = [1]\n    content {}\n  }\n}",
            "google_firestore_field.x.ttl: no such argument",
        ),
        (
            'resource "google_secret_manager_secret" "x" {\n  secret_id = "x"\n  replication {\n'
            "    auto {\n      a = 1\n    }\n  }\n}",
            "google_secret_manager_secret.x.replication.auto.a: no such argument",
        ),
        (
            'resource "google_firestore_database" "x" {\n  name = "x"\n  location_id = "l"\n  type = "SQL"\n}',
            "one of FIRESTORE_NATIVE",
        ),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found_without_terraform(text: str, fault: str) -> None:
    """The check above can fail."""
    hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is not installed")
    assert any(fault in found for found in unknown_arguments(hcl2.loads(text + "\n"), SCHEMA))


def test_every_name_that_is_used_is_declared_and_the_other_way_round() -> None:
    """References between resources, variables and locals; nothing that may be chosen without effect."""
    there, used = declared(FILES), named(FILES)
    for kind in ("resource", "data", "variable", "local"):
        assert used[kind] <= there[kind], kind
    assert there["variable"] == used["variable"]
    assert there["local"] == used["local"]


def test_every_variable_is_typed_described_and_refuses_nonsense() -> None:
    """A type and a description each; a validation wherever a wrong text would be found out late."""
    free = {"labels", "create_database", "keep_database", "point_in_time_recovery", "vertex_key_file", "vertex_key_json",
            "admin_key_version", "vertex_key_version", "secret_locations", "telemetry", "uptime_check", "pipeline"}  # fmt: skip
    for name, body in VARIABLES:
        assert "  type " in body and "  description = " in body, name
        assert "validation {" in body or name in free, name


def test_the_gateway_knows_every_setting_that_is_set() -> None:
    """In service.tf and in the list of those that cannot be set twice."""
    known = {row.name for row in SETTINGS}
    text = FILES["service.tf"] + FILES["variables.tf"]
    assert set(re.findall(r"\b(?:GATEWAY|VERTEX)_[A-Z_]*[A-Z]\b", text)) <= known


def test_metrics_read_fields_that_log_lines_have(tmp_path: Path) -> None:
    """From the line of a real call through a real gateway."""
    with served(tmp_path) as gateway:
        assert gateway.ask().status_code == 200
        assert gateway.post("/v1/messages", {}, key="gw-" + "0" * 43).status_code == 401
        call, refusal = gateway.log_lines()[-2:]
    for path in set(re.findall(r"jsonPayload\.([a-z_.]+)", FILES["logging.tf"])) - {"operation"}:
        assert has(call, path), path
    labels = set(re.findall(r"\b(?:status|model|provider|project|dialect)\b", FILES["logging.tf"]))
    assert labels <= call.keys()
    assert {"request_id", "status"} <= refusal.keys() and "schema_version" not in refusal


def has(line: Json, path: str) -> bool:
    value: Any = line
    for name in path.split("."):
        value = value[0] if isinstance(value, list) else value
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def test_dashboard_and_alerts_look_at_metrics_that_are_made() -> None:
    """The dashboard is JSON whose queries name our log-based metrics, or Cloud Run's own."""
    made = set(re.findall(r"^    (\w+) += \{", FILES["logging.tf"], re.MULTILINE))
    text = (MODULE / "dashboard.json").read_text()
    dashboard = json.loads(text.replace("${metric}", "METRIC").replace("${name}", "tollgate"))
    queries = re.findall(r'"prometheusQuery": "((?:[^"\\]|\\.)*)"', json.dumps(dashboard))
    assert len(queries) >= len(dashboard["mosaicLayout"]["tiles"])
    for query in [*queries, *re.findall(r"query += \"(.*)\"", FILES["alerts.tf"])]:
        names = re.findall(r"(?:METRIC|\$\{local\.own_metric\})_(\w+?)(?:_bucket|_sum)?\{", query)
        assert set(names) <= made, query
        assert names or "run_googleapis_com:container_" in query, query
        assert query.count("(") == query.count(")") and query.count("{") == query.count("}")


def test_the_script_and_terraform_run_the_gateway_alike() -> None:
    """Whichever way it was deployed: the same size, the same schedule, the same probes."""
    script = (INFRA / "deploy.sh").read_text()
    given = re.compile(r'^  default += "?(.*?)"?$', re.MULTILINE)
    default = {name: found[1] for name, body in VARIABLES if (found := given.search(body))}
    size = "CPU={cpu} MEMORY={memory_mib}Mi CONCURRENCY={concurrency} INSTANCES_MAX={max_instances}"
    assert f"{size} SWEEP_SCHEDULE='{{sweep_schedule}}'".format(**default) in script
    for figure in ("path=/livez", "--timeout=3600", "--cpu-throttling", "--cpu-boost"):
        assert figure in script


def test_the_deploy_page_names_variables_outputs_and_settings_that_there_are() -> None:
    """Whatever it tells people to set or to read."""
    page = (INFRA.parent / "docs" / "deploy.md").read_text()
    there = declared(FILES)
    assert set(re.findall(r"output -raw (\w+)", page)) <= there["output"]
    assert set(re.findall(r"`(\w+) = ", page)) <= there["variable"]
    assert set(re.findall(r"-target=(\w+\.\w+)", page)) <= there["resource"]
    assert set(re.findall(r"\bGATEWAY_[A-Z_]+\b", page)) <= {row.name for row in SETTINGS}


def test_no_file_holds_what_belongs_to_one_deployment() -> None:
    """No key, and neither state nor values are ever committed."""
    assert {"*.tfstate*", "*.tfvars", ".terraform/"} <= set((MODULE / ".gitignore").read_text().split())
    for name, text in FILES.items():
        assert not re.search(r"-----BEGIN|AIza[\w-]{30}|ya29\.|gw-[\w-]{43}", text), name
        assert not re.search(r"\t| +$|\r", text, re.MULTILINE) and text.endswith("}\n"), name
