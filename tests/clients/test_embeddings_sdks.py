"""Embeddings as the official SDKs of OpenAI and Google ask for them, at every provider that makes them."""

from typing import Any

import openai
import pytest
from everywhere import PROJECT
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from house import Served

TEXTS = ["Hello", "you there, ferret", "漢字"]
MODELS = ["vertex/text-embedding-005", "vertex/gemini-embedding-001", "vertex/gemini-embedding-2",
          "@studio/gemini-embedding-001", "@studio/gemini-embedding-2", "@oai/text-embedding-3-small"]  # fmt: skip


@pytest.fixture
def openai_sdk(everywhere: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{everywhere.url}/v1", api_key=everywhere.key, max_retries=0)


def google_sdk(url: str, key: str) -> genai.Client:
    """As for the Gemini API."""
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))


def google_cloud_sdk(url: str, token: str) -> genai.Client:
    """As for Vertex AI."""
    options = types.HttpOptions(base_url=url)
    return genai.Client(vertexai=True, project=PROJECT, location="global", credentials=Credentials(token), http_options=options)


def vectors(found: Any) -> list[list[float]]:
    return [each.values for each in found.embeddings]


@pytest.mark.parametrize("model", MODELS)
def test_both_sdks_are_given_the_same_vectors(everywhere: Served, openai_sdk: openai.OpenAI, model: str) -> None:
    """One for each text, in their order, whoever makes them; OpenAI's SDK asks in base64, Google's in one batch."""
    asked = openai_sdk.embeddings.create(model=model, input=TEXTS, dimensions=64)
    contents: Any = [types.Content(parts=[types.Part(text=text)]) for text in TEXTS]
    config = types.EmbedContentConfig(output_dimensionality=64)
    google = google_sdk(everywhere.url, everywhere.key)
    found = google.models.embed_content(model=model, contents=contents, config=config)
    assert len(vectors(found)) == len(TEXTS)
    for ours, theirs in zip(asked.data, vectors(found), strict=True):
        assert ours.embedding == pytest.approx(theirs, abs=1e-6)
    assert asked.usage.prompt_tokens > 0


def test_a_long_list_of_texts_comes_back_whole_and_in_order(openai_sdk: openai.OpenAI) -> None:
    """From several requests to the model, and more bytes than are put together between two other calls."""
    texts = [f"text number {place}" for place in range(300)]
    found = openai_sdk.embeddings.create(model="vertex/text-embedding-005", input=texts)
    alone = openai_sdk.embeddings.create(model="vertex/text-embedding-005", input=texts[-1])
    assert [row.index for row in found.data] == list(range(300))
    assert found.data[-1].embedding == alone.data[0].embedding


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
def test_googles_sdk_hears_what_the_gemini_api_would_say(everywhere: Served, model: str) -> None:
    """The same words through the gateway as without it."""
    contents: Any = [types.Content(parts=[types.Part(text=text)]) for text in TEXTS]
    through, direct = google_sdk(everywhere.url, everywhere.key), google_sdk(everywhere.sandbox.url, everywhere.sandbox.api_key)
    asked = through.models.embed_content(model=f"@studio/{model}", contents=contents)
    assert vectors(asked) == vectors(direct.models.embed_content(model=model, contents=contents))


@pytest.mark.parametrize("model", ["text-embedding-005", "gemini-embedding-001", "gemini-embedding-2"])
def test_googles_sdk_in_its_vertex_mode_is_answered_too(everywhere: Served, model: str) -> None:
    """By `:predict` or `:embedContent`, as it chooses by the model."""
    sdk = google_cloud_sdk(everywhere.url, everywhere.key)
    found = sdk.models.embed_content(model=model, contents="Hello", config=types.EmbedContentConfig(output_dimensionality=32))
    direct = google_cloud_sdk(everywhere.sandbox.url, everywhere.sandbox.access_token())
    expected = direct.models.embed_content(
        model=model, contents="Hello", config=types.EmbedContentConfig(output_dimensionality=32)
    )
    assert vectors(found)[0] == pytest.approx(vectors(expected)[0], abs=1e-6)


@pytest.mark.parametrize("model", ["@studio/gemini-embedding-001", "@oai/text-embedding-3-small"])
def test_googles_sdk_may_say_what_its_vectors_are_for(everywhere: Served, model: str) -> None:
    """Also to a model that would refuse to be told: OpenAI's know no task."""
    config = types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=64)
    sdk = google_sdk(everywhere.url, everywhere.key)
    found: Any = sdk.models.embed_content(model=model, contents="Hello", config=config)
    assert [len(vector) for vector in vectors(found)] == [64]
    lost = found.sdk_http_response.headers.get("x-gateway-dropped")
    assert lost == ("task_type" if model.startswith("@oai") else None)


def test_googles_sdk_hears_refusals_in_googles_words(everywhere: Served) -> None:
    """Status and message; a model that makes none, and a picture where no picture can go."""
    sdk = google_sdk(everywhere.url, everywhere.key)
    with pytest.raises(errors.ClientError) as none:
        sdk.models.embed_content(model="claude-sonnet-4-6", contents="Hello")
    assert (none.value.code, none.value.status) == (400, "INVALID_ARGUMENT")
    assert "makes no embeddings" in str(none.value.message)
    picture: Any = types.Content(parts=[types.Part.from_bytes(data=b"x", mime_type="image/png")])
    with pytest.raises(errors.ClientError) as seen:
        sdk.models.embed_content(model="@studio/gemini-embedding-2", contents=picture)
    assert "texts alone" in str(seen.value.message)
