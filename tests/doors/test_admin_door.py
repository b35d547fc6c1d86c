"""The admin door: who may come in, what is refused and how, and what a client may rely on in every answer."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from admin_desk import ADMIN_KEY, SCHEDULER, AdminDesk

from gateway.canonical.reply import Reply
from gateway.canonical.store import StoreUnavailable
from gateway.doors.admin.table import ROUTES
from gateway.doors.http import HttpRequest
from gateway.doors.late import Door, LateDoor
from gateway.store.sqlite import SqliteStore

IDENTITY_TOKEN = "head.claims.signature"


@pytest.fixture
def desk(tmp_path: Path) -> AdminDesk:
    return AdminDesk(tmp_path)


def test_without_an_admin_key_there_is_no_admin_api(desk: AdminDesk) -> None:
    """Whatever is sent: 404, as for any path that does not exist."""
    desk.admin_key = None
    for path in ("/projects", "/openapi.json", "/sweep", "/nonsense"):
        answer = desk.ask("GET", path)
        assert (answer.status, answer.error["type"]) == (404, "not_found")


@pytest.mark.parametrize("key", [None, "", "let-me-in", ADMIN_KEY[:-1], ADMIN_KEY + "x", "kée", f"gw-{'a' * 43}", IDENTITY_TOKEN])
def test_nobody_comes_in_without_the_key(desk: AdminDesk, key: str | None) -> None:
    """401 at every path, existing or not, and a line in the log that does not repeat what was sent."""
    for method, path in (("GET", "/projects"), ("DELETE", "/projects/acme"), ("GET", "/nonsense"), ("GET", "/openapi.json")):
        answer = desk.ask(method, path, key=key)
        assert (answer.status, answer.error["type"], answer.headers["www-authenticate"]) == (401, "unauthenticated", "Bearer")
    assert len(desk.lines) == 4 and all(line["severity"] == "WARNING" for line in desk.lines)
    assert not key or key not in str(desk.lines)


def test_a_key_that_went_astray_into_a_path_is_not_logged(desk: AdminDesk) -> None:
    """Log lines are read by more people than hold keys."""
    desk.ask("GET", f"/keys/gw-{'a' * 43}", key=None)
    assert "GET /admin/v1/keys/… 401" in desk.lines[0]["message"] and "gw-" not in str(desk.lines)


def test_a_wrong_key_is_refused_before_its_body_is_read(desk: AdminDesk) -> None:
    """Strangers cannot make us take in a megabyte."""
    assert desk.ask("POST", "/projects", b"x" * 2_000_000, key="wrong").status == 401


def test_the_admin_key_may_be_a_reference(desk: AdminDesk) -> None:
    """And a key that was exchanged holds with the next request."""
    desk.admin_key = "env:ADMIN"
    desk.environment["ADMIN"] = ADMIN_KEY
    assert desk.ask("GET", "/projects").status == 200
    desk.environment["ADMIN"] = ADMIN_KEY.swapcase()
    assert desk.ask("GET", "/projects").status == 401
    assert desk.ask("GET", "/projects", key=ADMIN_KEY.swapcase()).status == 200


@pytest.mark.parametrize("secret", [None, "short"])
def test_a_reference_that_leads_to_no_key_lets_nobody_in(desk: AdminDesk, secret: str | None) -> None:
    """503, with the cause in the log alone."""
    desk.admin_key = "env:ADMIN"
    desk.environment.update({"ADMIN": secret} if secret else {})
    answer = desk.ask("GET", "/projects", key="short")
    assert (answer.status, answer.error["type"]) == (503, "unavailable")
    assert "ADMIN" in desk.lines[0]["reason"] and "ADMIN" not in answer.error["message"]


def test_the_scheduler_may_sweep_and_nothing_else(desk: AdminDesk) -> None:
    """By an identity token of the account that the settings name; so may the admin key."""
    desk.emails[IDENTITY_TOKEN] = SCHEDULER
    assert desk.ask("POST", "/sweep", key=IDENTITY_TOKEN).body == {"expired_allowances": 0}
    assert desk.ask("POST", "/sweep").status == 200
    assert desk.swept == 2
    assert desk.ask("GET", "/projects", key=IDENTITY_TOKEN).status == 401
    desk.emails[IDENTITY_TOKEN] = "somebody@example.com"
    assert desk.ask("POST", "/sweep", key=IDENTITY_TOKEN).status == 401
    assert desk.swept == 2


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b'{"id": "\xff"}', "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", "the body is no JSON object"),
        (b"null", "the body is no JSON object"),
        (b'{"id": "acme", "owner": 5}', "'owner' is no field here"),
        (b'{"id": 1e400}', "the body is not JSON"),
    ],
)
def test_a_body_that_cannot_be_meant_is_400(desk: AdminDesk, body: bytes, told: str) -> None:
    """In a sentence; nothing is written."""
    answer = desk.ask("POST", "/projects", body)
    assert (answer.status, answer.error["type"]) == (400, "invalid") and told in answer.error["message"]
    assert desk.good("GET", "/projects")["data"] == []


def test_a_body_beyond_a_mebibyte_is_413(desk: AdminDesk) -> None:
    """Nothing an admin sends is that large."""
    answer = desk.ask("POST", "/projects", {"id": "acme", "name": "x" * 1_100_000})
    assert (answer.status, answer.error["type"]) == (413, "too_large")


def test_the_field_at_fault_is_named(desk: AdminDesk) -> None:
    """So that a form can show it where it belongs."""
    assert desk.ask("POST", "/projects", {"id": "Acme"}).error["path"] == "id"
    assert desk.ask("POST", "/projects", {"id": "acme", "owner": 5}).error["path"] == "owner"
    assert desk.ask("GET", "/records?usr=ana").error["path"] == "usr"
    assert desk.ask("GET", "/projects/acme").error["path"] is None


@pytest.mark.parametrize("path", ["/", "", "/project", "/projects/", "/projects/a/b", "/v1/messages", "/config", "//projects"])
def test_other_paths_are_404(desk: AdminDesk, path: str) -> None:
    """Whatever they end with."""
    assert desk.ask("GET", path).error["type"] == "not_found"


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/admin/v2/projects", "/admin/v1projects"])
def test_there_is_one_version(desk: AdminDesk, path: str) -> None:
    """Under /admin nothing else exists."""
    assert desk.ask("GET", path, prefix="").error["type"] == "not_found"


def test_a_method_that_is_not_offered_is_405_and_says_which_are(desk: AdminDesk) -> None:
    """RFC 9110 section 15.5.6."""
    answer = desk.ask("PATCH", "/projects")
    assert (answer.status, answer.error["type"], answer.headers["allow"]) == (405, "method_not_allowed", "POST, GET, HEAD")
    assert desk.ask("TRACE", "/projects/acme").headers["allow"] == "GET, PUT, PATCH, DELETE, HEAD"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/projects?page=2", "page"),
        ("/projects?limit=0", "limit"),
        ("/projects?limit=1001", "limit"),
        ("/projects?limit=ten", "limit"),
        ("/records?usr=ana", "usr"),
        ("/records?user=", "user"),
        ("/records?meta.=x", "meta."),
        ("/records?since=soon", "since"),
        ("/usage?group_by=colour", "group_by"),
        ("/models?kind=llama", "kind"),
        ("/prices?location=../x", "location"),
        ("/projects/acme?verbose=1", "verbose"),
    ],
)
def test_a_parameter_that_means_nothing_is_400(desk: AdminDesk, path: str, field: str) -> None:
    """A filter that is misspelt would let everything through."""
    answer = desk.ask("GET", path)
    assert answer.status == 400 and field in answer.error["message"]


def test_a_cursor_that_leads_nowhere_is_404(desk: AdminDesk) -> None:
    """There is no such page."""
    for path in ("/projects", "/keys", "/providers", "/budgets", "/records", "/audit", "/users/ana/records"):
        assert desk.ask("GET", f"{path}?cursor=nonsense").error["path"] == "cursor"


def test_every_answer_can_be_traced_and_none_is_kept_by_caches(desk: AdminDesk) -> None:
    """Some hold a key."""
    for answer in (desk.ask("GET", "/projects"), desk.ask("GET", "/nonsense"), desk.ask("GET", "/projects", key=None)):
        assert answer.headers["x-gateway-request-id"].startswith("req_") and answer.headers["cache-control"] == "no-store"


def test_an_outage_of_the_store_is_503(tmp_path: Path) -> None:
    """With a moment to wait, and its cause in the log alone."""

    class Away(SqliteStore):
        def query(self, *args: Any, **more: Any) -> Any:
            raise StoreUnavailable("connection refused")

    desk = AdminDesk(tmp_path, store_class=Away)
    answer = desk.ask("GET", "/projects")
    assert (answer.status, answer.error["type"], answer.headers["retry-after"]) == (503, "unavailable", "2")
    assert desk.lines[0]["reason"] == "connection refused" and "refused" not in answer.error["message"]


def test_a_fault_of_ours_is_500_without_a_traceback(tmp_path: Path) -> None:
    """The request id leads to the log."""

    class Broken(SqliteStore):
        def query(self, *args: Any, **more: Any) -> Any:
            raise RuntimeError("secret detail")

    answer = AdminDesk(tmp_path, store_class=Broken).ask("GET", "/projects")
    assert (answer.status, answer.error["type"]) == (500, "internal")
    assert answer.headers["x-gateway-request-id"] in answer.error["message"] and "secret" not in str(answer.body)


def test_the_door_is_built_once_by_the_first_who_knocks() -> None:
    """Even if many knock at once; until then it costs nothing."""
    built: list[Door] = []

    class Here:
        def handle(self, http: HttpRequest) -> Reply:
            return Reply(204)

    def build() -> Door:
        time.sleep(0.05)
        built.append(Here())
        return built[-1]

    door = LateDoor(build)
    http = HttpRequest("GET", "/admin", {}, {}, lambda limit_bytes: b"")
    assert built == []
    with ThreadPoolExecutor(4) as threads:
        assert [reply.status for reply in threads.map(door.handle, [http] * 4)] == [204] * 4
    assert len(built) == 1


def test_the_description_names_every_route(desk: AdminDesk) -> None:
    """OpenAPI 3.1, with a name for every operation and no name twice."""
    document = desk.good("GET", "/openapi.json")
    assert document["openapi"].startswith("3.1") and document["servers"] == [{"url": "/admin/v1"}]
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES}
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))
