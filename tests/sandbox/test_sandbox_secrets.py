"""The simulated Secret Manager gives out versions with their checksum, and refuses as the real one."""

import pytest
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud.secretmanager import SecretManagerServiceClient
from sandbox_client import Client

from gateway.sandbox import Fault, Sandbox, SecretVersion

NAME = "projects/p1/secrets/sa"


@pytest.fixture
def secret_manager(sandbox: Sandbox) -> SecretManagerServiceClient:
    options = ClientOptions(api_endpoint=sandbox.url)
    nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
    return SecretManagerServiceClient(transport="rest", client_options=options, credentials=nobody)


def test_googles_client_reads_the_latest_version(sandbox: Sandbox, secret_manager: SecretManagerServiceClient) -> None:
    """`latest` is the highest number, the name comes back resolved, and the checksum is right."""
    sandbox.secrets[NAME] = ["old", "new"]
    answered = secret_manager.access_secret_version(name=f"{NAME}/versions/latest", timeout=5)
    assert answered.payload.data == b"new"
    assert answered.name.endswith("/secrets/sa/versions/2")
    assert secret_manager.access_secret_version(name=f"{NAME}/versions/1", timeout=5).payload.data == b"old"


def test_the_checksum_is_crc32c(sandbox: Sandbox, client: Client) -> None:
    """The check value of the CRC-32C definition."""
    sandbox.secrets[NAME] = b"123456789"
    payload = client.send("GET", f"/v1/{NAME}/versions/latest:access").json["payload"]
    assert payload["dataCrc32c"] == str(0xE3069283)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("projects/p1/secrets/absent/versions/latest", NotFound),
        (f"{NAME}/versions/9", NotFound),
        (f"{NAME}/versions/latest", BadRequest),
        ("projects/p1/secrets/denied/versions/1", Forbidden),
    ],
)
def test_refusals_are_those_of_the_real_one(
    sandbox: Sandbox, secret_manager: SecretManagerServiceClient, name: str, error: type[GoogleAPICallError]
) -> None:
    """Absent 404, disabled 400, denied 403."""
    sandbox.secrets[NAME] = [b"one", SecretVersion(b"two", "DISABLED")]
    sandbox.secrets["projects/p1/secrets/denied"] = b"x"
    sandbox.secrets.denied.add("projects/p1/secrets/denied")
    with pytest.raises(error):
        secret_manager.access_secret_version(name=name, timeout=5)


def test_secret_manager_can_be_made_to_fail(sandbox: Sandbox, client: Client) -> None:
    """A scripted status comes in Google's envelope, then the secret."""
    sandbox.secrets[NAME] = "x"
    sandbox.script(Fault(status=503), on="secrets")
    assert client.send("GET", f"/v1/{NAME}/versions/1:access").json["error"]["status"] == "UNAVAILABLE"
    assert client.send("GET", f"/v1/{NAME}/versions/1:access").status == 200
