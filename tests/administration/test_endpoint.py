"""A deployed endpoint examined from outside: what is wrong, and what mends it."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import requests
from house import Served, served

from gateway import NAME, VERSION
from gateway.administration.endpoint import check_endpoint
from gateway.administration.provider_tests import Finding
from gateway.administration.web import Answer, Web

URL = "https://gw.example.com"
OURS = {"x-gateway-request-id": "req_1", "date": "Sat, 21 Nov 2026 06:00:00 GMT"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("gateway")) as one:
        yield one


def answering(**answers: Answer) -> Callable[..., Answer]:
    """An endpoint of https: `readyz`, `root`, `messages`; the others are as they should be."""
    usual = {
        "readyz": Answer(200, OURS, b'{"status":"ready","records_waiting":0}'),
        "root": Answer(200, OURS, json.dumps({"name": NAME, "version": VERSION}).encode()),
        "messages": Answer(401, OURS, b"{}"),
    }

    def ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        name = {"/readyz": "readyz", "": "root", "/v1/messages": "messages"}[url.removeprefix(URL)]
        return (usual | answers)[name]

    return ask


def faults(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state != "ok"]


def test_a_running_gateway_is_well(gateway: Served) -> None:
    """Ready, of this version, and a wrong key is refused; no record is left by the visit."""
    findings = check_endpoint(gateway.url + "/", Web())
    assert [finding.state for finding in findings] == ["ok"] * 3
    assert VERSION in findings[1].words and "401" in findings[2].words
    assert gateway.records() == []


def test_over_https_the_certificate_is_a_line_too() -> None:
    """Which name it is for."""
    findings = check_endpoint(URL, answering())
    assert faults(findings) == [] and findings[0].words == "a valid certificate for gw.example.com"


@pytest.mark.parametrize(
    ("url", "word"),
    [("http://gw.example.com", "clear text"), ("gw.example.com", "no URL"), ("ftp://x", "no URL"), ("", "no URL")],
)
def test_a_url_that_cannot_be_meant_is_told(url: str, word: str) -> None:
    """Nothing is sent there."""
    (fault,) = check_endpoint(url, lambda *unused: pytest.fail("was asked"))
    assert fault.state == "fail" and word in fault.words and fault.mend


@pytest.mark.parametrize(
    ("answer", "mend"),
    [
        (Answer(401, {"www-authenticate": "Bearer"}, b"<html>"), "--no-invoker-iam-check"),
        (Answer(403, {}, b"<html>Forbidden"), "x-api-key"),
        (Answer(302, {"location": "https://accounts.google.com/o/oauth2"}, b""), "it redirects to https://accounts.google.com"),
        (Answer(404, {}, b"<html>"), "ingress"),
        (Answer(503, {}, b"Service Unavailable"), "gcloud run services logs read"),
    ],
)
def test_googles_front_end_is_told_from_the_gateway(answer: Answer, mend: str) -> None:
    """It answers first, if IAM, IAP, ingress or a container that does not start stand in the way."""
    found = faults(check_endpoint(URL, answering(readyz=answer)))
    assert [fault.state for fault in found] == ["fail"] and mend in found[0].mend


def test_a_gateway_without_its_store_says_why() -> None:
    """503 of the gateway's own, with the store's words."""
    away = Answer(503, OURS, b'{"status":"store unavailable","store":"PermissionDenied: Missing permissions"}')
    (fault,) = faults(check_endpoint(URL, answering(readyz=away)))
    assert "PermissionDenied" in fault.words and "roles/datastore.user" in fault.mend


def test_another_version_is_a_warning() -> None:
    """What this doctor knows may not hold there."""
    other = Answer(200, OURS, json.dumps({"name": NAME, "version": "0.0.1"}).encode())
    (fault,) = faults(check_endpoint(URL, answering(root=other)))
    assert fault.state == "warn" and "0.0.1 there" in fault.words


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (Answer(200, OURS, b"{}"), "was let in"),
        (Answer(500, OURS, b"{}"), "500 instead of 401"),
        (Answer(401, {}, b"<html>"), "not from this gateway"),
    ],
)
def test_a_wrong_key_must_be_refused_by_the_gateway_itself(answer: Answer, word: str) -> None:
    """Cloud Run's IAM check refuses it too, and every right one with it."""
    (fault,) = faults(check_endpoint(URL, answering(messages=answer)))
    assert fault.state == "fail" and word in fault.words and fault.mend


def test_a_sandbox_is_not_taken_for_the_real_thing() -> None:
    """Its answers are made up."""
    pretending = Answer(200, {**OURS, "x-gateway-sandbox": "true"}, b"{}")
    (fault,) = faults(check_endpoint(URL, answering(readyz=pretending)))
    assert fault.state == "warn" and "GATEWAY_SANDBOX" in fault.mend


def test_nobody_there_is_told_with_the_reason() -> None:
    """Nothing listens at port 9."""
    (fault,) = check_endpoint("http://127.0.0.1:9", Web())
    assert fault.state == "fail" and "refused" in fault.words and "gcloud run services describe" in fault.mend


def test_a_certificate_for_another_name_is_told_as_such(tmp_path: Path) -> None:
    """Not as a network fault. The server here cannot even speak TLS well."""
    listening = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        connection, _ = listening.accept()
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    threading.Thread(target=hang_up, daemon=True).start()
    with listening:
        (fault,) = check_endpoint(f"https://127.0.0.1:{listening.getsockname()[1]}", Web())
    assert fault.state == "fail" and fault.subject.endswith("TLS")


def test_a_redirect_is_an_answer_and_not_followed(gateway: Served) -> None:
    """What was asked must answer itself, and nothing is raised, whatever goes wrong."""

    class Session(requests.Session):
        def send(self, request: requests.PreparedRequest, **how: object) -> requests.Response:
            assert how["allow_redirects"] is False
            raise requests.exceptions.ConnectionError(ssl.SSLError("inner words"))

    answer = Web(Session())("GET", gateway.url, {}, None)
    assert (answer.status, answer.fault) == (0, "connection") and "inner words" in answer.words
    assert Web()("GET", "http://[", {}, None).status == 0
