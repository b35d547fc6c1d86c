"""deploy.sh and destroy.sh with the real gcloud against a pretend cloud, from nothing to nothing."""

import io
import json
import re
import tarfile

import pytest
from fake_cloud import FakeCloud, Json
from operator_desk import PLACE, Desk

pytestmark = pytest.mark.infra
PROJECT, REGION = PLACE
SERVICE = f"run/{PROJECT}/services/tollgate"
NUMBER_URL = "https://tollgate-100200300400.europe-west1.run.app"


def environment_of(service: Json) -> dict[str, str]:
    container = service["spec"]["template"]["spec"]["containers"][0]
    return {row["name"]: row["value"] for row in container["env"]}


def roles_of(cloud: FakeCloud, account: str) -> set[str]:
    member = f"serviceAccount:{account}@{PROJECT}.iam.gserviceaccount.com"
    return {b["role"] for b in cloud.policies[f"projects/{PROJECT}"]["bindings"] if member in b["members"]}


def test_deploying_twice_and_destroying(desk: Desk, cloud: FakeCloud, deployed: object) -> None:
    """From an empty project to a serving gateway; the second run changes nothing; destroy leaves nothing but the database."""
    first = desk.succeed("deploy.sh", *PLACE)
    check_what_was_made(cloud)
    assert f"export ANTHROPIC_BASE_URL={NUMBER_URL}" in first.said
    check_secrets_are_kept(cloud, first.said + first.complained)

    made = json.dumps([cloud.things, cloud.policies], sort_keys=True)
    seen = len(cloud.requests)
    desk.succeed("deploy.sh", *PLACE)
    assert json.dumps([cloud.things, cloud.policies], sort_keys=True) == made
    again = [asked.line for asked in cloud.requests[seen:] if asked.method == "POST"]
    assert not [line for line in again if not re.search(r":(batchEnable|getIamPolicy|setIamPolicy)$", line)]

    check_a_change(desk, cloud)
    check_destroy(desk, cloud)


def check_what_was_made(cloud: FakeCloud) -> None:
    service = cloud.things[SERVICE]
    container = service["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].startswith(f"europe-west1-docker.pkg.dev/{PROJECT}/tollgate/gateway")
    assert container["startupProbe"]["httpGet"]["path"] == container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert service["spec"]["template"]["spec"]["timeoutSeconds"] == 3600
    assert service["metadata"]["annotations"]["run.googleapis.com/invoker-iam-disabled"].lower() == "true"
    settings = environment_of(service)
    assert settings["GATEWAY_STORE"] == f"firestore://{PROJECT}/(default)"
    assert settings["GATEWAY_PUBLIC_URL"] == NUMBER_URL
    assert settings["GATEWAY_ADMIN_KEY"] == f"projects/{PROJECT}/secrets/tollgate-admin-key/versions/latest"
    assert roles_of(cloud, "tollgate-run") == {"roles/datastore.user", "roles/aiplatform.user"}
    job = cloud.things[f"projects/{PROJECT}/locations/{REGION}/jobs/tollgate-sweep"]
    assert job["httpTarget"]["uri"] == f"{NUMBER_URL}/admin/v1/sweep"
    assert job["httpTarget"]["oidcToken"] == {"audience": NUMBER_URL, "serviceAccountEmail": settings["GATEWAY_SWEEP_EMAIL"]}
    database = cloud.things[f"projects/{PROJECT}/databases/(default)"]
    assert database["deleteProtectionState"] == "DELETE_PROTECTION_ENABLED"
    with tarfile.open(fileobj=io.BytesIO(cloud.uploads[0])) as archive:
        sent = archive.getnames()
    assert {name.split("/")[0] for name in sent} == {"Dockerfile", "LICENSE", "requirements.txt", "gateway"}
    assert not [name for name in sent if "__pycache__" in name]


def check_secrets_are_kept(cloud: FakeCloud, output: str) -> None:
    secret = cloud.things[f"projects/{PROJECT}/secrets/tollgate-admin-key/versions/1"]["payload"]["data"]
    assert len(secret) >= 43
    assert secret not in output and "not-a-token" not in output


def check_a_change(desk: Desk, cloud: FakeCloud) -> None:
    """A new revision, without traffic first and then with all of it; a setting made elsewhere stays."""
    container = cloud.things[SERVICE]["spec"]["template"]["spec"]["containers"][0]
    container["env"].append({"name": "GATEWAY_DRAIN_S", "value": "5"})
    before = cloud.things[SERVICE]["status"]["latestReadyRevisionName"]
    desk.succeed("deploy.sh", *PLACE, "--set", "GATEWAY_COUNT_TOKENS_LOCATIONS=us-east5,global")
    service = cloud.things[SERVICE]
    settings = environment_of(service)
    assert settings["GATEWAY_DRAIN_S"] == "5" and settings["GATEWAY_COUNT_TOKENS_LOCATIONS"] == "us-east5,global"
    after = service["status"]["latestReadyRevisionName"]
    assert after != before
    assert [row["revisionName"] for row in service["status"]["traffic"] if row["percent"] == 100] == [after]
    puts = [asked.body for asked in cloud.requests if asked.method == "PUT" and asked.api == "run"]
    withheld = {row.get("revisionName"): row.get("percent") for row in puts[-2]["spec"]["traffic"]}
    assert withheld[before] == 100


def check_destroy(desk: Desk, cloud: FakeCloud) -> None:
    """Nothing of ours is left but the database, its indexes and what Cloud Build remembers."""
    desk.succeed("destroy.sh", *PLACE, typed=f"{PROJECT}\n")
    kept = re.compile(rf"projects/{PROJECT}/(databases|services|locations/{REGION}/builds)/")
    assert not [name for name in cloud.things if not kept.match(name)]
    assert f"projects/{PROJECT}/databases/(default)" in cloud.things
    assert not [b for b in cloud.policies[f"projects/{PROJECT}"].get("bindings", []) if b["members"]]
