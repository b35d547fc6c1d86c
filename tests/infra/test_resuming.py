"""deploy.sh with a stand-in for gcloud: broken off at each step, it goes on where it was, and ends with the same."""

from collections.abc import Iterator

import fake_cloud
import pytest
from operator_desk import PLACE, StandIn

pytestmark = pytest.mark.infra
IMAGE = ("--image", "europe-west1-docker.pkg.dev/demo-project/tollgate/gateway:one")
STEPS = {
    "apis": "services enable",
    "registry": "repositories create",
    "accounts": "service-accounts create tollgate-sweep",
    "roles": "roles/aiplatform.user",
    "database": "databases create",
    "backups": "backups schedules create",
    "secrets": "secrets create",
    "secrets, its value": "secrets versions add",
    "image": "builds submit",
    "service": "run deploy",
    "sweep": "scheduler jobs create",
}
REPEATED = ("services enable", "add-iam-policy-binding", "scheduler jobs update", "update-labels")  # safe to say again


@pytest.fixture
def admin_api(stand_in: StandIn) -> Iterator[fake_cloud.FakeCloud]:
    """Firestore's own API, for indexes."""
    cloud = fake_cloud.FakeCloud()
    server = fake_cloud.start(cloud)
    stand_in.environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_FIRESTORE"] = "http://firestore.fake/"
    stand_in.environment |= {"http_proxy": f"http://127.0.0.1:{server.server_port}", "no_proxy": "127.0.0.1"}
    yield cloud
    server.shutdown()
    server.server_close()


def once(changes: list[str]) -> list[str]:
    """What must happen exactly once, sorted."""
    return sorted(line for line in changes if not any(words in line for words in REPEATED))


def test_a_failed_step_is_named_and_the_next_run_goes_on_from_there(stand_in: StandIn, admin_api: fake_cloud.FakeCloud) -> None:
    """Broken off at one step after the other: nothing after the failure happens, and nothing before it happens twice."""
    for step, words in STEPS.items():
        broken = stand_in.run("deploy.sh", *PLACE, STAND_IN_FAIL=words)
        assert broken.code != 0, step
        assert f'stopped in step "{step.partition(",")[0]}"' in broken.complained
        assert "made to fail by the test" in broken.complained
        assert not [line for line in stand_in.changes() if words in line]
    stand_in.succeed("deploy.sh", *PLACE)
    made = once(stand_in.changes())
    assert len(made) == len(set(made))
    assert all(any(words in line for line in stand_in.changes()) for words in STEPS.values())
    stand_in.succeed("deploy.sh", *PLACE)
    assert once(stand_in.changes()) == made


def test_indexes_that_failed_are_asked_for_again(stand_in: StandIn, admin_api: fake_cloud.FakeCloud) -> None:
    """Half of the indexes are there: the other half is made, none twice."""
    admin_api.failing.append("PATCH firestore .*/rollups/fields/rows")
    broken = stand_in.run("deploy.sh", *PLACE, *IMAGE)
    assert broken.code != 0 and "rollups/fields/rows" in broken.complained and 'step "indexes"' in broken.complained
    before = len(admin_api.changes())
    stand_in.succeed("deploy.sh", *PLACE, *IMAGE)
    made = admin_api.changes()
    assert made[before - 1] == made[before]  # the one that failed
    after = len(made)
    stand_in.succeed("deploy.sh", *PLACE, *IMAGE)
    assert len(admin_api.changes()) == after


def test_a_revision_that_does_not_answer_gets_no_traffic(stand_in: StandIn, admin_api: fake_cloud.FakeCloud) -> None:
    """The second revision fails its smoke test: callers stay with the first, and the next run tries again."""
    stand_in.succeed("deploy.sh", *PLACE, *IMAGE)
    second = (*PLACE, "--image", IMAGE[1].replace(":one", ":two"))
    failed = stand_in.run("deploy.sh", *second, STAND_IN_CANDIDATE_URL="http://127.0.0.1:1", SMOKE_TRIES="2")
    assert failed.code != 0 and 'step "smoke"' in failed.complained
    assert not [line for line in stand_in.changes() if "update-traffic" in line]
    stand_in.succeed("deploy.sh", *second)
    assert [line for line in stand_in.changes() if "update-traffic" in line] == [
        "run services update-traffic tollgate --region=europe-west1 --to-revisions=revision-2=100"
    ]
    assert len([line for line in stand_in.changes() if line.startswith("run deploy")]) == 2


def test_a_revision_that_fails_its_callers_loses_them_again(stand_in: StandIn, admin_api: fake_cloud.FakeCloud) -> None:
    """It answers under its own address but not under the service's: the revision before serves again."""
    stand_in.succeed("deploy.sh", *PLACE, *IMAGE)
    working = stand_in.environment["STAND_IN_URL"]
    failed = stand_in.run(
        "deploy.sh", *PLACE, "--image", IMAGE[1].replace(":one", ":two"),
        STAND_IN_CANDIDATE_URL=working, STAND_IN_URL="http://127.0.0.1:1", SMOKE_TRIES="2",
    )  # fmt: skip
    assert failed.code != 0 and "revision-1 serves again" in failed.complained
    assert [line.rpartition(" ")[2] for line in stand_in.changes() if "update-traffic" in line] == [
        "--to-revisions=revision-2=100", "--to-revisions=revision-1=100",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("artifacts repositories describe", "Artifact Registry repository tollgate exists and was not made by deploy.sh"),
        ("secrets describe", "secret tollgate-admin-key exists and was not made by deploy.sh"),
        ("run services describe", "Cloud Run service tollgate exists and was not made by deploy.sh"),
        ("firestore databases describe", "the database (default) exists and was not made by deploy.sh"),
    ],
)
def test_what_somebody_else_made_is_left_alone(
    there: str, words: str, stand_in: StandIn, admin_api: fake_cloud.FakeCloud
) -> None:
    """A thing of the same name without our mark ends the run before it is touched."""
    ended = stand_in.run("deploy.sh", *PLACE, *IMAGE, STAND_IN_FOREIGN=there)
    assert ended.code == 1
    assert words in ended.complained


def test_a_database_is_taken_over_when_told_so(stand_in: StandIn, admin_api: fake_cloud.FakeCloud) -> None:
    """After destroy the data are still there, and a new deploy may use them."""
    stand_in.succeed("deploy.sh", *PLACE, *IMAGE, "--adopt-database", STAND_IN_FOREIGN="firestore databases describe")
    stand_in.succeed("deploy.sh", *PLACE, *IMAGE, STAND_IN_FOREIGN="firestore databases describe")  # told once is enough
    stand_in.succeed("destroy.sh", *PLACE, "--yes", "--with-data", STAND_IN_FOREIGN="firestore databases describe")
    assert not [line for line in stand_in.changes() if line.startswith("firestore databases")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "usage"),
        (("demo-project",), "usage"),
        (("Demo", "europe-west1"), "is no project id"),
        (("demo-project", "europe"), "is no region"),
        ((*PLACE, "--name", "x" * 30), "is no name"),
        ((*PLACE, "--vertex-key", "missing.json"), "cannot be read"),
        ((*PLACE, "--set", "PATH=/x"), "--set wants NAME=VALUE"),
        ((*PLACE, "--bogus"), "unknown option"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_happens(arguments: tuple[str, ...], words: str, stand_in: StandIn) -> None:
    """A slip of the hand costs nothing."""
    ended = stand_in.run("deploy.sh", *arguments)
    assert ended.code in (1, 2)
    assert words in ended.complained
    assert stand_in.changes() == []


def test_a_dry_run_changes_nothing(stand_in: StandIn, admin_api: fake_cloud.FakeCloud) -> None:
    """It looks, and says every command that would follow."""
    ended = stand_in.succeed("deploy.sh", *PLACE, "--dry-run")
    assert stand_in.changes() == [] and admin_api.changes() == []
    for words in STEPS.values():
        assert words.replace("secrets versions add", "a random admin key") in ended.said


def test_a_closed_service_gets_no_sweep_that_could_not_come_in(stand_in: StandIn, admin_api: fake_cloud.FakeCloud) -> None:
    """--private keeps the identity check, and says how clients come in."""
    ended = stand_in.succeed("deploy.sh", *PLACE, *IMAGE, "--private")
    deploy = next(line for line in stand_in.changes() if line.startswith("run deploy"))
    assert "--invoker-iam-check" in deploy and "--no-invoker" not in deploy and "SWEEP_EMAIL" not in deploy
    assert not [line for line in stand_in.changes() if line.startswith("scheduler")]
    assert "ANTHROPIC_API_KEY" in ended.said


def test_destroy_asks_and_passes_over_what_somebody_else_made(stand_in: StandIn, admin_api: fake_cloud.FakeCloud) -> None:
    """The wrong word removes nothing; the right one removes what bears our mark, the database only with --with-data."""
    stand_in.succeed("deploy.sh", *PLACE, *IMAGE)
    refused = stand_in.run("destroy.sh", *PLACE, typed="another-project\n")
    assert refused.code == 1 and "nothing was removed" in refused.complained
    dry = stand_in.succeed("destroy.sh", *PLACE, "--dry-run", "--with-data")
    assert "databases delete" in dry.said
    assert not [line for line in stand_in.changes() if " delete " in line]
    ended = stand_in.succeed("destroy.sh", *PLACE, "--yes", STAND_IN_FOREIGN="run services describe")
    assert "service tollgate stays: deploy.sh did not make it" in ended.said
    removed = [line for line in stand_in.changes() if " delete " in line]
    assert [" ".join(line.split()[:2]) for line in removed] == [
        "scheduler jobs", "secrets delete", "secrets delete", *["iam service-accounts"] * 3, "artifacts repositories",
    ]  # fmt: skip
    assert "--adopt-database" in ended.said


def test_a_deploy_ends_with_the_doctor_and_what_claude_code_needs(stand_in: StandIn, admin_api: fake_cloud.FakeCloud) -> None:
    """The endpoint is examined; what the operator's machine lacks is told, and stops nothing."""
    ended = stand_in.succeed("deploy.sh", *PLACE, *IMAGE)
    examined, _, farewell = ended.said.partition("doctor: looks at")[2].partition("The gateway: ")
    assert stand_in.environment["STAND_IN_URL"] in examined
    assert "something is left to mend" in examined  # no Firestore and no Google account on this machine
    assert "export ANTHROPIC_BASE_URL=https://tollgate-100200300400.europe-west1.run.app" in farewell
    assert "python -m gateway key create" in farewell
