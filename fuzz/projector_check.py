"""Invariant: any file is a GgufFault of one printable line, or a projector whose rows are counted and bounded."""

import io
import tempfile
from pathlib import Path

from engine.store.gguf_header import GgufFault
from engine.store.projector_check import MAX_IMAGE_SIZE, MAX_PATCHES, parse_projector, projector_of
from tests.unit.engine.tiny_vision import write_projector


def _seeds() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as folder:
        made = (write_projector(Path(folder) / family, family=family) for family in ("mlp", "gemma3"))
        return tuple(path.read_bytes() for path in made)


SEEDS = _seeds()


def one(data: bytes) -> None:
    """Check one file."""
    try:
        facts = projector_of(parse_projector(io.BytesIO(data), len(data)))
    except GgufFault as refused:
        _check_words(str(refused))
        return
    assert 0 < facts.tokens <= MAX_PATCHES
    assert 0 < facts.image_size <= MAX_IMAGE_SIZE
    assert facts.width > 0


def _check_words(words: str) -> None:
    assert words.isprintable()
    assert len(words) < 300
