"""What the tests of infra's scripts share: a copy of the checkout, a pretend cloud, and a real gateway as what is deployed."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_cloud
import pytest
from house import Served, served
from operator_desk import Desk, StandIn, plain_environment

ROOT = Path(__file__).parent.parent.parent
NEEDED = (
    "Dockerfile", ".dockerignore", ".gcloudignore", "LICENSE", "requirements.txt", "cloudbuild.yaml", "main.py", "infra",
    "gateway",
)  # fmt: skip
STAND_IN = Path(__file__).parent / "stand_in.py"


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the scripts work on, apart from the real one, so that nobody's edit changes the source under them."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform"))
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The gateway that answers where the pretend cloud says that a revision runs."""
    with served(tmp_path_factory.mktemp("deployed")) as gateway:
        yield gateway


@pytest.fixture
def cloud(deployed: Served) -> fake_cloud.FakeCloud:
    return fake_cloud.FakeCloud(service_url=deployed.url)


@pytest.fixture
def desk(checkout: Path, cloud: fake_cloud.FakeCloud, tmp_path: Path) -> Iterator[Desk]:
    """With the real gcloud, talking to the pretend cloud."""
    if shutil.which("gcloud") is None:
        if os.environ.get("REQUIRE_GCLOUD") == "1":
            pytest.fail("gcloud is not installed: https://cloud.google.com/sdk/docs/install")
        pytest.skip("gcloud is not installed")
    (tmp_path / "access-token").write_text("not-a-token")
    server = fake_cloud.start(cloud)
    yield Desk(checkout, plain_environment(tmp_path) | fake_cloud.gcloud_environment(server.server_port, str(tmp_path)))
    server.shutdown()
    server.server_close()


@pytest.fixture
def stand_in(checkout: Path, deployed: Served, tmp_path: Path) -> StandIn:
    """With a recording stand-in for gcloud, and a pretend Firestore Admin API for what goes there over REST."""
    environment = plain_environment(tmp_path)
    gcloud = tmp_path / "bin" / "gcloud"
    gcloud.write_text(f"#!{sys.executable} -SE\n" + STAND_IN.read_text())  # without site-packages it starts in no time
    gcloud.chmod(0o755)
    environment |= {"STAND_IN_FOLDER": str(tmp_path), "STAND_IN_URL": deployed.url, "PAUSE_S": "0", "SMOKE_PAUSE_S": "0"}
    return StandIn(checkout, environment, tmp_path)
