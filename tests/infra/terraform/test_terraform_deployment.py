"""What the real terraform makes of infra/terraform, against the google provider's real schema (6.50): validated and applied."""

import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from deployment import INFRA, LEAST, MODULE, PROJECT, Deployed, Refused, Terraform

from gateway.settings import read

pytestmark = pytest.mark.infra
INDEXES: dict[str, list[dict[str, Any]]] = json.loads((INFRA / "firestore.indexes.json").read_text())
URL = "https://tollgate-123456789012.europe-west1.run.app"


@pytest.fixture
def source(tmp_path: Path) -> str:
    with zipfile.ZipFile(tmp_path / "tollgate.zip", "w") as archive:
        archive.writestr("main.py", "")
    return str(tmp_path / "tollgate.zip")


def test_the_files_are_formatted(terraform: Terraform) -> None:
    """As `terraform fmt` has it, so that diffs show changes alone."""
    done = subprocess.run(["terraform", "fmt", "-check", "-diff", str(MODULE)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_it_is_valid_and_a_second_apply_changes_nothing(terraform: Terraform) -> None:
    """Every resource, argument, type and reference; what was applied is what is asked for; and it can be removed again."""
    terraform.run("validate")
    terraform.apply()
    assert "No changes" in terraform.plan()
    terraform.run("destroy", "-input=false", "-auto-approve", **LEAST)
    assert terraform.run("state", "list") == ""


def test_the_gateway_accepts_the_environment_that_it_is_given(deployed: Deployed) -> None:
    """Unknown names and wrong values stop its start; here they stop the test."""
    settings = read(deployed.environment)
    assert settings.store == f"firestore://{PROJECT}/(default)"
    assert settings.public_url == URL == deployed.outputs["url"]
    assert settings.vertex_project_id == PROJECT
    assert settings.vertex_service_account_json is None, "no key where none is needed"
    assert settings.alert_topic == f"projects/{PROJECT}/topics/tollgate-budget-alerts"


def test_an_instance_starts_without_any_secret_having_a_value(deployed: Deployed) -> None:
    """Secrets are references that the gateway reads late: no mount, no version, nothing for Cloud Run to look up."""
    assert not deployed.all("google_secret_manager_secret_version")
    assert not any(row["value_source"] for row in deployed.container["env"])
    assert not deployed.container["volume_mounts"]
    assert deployed.environment["GATEWAY_ADMIN_KEY"].endswith("/secrets/tollgate-admin-key/versions/latest")


def test_values_of_secrets_reach_neither_state_nor_plan(terraform: Terraform) -> None:
    """Write-only arguments from ephemeral variables."""
    value, key = "a-secret-of-forty-characters-0123456789ab", '{"private_key":"not-for-the-state"}'
    given = {"admin_key": value, "admin_key_version": 1, "vertex_key_file": True, "vertex_key_json": key, "vertex_key_version": 1}
    planned = terraform.plan(**given)
    deployed = terraform.apply(**given)
    assert len(deployed.all("google_secret_manager_secret_version")) == 2
    assert not any(secret in text for secret in (value, "not-for-the-state") for text in (deployed.state, planned))


def test_it_is_sized_and_probed_as_the_deploy_page_argues(deployed: Deployed) -> None:
    """Paid by the request, an hour for a call, /livez for both probes, nothing at rest."""
    service = deployed.one("google_cloud_run_v2_service")["template"][0]
    container = deployed.container
    assert (service["timeout"], service["max_instance_request_concurrency"]) == ("3600s", 250)
    assert service["scaling"] == [{"max_instance_count": 10, "min_instance_count": 0}]
    assert container["resources"] == [{"cpu_idle": True, "limits": {"cpu": "1", "memory": "512Mi"}, "startup_cpu_boost": True}]
    assert {container[probe][0]["http_get"][0]["path"] for probe in ("startup_probe", "liveness_probe")} == {"/livez"}


def test_it_is_open_at_iam_and_says_so_itself(deployed: Deployed) -> None:
    """Clients put their gateway key where Google's check would look for its own token."""
    assert deployed.one("google_cloud_run_v2_service")["invoker_iam_disabled"] is True
    assert not deployed.all("google_cloud_run_v2_service_iam_member")


def test_the_runtime_account_may_do_no_more_than_it_needs(deployed: Deployed) -> None:
    """Its own database, its own secrets, its own topic, Vertex AI."""
    member = f"serviceAccount:tollgate-run@{PROJECT}.iam.gserviceaccount.com"
    grants = [row for row in deployed.all("google_project_iam_member") if row["member"] == member]
    assert {row["role"] for row in grants} == {"roles/datastore.user", "roles/aiplatform.user"}
    store = next(row for row in grants if row["role"] == "roles/datastore.user")
    assert f"projects/{PROJECT}/databases/(default)" in store["condition"][0]["expression"]
    secrets = deployed.all("google_secret_manager_secret_iam_member")
    assert [(row["secret_id"], row["member"]) for row in secrets] == [("tollgate-admin-key", member)]
    assert deployed.one("google_pubsub_topic_iam_member")["member"] == member


def test_the_sweep_comes_with_a_token_that_the_gateway_accepts(deployed: Deployed) -> None:
    """Audience and address are those that its settings name."""
    target = deployed.one("google_cloud_scheduler_job")["http_target"][0]
    settings = read(deployed.environment)
    assert target["uri"] == f"{settings.public_url}/admin/v1/sweep"
    assert target["oidc_token"] == [{"audience": settings.public_url, "service_account_email": settings.sweep_email}]


def test_what_forgets_and_what_is_indexed_is_what_the_indexes_file_says(deployed: Deployed) -> None:
    """One source of truth: every override and every composite index of infra/firestore.indexes.json, and no other."""
    made = {(row["collection"], row["field"]): row for row in deployed.all("google_firestore_field")}
    assert made.keys() == {(row["collectionGroup"], row["fieldPath"]) for row in INDEXES["fieldOverrides"]}
    for wanted in INDEXES["fieldOverrides"]:
        field = made[wanted["collectionGroup"], wanted["fieldPath"]]
        assert bool(field["ttl_config"]) == wanted.get("ttl", False)
        indexes = [(row["query_scope"], row["order"], row["array_config"]) for row in field["index_config"][0]["indexes"]]
        assert indexes == [(row["queryScope"], row.get("order"), row.get("arrayConfig")) for row in wanted["indexes"]]
    composites = [
        {
            "collectionGroup": row["collection"],
            "queryScope": row["query_scope"],
            "fields": [_index_field(field) for field in row["fields"]],
        }
        for row in deployed.all("google_firestore_index")
    ]
    assert sorted(map(json.dumps, composites)) == sorted(map(json.dumps, INDEXES["indexes"]))


def _index_field(field: dict[str, Any]) -> dict[str, Any]:
    """As the indexes file has it."""
    if not field["vector_config"]:
        return {"fieldPath": field["field_path"], "order": field["order"]}
    (vectors,) = field["vector_config"]
    return {"fieldPath": field["field_path"], "vectorConfig": {"dimension": vectors["dimension"], "flat": vectors["flat"][0]}}


def test_the_database_is_backed_up_and_outlives_the_configuration(deployed: Deployed) -> None:
    """A destroy leaves what people would miss."""
    database = deployed.one("google_firestore_database")
    assert database["type"] == "FIRESTORE_NATIVE"
    assert (database["deletion_policy"], database["delete_protection_state"]) == ("ABANDON", "DELETE_PROTECTION_ENABLED")
    assert deployed.one("google_firestore_backup_schedule")["retention"] == "604800s"


def test_the_outputs_are_the_next_commands(deployed: Deployed) -> None:
    """A value for the admin key, a project, a key: in this order, with nothing left to fill in."""
    steps = deployed.outputs["next_steps"].splitlines()
    assert [words in step for words, step in zip(("versions add", "versions access", "projects", "keys"), steps, strict=True)]
    assert all("tollgate-admin-key" in step for step in steps[:2])
    assert steps[2].endswith(f"""{URL}/admin/v1/projects -d '{{"id":"demo"}}'""")
    for step in steps:
        assert subprocess.run(["bash", "-n"], input=step, text=True, timeout=10).returncode == 0


def test_the_first_step_of_the_deploy_page_makes_what_a_build_needs(terraform: Terraform) -> None:
    """Before there is an image: the place for images, and an account that may push there."""
    commands = (INFRA.parent / "docs" / "deploy.md").read_text()
    targets = re.findall(r"-target=\S+", commands)
    assert len(targets) == 2
    terraform.run("apply", "-input=false", "-auto-approve", *targets, **LEAST)
    made = terraform.run("state", "list").split()
    assert "google_artifact_registry_repository.images" in made
    assert not [name for name in made if "cloud_run" in name]
    assert terraform.run("output", "-raw", "build_account").endswith(f"/tollgate-build@{PROJECT}.iam.gserviceaccount.com")


def test_a_key_file_takes_the_place_of_the_runtime_accounts_own_right(terraform: Terraform) -> None:
    """By choice: the key lies in Secret Manager, and the account itself may not call Vertex AI."""
    deployed = terraform.apply(vertex_key_file=True, secrets=["anthropic-api-key"])
    settings = read(deployed.environment)
    assert settings.vertex_service_account_json == deployed.outputs["secret_references"]["vertex-key"]
    assert "roles/aiplatform.user" not in {row["role"] for row in deployed.all("google_project_iam_member")}
    assert deployed.outputs["secret_references"]["anthropic-api-key"].endswith("/tollgate-anthropic-api-key/versions/latest")
    assert len(deployed.all("google_secret_manager_secret_iam_member")) == 3


def test_by_variable_it_is_a_function_from_source(terraform: Terraform, source: str) -> None:
    """The same settings, account and address; a thread for each open call."""
    deployed = terraform.apply(runtime="function", function_source_zip=source, image=None)
    assert not deployed.all("google_cloud_run_v2_service")
    function = deployed.one("google_cloudfunctions2_function")
    service = function["service_config"][0]
    assert function["build_config"][0]["entry_point"] == "gateway"
    environment = dict(service["environment_variables"])
    assert environment.pop("THREADS") == "258"
    assert read({"K_SERVICE": "tollgate", **environment}).public_url == deployed.outputs["url"] == URL
    assert (service["timeout_seconds"], service["available_memory"]) == (3600, "512Mi")
    assert deployed.one("google_cloud_run_v2_service_iam_member")["member"] == "allUsers"


def test_closed_by_iam_only_the_named_come_in(terraform: Terraform) -> None:
    """And nothing that could not pass is made: no sweep job, no uptime check, no setting for them."""
    deployed = terraform.apply(access="iam", invokers=["group:eng@example.com"])
    assert deployed.one("google_cloud_run_v2_service")["invoker_iam_disabled"] is False
    assert deployed.one("google_cloud_run_v2_service_iam_member")["member"] == "group:eng@example.com"
    assert not deployed.all("google_cloud_scheduler_job") + deployed.all("google_monitoring_uptime_check_config")
    assert read(deployed.environment).sweep_email is None
    assert "X-Serverless-Authorization" in deployed.outputs["next_steps"]


def test_behind_the_identity_aware_proxy_nobody_goes_round_it(terraform: Terraform) -> None:
    """The proxy's own account is the only invoker, and the service's own address takes no traffic from outside."""
    domain = {"domain": "llm.example.com", "domain_through": "load_balancer"}
    deployed = terraform.apply(access="iap", invokers=["group:eng@example.com"], **domain)
    assert deployed.one("google_cloud_run_v2_service")["ingress"] == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    assert deployed.one("google_cloud_run_v2_service_iam_member")["member"].endswith("@gcp-sa-iap.iam.gserviceaccount.com")
    assert deployed.one("google_compute_backend_service")["iap"][0]["enabled"] is True
    assert deployed.one("google_iap_web_backend_service_iam_member")["member"] == "group:eng@example.com"
    assert deployed.outputs["dns_records"] == ["llm.example.com A 203.0.113.7"]


def test_a_domain_of_ones_own_is_the_address_that_everything_uses(terraform: Terraform) -> None:
    """Settings and uptime check use it, and the sweep's token is made for it."""
    deployed = terraform.apply(domain="llm.example.com")
    assert read(deployed.environment).public_url == "https://llm.example.com"
    target = deployed.one("google_cloud_scheduler_job")["http_target"][0]
    assert target["oidc_token"][0]["audience"] == "https://llm.example.com"
    assert target["uri"].startswith(URL), "at the service's own address, whatever DNS says and the ingress allows"
    check = deployed.one("google_monitoring_uptime_check_config")
    assert check["monitored_resource"][0]["labels"]["host"] == "llm.example.com"
    assert check["http_check"][0]["path"] == "/livez"


def test_everything_that_may_be_chosen_can_be_chosen_at_once(terraform: Terraform) -> None:
    """Private network, telemetry, mails, billing budget, another database, settings: valid together, accepted by the gateway."""
    deployed = terraform.apply(
        name="gw-eu", database="gateway", database_location="eur3", keep_database=False, backup_retention_days=0,
        vertex_project="models", vertex_location="eu", secret_locations=["europe-west1"], telemetry=True, pipeline=True,
        alert_emails=["ops@example.com"], scheduler_region="europe-west3",
        alert_usd_per_hour=50, billing_account="0123AB-CDEF45-6789AB", ingress="INGRESS_TRAFFIC_INTERNAL_ONLY", min_instances=1,
        vpc={"network": "net", "subnetwork": "sub"}, labels={"team": "core"}, settings={"GATEWAY_USAGE_RETENTION_DAYS": "90"},
    )  # fmt: skip
    settings = read(deployed.environment)
    assert (settings.store, settings.usage_retention_days) == (f"firestore://{PROJECT}/gateway", 90)
    assert (settings.vertex_project_id, settings.vertex_region) == ("models", "eu")
    assert settings.telemetry == "google"
    assert deployed.one("google_billing_budget")["all_updates_rule"][0]["pubsub_topic"].endswith("/gw-eu-budget-alerts")
    assert all(row["notification_channels"] for row in deployed.all("google_monitoring_alert_policy"))
    assert {row["labels"]["team"] for row in deployed.all("google_secret_manager_secret")} == {"core"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a project number": ({"project_id": "123456789012"}, "project's id"),
    "a zone": ({"region": "europe-west1-b"}, "should be a region"),
    "no image": ({"image": None}, "image is needed"),
    "a function without source": ({"runtime": "function"}, "git archive"),
    "half a CPU": ({"cpu": "0.5"}, "one request at a time"),
    "more than Cloud Run gives": ({"concurrency": 1001}, "1 to 1000"),
    "fewer at most than at least": ({"min_instances": 5, "max_instances": 2}, "no less than min_instances"),
    "closed to everybody": ({"access": "iam"}, "invokers is empty"),
    "open to everybody by the back door": ({"access": "iam", "invokers": ["allUsers"]}, "allUsers is access"),
    "a proxy without a domain": ({"access": "iap", "invokers": ["user:a@example.com"]}, "needs domain"),
    "a URL for a domain": ({"domain": "https://llm.example.com"}, "host name"),
    "a short admin key": ({"admin_key": "short", "admin_key_version": 1}, "at least 32 characters"),
    "a setting of something else": ({"settings": {"PATH": "/bin"}}, "should be named GATEWAY_"),
    "a setting that has a variable": ({"settings": {"GATEWAY_STORE": "sqlite:///x"}}, "sets itself"),
    "an address that is none": ({"alert_emails": ["ops"]}, "e-mail addresses"),
    "a location that Vertex has not": ({"vertex_location": "europe"}, "vertex_location should be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_choice_is_refused_in_words(terraform: Terraform, case: str) -> None:
    """Before anything is made, with what would be right."""
    variables, words = REFUSED[case]
    with pytest.raises(Refused, match=words):
        terraform.plan(**variables)


PLANTED = {
    "an unknown resource": ('resource "google_cloud_run_v3_service" "x" {}', "does not support resource type"),
    "an unknown argument": ('resource "google_pubsub_topic" "x" { nam = "x" }', "Unsupported argument"),
    "a missing argument": ('resource "google_pubsub_topic" "x" {}', '"name" is required'),
    "an unknown nested argument": (
        'resource "google_secret_manager_secret" "x" {\n secret_id = "x"\n replication {\n auto {\n a = 1\n }\n }\n}',
        "Unsupported argument",
    ),
    "a wrong name in a dynamic block": (
        'resource "google_firestore_field" "x" {\n collection = "c"\n field = "f"\n'
        ' dynamic "ttl" {\n for_each = [1]\n content {}\n }\n}',
        "Unsupported block type",
    ),
    "a reference to nothing": ('output "x" { value = google_pubsub_topic.other.id }', "undeclared resource"),
    "an attribute that is none": ('output "x" { value = google_pubsub_topic.alerts.arn }', "Unsupported attribute"),
    "a value that is not taken": (
        'resource "google_firestore_index" "x" {\n collection = "c"\n query_scope = "ALL"\n fields {\n field_path = "f"\n }\n}',
        "one of COLLECTION",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_fault_is_found(terraform: Terraform, case: str) -> None:
    """These checks can fail: terraform and the schema find what the files do not have."""
    text, words = PLANTED[case]
    (terraform.module / "planted.tf").write_text(text + "\n")
    with pytest.raises(Refused, match=words):
        terraform.run("validate", **LEAST)
