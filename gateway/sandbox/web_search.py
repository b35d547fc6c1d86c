"""The web-search server tool, without a web: one made-up result, cited as the real one cites (2026-11-20)."""

import base64
from typing import Any

from gateway.sandbox.identifiers import server_tool_use_id

SEARCHED_TOKENS = 640  # what the results add to the prompt
SEAL = base64.b64encode(b"sandbox: encrypted content of a page that does not exist").decode()
PAGE = {"title": "The sandbox", "url": "https://example.com/sandbox"}
CITED = "Nothing was searched: the sandbox has no web."


def blocks(query: str) -> list[dict[str, Any]]:
    """Query, results, and an answer that cites them."""
    name = server_tool_use_id()
    result = {"type": "web_search_result", **PAGE, "encrypted_content": SEAL, "page_age": None}
    citation = {"type": "web_search_result_location", **PAGE, "encrypted_index": SEAL[:32], "cited_text": CITED}
    return [
        {"type": "server_tool_use", "id": name, "name": "web_search", "input": {"query": query[:200]}},
        {"type": "web_search_tool_result", "tool_use_id": name, "content": [result]},
        {"type": "text", "text": f"You asked me to search for “{query[:200]}”. "},
        {"type": "text", "text": CITED, "citations": [citation]},
        {"type": "text", "text": " A real Claude would now tell you what it found."},
    ]
