"""What an embedder's answer must be to be of use."""

import json
from typing import Any

import pytest

from gateway.answering.embedder import parse_vector
from gateway.cache.semantic import DIMENSIONS
from gateway.canonical.errors import UpstreamFailed
from gateway.canonical.store import Vector


def answer(*vectors: Any) -> bytes:
    return json.dumps({"data": [{"embedding": vector} for vector in vectors]}).encode()


def test_a_vector_of_as_many_dimensions_as_the_index_has_is_taken() -> None:
    """Whole numbers too, which JSON does not tell apart."""
    assert parse_vector(answer([0] * (DIMENSIONS - 1) + [1])) == Vector((0.0,) * (DIMENSIONS - 1) + (1.0,))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", answer(), answer(None), answer(["x"]), answer([1.0], [2.0]), answer([0.0, 0.0])], ids=ascii
)
def test_anything_else_is_a_failure_of_the_provider(body: bytes) -> None:
    """Not of the call's."""
    with pytest.raises(UpstreamFailed, match="holds no embedding"):
        parse_vector(body)


def test_another_number_of_dimensions_is_the_operators_to_mend() -> None:
    """The model that the setting names cannot give 768."""
    with pytest.raises(UpstreamFailed, match="name another GATEWAY_EMBEDDING_MODEL"):
        parse_vector(answer([1.0] * 1536))
