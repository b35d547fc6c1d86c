"""What an answer rests on: Gemini's grounding and citation metadata as Anthropic's citations, and back.

Gemini tells its sources once, beside the text; Anthropic with each block of text. A source of Gemini's becomes a
`search_result_location`, the one kind of citation that needs no seal of Anthropic's own; what of the source was quoted,
Gemini does not say. Sources: Google's reference of GroundingMetadata and CitationMetadata, Anthropic's of citations,
2026-11-21.
"""

from typing import Any

from gateway.dialects.crossing import object_of, objects_of, text_of, url_of

Json = dict[str, Any]


def parse_citations(candidate: Json) -> list[Json]:
    """A citation for each source that a candidate names, once."""
    grounding, cited = object_of(candidate.get("groundingMetadata")), object_of(candidate.get("citationMetadata"))
    pages = [object_of(chunk.get("web")) for chunk in objects_of(grounding.get("groundingChunks"))]
    titles: dict[str, str] = {}
    for source in (*pages, *objects_of(cited.get("citations")), *objects_of(cited.get("citationSources"))):
        if uri := text_of(source.get("uri")):
            titles.setdefault(uri, text_of(source.get("title")))
    return [_citation(place, uri, title) for place, (uri, title) in enumerate(titles.items())]


def _citation(place: int, uri: str, title: str) -> Json:
    where = {"search_result_index": place, "start_block_index": 0, "end_block_index": 0}
    return {"type": "search_result_location", "source": uri, "title": title or None, "cited_text": "", **where}


class GroundingWriter:
    """Blocks of an answer looked at in order; `metadata` is what Gemini would have told of their sources."""

    def __init__(self) -> None:
        self._bytes = 0  # of text so far: Gemini counts so
        self._chunks: dict[str, Json] = {}
        self._supports: list[Json] = []
        self._queries: list[str] = []

    def search(self, block: Json) -> None:
        query = object_of(block.get("input")).get("query")
        if block.get("name") == "web_search" and isinstance(query, str):
            self._queries.append(query)

    def cite(self, text: str, citations: Any) -> None:
        """A whole block of text."""
        start, self._bytes = self._bytes, self._bytes + len(text.encode())
        found = {url: each for each in objects_of(citations) if (url := url_of(each))}
        for url, citation in found.items():
            self._chunks.setdefault(url, {"web": {"uri": url, "title": text_of(citation.get("title"))}})
        if found:
            places = [list(self._chunks).index(url) for url in found]
            segment = {"startIndex": start, "endIndex": self._bytes, "text": text}
            self._supports.append({"segment": segment, "groundingChunkIndices": places})

    def metadata(self) -> Json:
        """Nothing for an answer that rests on nothing."""
        if not self._chunks and not self._queries:
            return {}
        queries = {"webSearchQueries": self._queries} if self._queries else {}
        chunks = {"groundingChunks": list(self._chunks.values()), "groundingSupports": self._supports} if self._chunks else {}
        return {"groundingMetadata": {**queries, **chunks}}
