"""Made-up embeddings: the same text always gets the same unit vector, texts that share words get vectors that are close."""

import base64
import hashlib
import math
import random
import struct
from collections.abc import Sequence

OWN_WEIGHT = 0.2


def embed(text: str, dimensions: int) -> list[float]:
    """A vector of length 1: the sum of its words' own, and a little of the text's."""
    total = [value * OWN_WEIGHT for value in _random_unit(f"text {text}", dimensions)]
    for word in text.lower().split() or [""]:
        total = [a + b for a, b in zip(total, _random_unit(f"word {word}", dimensions), strict=True)]
    length = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / length for value in total]


def _random_unit(seed: str, dimensions: int) -> list[float]:
    drawn = random.Random(hashlib.sha256(seed.encode()).digest())
    return [drawn.gauss(0, 1) / math.sqrt(dimensions) for _ in range(dimensions)]


def as_base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI's clients ask for by default."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
