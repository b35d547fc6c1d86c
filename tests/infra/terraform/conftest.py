"""The stand-in provider, and a fresh copy of the configuration for whoever applies it."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from deployment import PROJECT, SCHEMA, Deployed, Terraform, copied
from stand_in_provider import StandIn


@pytest.fixture(scope="module")
def provider() -> Iterator[Mapping[str, str]]:
    """What tells terraform where the stand-in is. Skips without terraform, fails if REQUIRE_TERRAFORM=1.

    Stopped with the module: gRPC threads must not be there when other tests fork.
    """
    if shutil.which("terraform") is None:
        missing = "terraform is not installed (1.11 or newer): https://developer.hashicorp.com/terraform/install"
        if os.environ.get("REQUIRE_TERRAFORM") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with StandIn(SCHEMA, PROJECT) as environment:
        yield environment


@pytest.fixture
def terraform(provider: Mapping[str, str], tmp_path: Path) -> Terraform:
    return copied(tmp_path, provider)


@pytest.fixture(scope="module")
def deployed(provider: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """As little said as possible: a project, a region, an image."""
    return copied(tmp_path_factory.mktemp("least"), provider).apply()
