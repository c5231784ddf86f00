"""Embedding vectors on their way out: unit length, cut, packed."""

import base64
import math
import struct
from collections.abc import Sequence

from engine.errors import UpstreamFailed


def unit_vector(vector: Sequence[float], dimensions: int = 0) -> list[float]:
    """The first `dimensions` entries (0: all) scaled to L2 norm 1; a zero vector stays zero.

    Raises UpstreamFailed for entries that are no finite numbers: JSON has no form for them.
    """
    cut = finite_vector(vector[:dimensions] if dimensions else vector)
    norm = math.hypot(*cut)
    return [entry / norm for entry in cut] if norm else cut


def finite_vector(vector: Sequence[float]) -> list[float]:
    """The entries as they are. Raises UpstreamFailed as above."""
    if not all(map(math.isfinite, vector)):
        raise UpstreamFailed("embedding_not_finite")
    return list(vector)


def base64_float32(vector: Sequence[float]) -> str:
    """Little-endian float32 in base64, the form the official openai client asks for by default."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
