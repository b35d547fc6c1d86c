"""infra/terraform, applied by the real terraform to a cloud that makes nothing."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
HERE = Path(__file__).parent
INFRA = HERE.parents[2] / "infra"
MODULE = INFRA / "terraform"
SCHEMA: Json = json.loads((HERE / "provider_schema.json").read_text())
PROJECT = "acme-llm"
IMAGE = "europe-west1-docker.pkg.dev/acme-llm/tollgate/gateway:1"
LEAST: Json = {"project_id": PROJECT, "region": "europe-west1", "image": IMAGE}
TIMEOUT_S = 120


class Refused(Exception):
    """What terraform said, without its colours and boxes."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What stands after an apply."""

    resources: list[Json]
    outputs: Json
    state: str

    def all(self, kind: str) -> list[Json]:
        """The values of every resource of a kind."""
        return [row["values"] for row in self.resources if row["type"] == kind]

    def one(self, kind: str) -> Json:
        found = self.all(kind)
        assert len(found) == 1, f"{len(found)} of {kind}"
        return found[0]

    @property
    def container(self) -> Json:
        template: Json = self.one("google_cloud_run_v2_service")["template"][0]
        container: Json = template["containers"][0]
        return container

    @property
    def environment(self) -> dict[str, str]:
        """What the gateway finds in its environment, Cloud Run's own variable included."""
        return {"K_SERVICE": "tollgate", **{row["name"]: row["value"] for row in self.container["env"]}}


@dataclass(frozen=True, slots=True)
class Terraform:
    """A copy of the configuration in a folder of its own, with the stand-in for a provider."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def module(self) -> Path:
        return self.folder / "terraform"

    def run(self, *arguments: str, **variables: Any) -> str:
        """Its stdout; Refused."""
        told = {name: value for name, value in variables.items() if value is not None}
        given = {f"TF_VAR_{name}": value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.module,
            env={**self.environment, **given},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        if done.returncode not in (0, 2):  # 2: a plan with changes
            raise Refused(" ".join(done.stderr.replace("│", " ").split()))
        return done.stdout

    def plan(self, **variables: Any) -> str:
        """`No changes` or what would change; Refused."""
        return self.run("plan", "-input=false", "-detailed-exitcode", **{**LEAST, **variables})

    def apply(self, **variables: Any) -> Deployed:
        self.run("apply", "-input=false", "-auto-approve", **{**LEAST, **variables})
        shown = json.loads(self.run("show", "-json"))["values"]
        outputs = {name: row["value"] for name, row in shown.get("outputs", {}).items()}
        state = (self.module / "terraform.tfstate").read_text()
        return Deployed(shown["root_module"]["resources"], outputs, state)


def copied(folder: Path, provider: Mapping[str, str]) -> Terraform:
    """A fresh copy, initialised; nothing is downloaded."""
    shutil.copytree(MODULE, folder / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars"))
    shutil.copy(INFRA / "firestore.indexes.json", folder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "GOOGLE_"))}
    own = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    plain = {f"TF_CLI_ARGS_{verb}": "-no-color" for verb in ("init", "validate", "plan", "apply")}
    terraform = Terraform(folder, {**kept, **own, **plain, **provider})
    terraform.run("init", "-input=false")
    return terraform
