"""cloudbuild.yaml, each step's command run here: gcloud, docker, pip and python by stand-ins, the rest as it is."""

import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from fake_cloud import FakeCloud
from operator_desk import Desk, StandIn

pytestmark = pytest.mark.infra
ROOT = Path(__file__).parent.parent.parent
DIGEST = "europe-west1-docker.pkg.dev/demo-project/tollgate/gateway@sha256:" + "a" * 64
DOCKER = f"""#!/bin/sh
echo "docker $*" >> "$STAND_IN_FOLDER/docker.txt"
[ "$1" = inspect ] && echo {DIGEST}
exit 0
"""
RECORD = """#!/bin/sh
echo "{name} $*" >> "$STAND_IN_FOLDER/tested.txt"
case "$*" in *${{TEST_FAILS:-nothing}}*) exit 1;; esac
"""


class Pipeline:
    """The steps, run one after the other in one folder as Cloud Build does, until one fails."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self.build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
        self.substitutions = {**self.build["substitutions"], "PROJECT_ID": "demo-project", "BUILD_ID": "build-1"}
        script(stand_in.folder / "bin" / "docker", DOCKER)
        script(stand_in.folder / "bin" / "pip", RECORD.format(name="pip"))
        script(stand_in.folder / "tested" / "python", RECORD.format(name="python"))

    def run(self, **environment: str) -> tuple[list[str], str]:
        """Names of the steps that succeeded, and what the failing one complained."""
        succeeded: list[str] = []
        for step in self.build["steps"]:
            env = {**self.stand_in.environment, **environment}
            if step["id"] == "test":
                env["PATH"] = f"{self.stand_in.folder / 'tested'}:{env['PATH']}"
            ended = subprocess.run(
                [step["entrypoint"], *(self.substitute(argument) for argument in step["args"])],
                cwd=self.stand_in.checkout, env=env, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            if ended.returncode:
                return succeeded, ended.stdout + ended.stderr
            succeeded.append(step["id"])
        return succeeded, ""

    def substitute(self, text: str) -> str:
        """As Cloud Build: longest names first, and $$ is a dollar sign."""
        text = text.replace("$$", "\0")
        for name in sorted(self.substitutions, key=len, reverse=True):
            text = text.replace("${" + name + "}", self.substitutions[name]).replace("$" + name, self.substitutions[name])
        return text.replace("\0", "$")


def script(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def pipeline(stand_in: StandIn) -> Pipeline:
    """With a service that is deployed already."""
    (stand_in.folder / "changes.txt").write_text("run deploy tollgate --labels=release=first\n")
    return Pipeline(stand_in)


def test_gcloud_takes_the_pipeline(desk: Desk, cloud: FakeCloud) -> None:
    """The real gcloud reads both files: it refuses keys that Cloud Build does not know."""
    for name in ("cloudbuild.yaml", "infra/image.yaml"):
        ended = subprocess.run(
            ["gcloud", "builds", "submit", "--no-source", f"--config={name}", "--project=demo-project", "--async", "--quiet"],
            cwd=desk.checkout, env=desk.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        sent = next(asked.body for asked in reversed(cloud.requests) if asked.method == "POST" and asked.api == "cloudbuild")
        assert len(sent["steps"]) == len(yaml.safe_load((ROOT / name).read_text())["steps"])


def test_a_change_goes_all_the_way(pipeline: Pipeline) -> None:
    """Tested, built, scanned, deployed by digest without traffic, asked, and then given the traffic."""
    succeeded, complained = pipeline.run()
    assert succeeded == ["test", "build", "scan", "deploy", "release"], complained
    folder = pipeline.stand_in.folder
    tested = (folder / "tested.txt").read_text()
    assert "pip install" in tested and "--require-hashes" in tested and "-m mypy" in tested and "-m pytest" in tested
    image = "europe-west1-docker.pkg.dev/demo-project/tollgate/gateway:build-1"
    assert (folder / "docker.txt").read_text().splitlines()[:2] == [f"docker build --tag {image} .", f"docker push {image}"]
    changes = pipeline.stand_in.changes()
    assert any(line.startswith("artifacts sbom export") and DIGEST in line for line in changes)
    assert any(line.startswith("run deploy") and f"--image={DIGEST}" in line and "--no-traffic" in line for line in changes)
    assert changes[-1] == "run services update-traffic tollgate --region=europe-west1 --to-revisions=revision-2=100"


def test_a_failing_test_stops_before_the_image_is_built(pipeline: Pipeline) -> None:
    """Nothing is built from what does not pass."""
    succeeded, _ = pipeline.run(TEST_FAILS="pytest")
    assert succeeded == []
    assert not (pipeline.stand_in.folder / "docker.txt").exists()


def test_a_critical_vulnerability_stops_before_the_deploy(pipeline: Pipeline) -> None:
    """The image stays in the registry; the service is not touched."""
    succeeded, complained = pipeline.run(STAND_IN_VULNERABLE="CRITICAL")
    assert succeeded == ["test", "build"] and "critical vulnerabilities" in complained
    assert pipeline.run(STAND_IN_VULNERABLE="LOW")[0][-1] == "release"


def test_a_revision_that_does_not_answer_gets_no_traffic(pipeline: Pipeline) -> None:
    """The smoke test on its own address fails: callers stay where they are."""
    succeeded, complained = pipeline.run(STAND_IN_CANDIDATE_URL="http://127.0.0.1:1", SMOKE_TRIES="2")
    assert succeeded[-1] == "deploy" and "it runs (/livez)" in complained
    assert not [line for line in pipeline.stand_in.changes() if "update-traffic" in line]


def test_a_revision_that_fails_its_callers_is_rolled_back(pipeline: Pipeline) -> None:
    """It answered alone but not with the traffic: the one before serves again."""
    working = pipeline.stand_in.environment["STAND_IN_URL"]
    succeeded, complained = pipeline.run(STAND_IN_CANDIDATE_URL=working, STAND_IN_URL="http://127.0.0.1:1", SMOKE_TRIES="2")
    assert succeeded[-1] == "deploy" and "revision-1 serves again" in complained
    assert "--to-revisions=revision-1=100" in pipeline.stand_in.changes()[-1]
