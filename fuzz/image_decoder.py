"""Invariant: any bytes are an ImageFault with a public sentence, or a picture with as many pixels as its size says."""

from io import BytesIO

from PIL import Image

from engine.pictures import is_whole
from engine.preparing.image_decoder import decode_image
from engine.preparing.image_header import ImageFault

SIDE = 8
KINDS = ("PNG", "JPEG", "GIF", "WEBP")


def _seed(kind: str) -> bytes:
    file = BytesIO()
    Image.linear_gradient("L").resize((12, 9)).convert("RGB").save(file, kind)
    return file.getvalue()


SEEDS = tuple(_seed(kind) for kind in KINDS)


def one(data: bytes) -> None:
    """Decode one image."""
    try:
        picture = decode_image(data, SIDE)
    except ImageFault as refused:
        _check_words(refused.text)
        return
    assert is_whole(picture)
    assert max(picture.width, picture.height) <= SIDE


def _check_words(words: str) -> None:
    assert words.isprintable()
    assert len(words) < 200
