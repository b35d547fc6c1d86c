"""Application Default Credentials: no key, tokens in memory only, the same single flight and early renewal."""

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
import responses
from token_doubles import Background, HandClock, MemoryStore, TokenGoogle, broker_on

from gateway.credentials.access_token import TokenError

REPOSITORY = Path(__file__).parents[2]
OAUTH = "https://oauth2.googleapis.com/token"
LOGIN = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r", "quota_project_id": "q"}
DENIED = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
UNUSED = "IAM Service Account Credentials API has not been used in project 1 before or it is disabled."
IMPERSONATION = {
    "type": "impersonated_service_account",
    "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
    "target@p.iam.gserviceaccount.com:generateAccessToken",
    "source_credentials": {name: value for name, value in LOGIN.items() if name != "quota_project_id"},
    "delegates": [],
}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Writes an ADC file and points the environment at it."""

    def write(content: Any) -> None:
        path = tmp_path / "adc.json"
        path.write_text(json.dumps(content))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "demo-project")

    return write


@responses.activate
def test_a_login_gives_tokens_that_stay_in_memory(clock: HandClock, login: Any) -> None:
    """The store is not even asked, and nothing goes to a host that was not meant."""
    login(LOGIN)
    responses.post(OAUTH, json={"access_token": "ya29.user", "expires_in": 3599})
    store = MemoryStore(clock.now)
    broker = broker_on(clock, store, TokenGoogle(), session=None)
    token = broker.token("adc")
    assert (token.value, token.fence < 0, store.asked) == ("ya29.user", True, 0)
    assert 3590 <= token.expires_at - clock.now() <= 3600
    assert broker.project_id("adc") == "demo-project"
    assert [call.request.url for call in responses.calls] == [OAUTH]


@responses.activate
def test_its_renewal_is_early_and_in_the_background_too(clock: HandClock, login: Any) -> None:
    """After fifty minutes, while the old token goes on."""
    login(LOGIN)
    for number in (1, 2):
        responses.post(OAUTH, json={"access_token": f"ya29.user-{number}", "expires_in": 3600})
    background = Background()
    broker = broker_on(clock, MemoryStore(clock.now), TokenGoogle(), session=None, background=background)
    broker.token("adc")
    clock.move(3_200)
    assert broker.token("adc").value == "ya29.user-1"
    background.run()
    assert broker.token("adc").value == "ya29.user-2"


@responses.activate
def test_a_refused_token_makes_it_look_at_the_login_again(clock: HandClock, login: Any) -> None:
    """After a new login the old one's refusal is enough; no restart."""
    login(LOGIN)
    for secret in ("r", "new"):
        answer = {"access_token": f"ya29.{secret}", "expires_in": 3600}
        responses.post(OAUTH, json=answer, match=[_refresh_token_is(secret)])
    broker = broker_on(clock, MemoryStore(clock.now), TokenGoogle(), session=None)
    token = broker.token("adc")
    login(LOGIN | {"refresh_token": "new"})
    assert broker.refused("adc", token.fence)
    assert broker.token("adc").value == "ya29.new"


def _refresh_token_is(secret: str) -> Any:
    return lambda request: (f"refresh_token={secret}" in _text(request.body), "another refresh token")


def _text(body: Any) -> str:
    return body.decode() if isinstance(body, bytes) else str(body)


@responses.activate
def test_impersonation_names_the_account_it_acts_as(clock: HandClock, login: Any) -> None:
    """No key and no secret: the login mints for the target account."""
    login(IMPERSONATION)
    responses.post(OAUTH, json={"access_token": "ya29.user", "expires_in": 3599})
    expires = "2099-01-01T00:00:00Z"
    responses.post(IMPERSONATION["service_account_impersonation_url"], json={"accessToken": "ya29.target", "expireTime": expires})
    broker = broker_on(clock, MemoryStore(clock.now), TokenGoogle(), session=None)
    token = broker.token("adc")
    assert (token.value, token.expires_at) == ("ya29.target", clock.now() + 43_200)
    assert broker.account_email("adc") == "target@p.iam.gserviceaccount.com"
    assert len(responses.calls) == 2


@pytest.mark.parametrize(
    ("content", "answers", "fault", "words"),
    [
        (LOGIN, [(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})],
         "login_expired",
         "gcloud auth application-default login"),
        (LOGIN, [(400, {"error": "invalid_grant", "error_subtype": "invalid_rapt"})], "login_expired",
         "gcloud auth application-default login"),
        (IMPERSONATION, [(200, {"access_token": "x", "expires_in": 3599}), (403, {"error": {"code": 403, "message": DENIED}})],
         "impersonation_refused", "serviceAccountTokenCreator"),
        (IMPERSONATION, [(200, {"access_token": "x", "expires_in": 3599}), (403, {"error": {"code": 403, "message": UNUSED}})],
         "api_disabled", "gcloud services enable"),
        ({"type": "what"}, [], "no_default_credentials", "attach a service account"),
    ],
    ids=["revoked", "must log in again", "may not impersonate", "API not enabled", "not a credential"],
)  # fmt: skip
@responses.activate
def test_a_fault_is_named_with_its_mend(clock: HandClock, login: Any, content: Any, answers: Any, fault: str, words: str) -> None:
    """What to run or grant stands in the message."""
    login(content)
    for (status, answer), url in zip(answers, (OAUTH, IMPERSONATION["service_account_impersonation_url"]), strict=False):
        responses.post(str(url), json=answer, status=status)
    broker = broker_on(clock, MemoryStore(clock.now), TokenGoogle(), session=None)
    with pytest.raises(TokenError) as caught:
        broker.token("adc")
    assert (caught.value.fault, words in str(caught.value)) == (fault, True)


@responses.activate
def test_an_unreachable_google_is_named(clock: HandClock, login: Any) -> None:
    """A network fault is not taken for a fault of the login."""
    login(LOGIN)
    responses.post(OAUTH, body=requests.ConnectionError("boom"))
    broker = broker_on(clock, MemoryStore(clock.now), TokenGoogle(), session=None)
    with pytest.raises(TokenError) as caught:
        broker.token("adc")
    assert (caught.value.fault, caught.value.transient) == ("default_credentials_failed", True)


RUN_ACCOUNT = "run@metadata-project.iam.gserviceaccount.com"


class Metadata(http.server.BaseHTTPRequestHandler):
    """The metadata server of a Cloud Run instance."""

    wbufsize = -1
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0].removeprefix("/computeMetadata/v1")
        answers: dict[str, Any] = {
            "/": "ok",
            "/project/project-id": "metadata-project",
            "/instance/service-accounts/default/": {"email": RUN_ACCOUNT, "scopes": [], "aliases": ["default"]},
            "/instance/service-accounts/default/token": {"access_token": "ya29.metadata", "expires_in": 1799},
        }
        answer = answers[path]
        data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(200)
        self.send_header("metadata-flavor", "Google")
        self.send_header("content-type", "application/text" if isinstance(answer, str) else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        return


ON_CLOUD_RUN = """
import json, time
from gateway.credentials.google_tokens import TokenBroker
from gateway.credentials.secrets import Secrets
broker = TokenBroker(None, Secrets(time.time), "http://127.0.0.1:9/token")
token = broker.token("adc")
print(json.dumps([token.value, token.expires_at - time.time(), broker.project_id("adc"), broker.account_email("adc")]))
"""


def test_on_cloud_run_the_metadata_server_gives_the_token(tmp_path: Path) -> None:
    """The attached service account, its real lifetime, the project and the account's address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    host = f"127.0.0.1:{server.server_address[1]}"
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GOOGLE_", "GCE_", "CLOUDSDK_", "GCLOUD_", "NO_GCE"))
    }
    environment = kept | {
        "GCE_METADATA_HOST": host,
        "GCE_METADATA_IP": host,
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", ON_CLOUD_RUN], env=environment, cwd=REPOSITORY, capture_output=True, timeout=60)
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stderr.decode()
    value, lifetime_s, project, account = json.loads(done.stdout)
    assert (value, project, account) == ("ya29.metadata", "metadata-project", RUN_ACCOUNT)
    assert 1700 < lifetime_s <= 1800
    assert sum("/token" in path for path in Metadata.asked) == 1
