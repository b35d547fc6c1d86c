"""Pictures that a request links to: fetched where a provider takes no links, and from nowhere that only the gateway can reach."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gateway.canonical.call import Call, Caller, Request
from gateway.canonical.errors import InvalidRequest
from gateway.canonical.json_object import JsonObject
from gateway.canonical.steps import run_blocking
from gateway.providers.http1 import Pool
from gateway.providers.linked_media import inline_links

PNG = b"\x89PNG\r\n\x1a\n picture"
PAGES: dict[str, tuple[int, str, bytes]] = {
    "/cat.png?size=2": (200, "image/png", PNG),
    "/a%20cat.png": (200, "image/png; charset=binary", PNG),
    "/paper.pdf": (200, "application/pdf", b"%PDF-1.7"),
    "/words.txt": (200, "text/plain; charset=utf-8", "Grüße".encode()),
    "/page": (200, "text/html", b"<html>"),
    "/gone": (404, "text/html", b"<html>"),
    "/moved": (302, "image/png", b""),
    "/huge.png": (200, "image/png", b"x" * (5 * 1024 * 1024 + 1)),
}


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, kind, body = PAGES[self.path]
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("location", "http://127.0.0.1/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def block(url: Any, kind: str = "image") -> dict[str, Any]:
    return {"type": kind, "source": {"type": "url", "url": url}}


def inlined(site: str, *content: Any, allowed: bool = True) -> list[Any]:
    """The content of a user's message as it goes on."""
    document = JsonObject(json.dumps({"messages": [{"role": "user", "content": list(content)}], "max_tokens": 5}).encode())
    request = Request("generate", "m", stream=False, document=document)
    call = Call("id", Caller("k", "p"), "anthropic", request, {}, 0.0, 0.0)
    pool = Pool(allowed=(site.removeprefix("http://"),) if allowed else ())
    try:
        found = run_blocking(inline_links(call, pool, 1.0))
    finally:
        pool.close()
    if found is call:
        return list(content)
    body = json.loads(found.request.document.source)
    assert body["max_tokens"] == 5
    content_found: list[Any] = body["messages"][0]["content"]
    return content_found


def refusal(site: str, *content: Any, allowed: bool = True) -> str:
    with pytest.raises(InvalidRequest) as refused:
        inlined(site, *content, allowed=allowed)
    return refused.value.message


@pytest.mark.parametrize("path", ["/cat.png?size=2", "/a cat.png"])
def test_a_linked_picture_is_put_into_the_request(site: str, path: str) -> None:
    """With the type that its server says."""
    text = {"type": "text", "text": "What is this?"}
    same, picture = inlined(site, text, block(site + path))
    assert same == text
    wanted = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    assert picture == {"type": "image", "source": wanted}


def test_documents_and_results_of_tools_are_looked_through_too(site: str) -> None:
    """PDFs, plain text, and what a tool answered with."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": [block(f"{site}/cat.png?size=2")]}
    pdf, words, told = inlined(site, block(f"{site}/paper.pdf", "document"), block(f"{site}/words.txt", "document"), result)
    assert (pdf["source"]["type"], pdf["source"]["media_type"]) == ("base64", "application/pdf")
    assert words["source"] == {"type": "text", "media_type": "text/plain", "data": "Grüße"}
    assert told["content"][0]["source"]["type"] == "base64"


def test_what_merely_looks_like_a_link_stays_as_it_is(site: str) -> None:
    """Words about links, and arguments of tools."""
    use = {"type": "tool_use", "id": "t", "name": "show", "input": {"type": "image", "source": {"type": "url", "url": "x"}}}
    content = [{"type": "text", "text": '"type": "url"'}, use]
    assert inlined(site, *content) == content


@pytest.mark.parametrize(
    ("path", "kind", "told"),
    [
        ("/gone", "image", "answered 404"),
        ("/moved", "image", "answered 302"),
        ("/page", "image", "is text/html, and should be image/jpeg"),
        ("/paper.pdf", "image", "is application/pdf, and should be image/jpeg"),
        ("/cat.png?size=2", "document", "should be application/pdf"),
        ("/huge.png", "image", "holds more than 5242880 bytes"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_block_that_names_it(site: str, path: str, kind: str, told: str) -> None:
    """And what to do instead."""
    message = refusal(site, {"type": "text", "text": "x"}, block(site + path, kind))
    assert message.startswith("messages.0.content.1.source.url: ") and told in message
    assert path not in message


@pytest.mark.parametrize("url", ["https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x"])
def test_private_addresses_are_not_asked(site: str, url: str) -> None:
    """Not the machine itself; and without a word of what is there."""
    assert "could not be read" in refusal(site, block(url))


@pytest.mark.parametrize("url", ["http://example.com/x.png", "ftp://example.com/x", "https://u:p@example.com/x", "x", "", None])
def test_only_public_https_is_asked(site: str, url: Any) -> None:
    """Whatever else is written there."""
    assert "should be a public https:// URL" in refusal(site, block(url))


def test_a_private_site_is_asked_only_if_the_operator_names_it(site: str) -> None:
    """GATEWAY_ALLOW_PRIVATE_UPSTREAMS."""
    assert "should be a public https:// URL" in refusal(site, block(f"{site}/cat.png?size=2"), allowed=False)


def test_there_is_a_limit_to_how_many_are_fetched(site: str) -> None:
    """One request is not a crawler."""
    assert "21 links are too many" in refusal(site, *[block(f"{site}/cat.png?size=2")] * 21)
