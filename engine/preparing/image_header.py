"""What a caller's image says it is: kind and size from its first bytes, before any decoder sees it. Pure.

 (1) the first bytes name one of four kinds; anything else, SVG, TIFF, BMP and camera formats too, is refused
 (2) the size stands where the kind's header says; a JPEG's is found by walking its segments, at most `MAX_SEGMENTS`
 (3) no side above `MAX_SIDE`, not more than `MAX_PIXELS` in all: a few hundred bytes can claim 65535 x 65535 pixels

Whether the rest of the file keeps that promise is the decoder's to say. Sources: PNG (W3C) section 11.2.1, JPEG
(T.81) annex B, GIF89a section 18, WebP container (RFC 9649) section 2.
"""

from dataclasses import dataclass
from typing import Literal

MAX_SIDE = 16384
MAX_PIXELS = 4096 * 4096  # a decoded image of that many takes 64 MiB; cameras of phones make 12 million
MAX_SEGMENTS = 1024  # of a JPEG before its frame header; real ones have a few dozen
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # tables and an extension stand between them
_END_OF_HEADERS = frozenset((0xD8, 0xD9, 0xDA))

Kind = Literal["PNG", "JPEG", "GIF", "WEBP"]


class ImageFault(Exception):
    """The image cannot be shown to a model. `reason` is private, `text` one public sentence that quotes nothing."""

    def __init__(self, reason: str, text: str = "invalid image input") -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the first bytes say. Sizes are pixels, before any rotation."""

    kind: Kind
    width: int
    height: int


def read_image_header(data: bytes) -> ImageHeader:
    """Kind and size of the image in `data`. Raises ImageFault."""
    header = _read(data)
    if header.width < 1 or header.height < 1:
        raise ImageFault("image_empty")
    if max(header.width, header.height) > MAX_SIDE or header.width * header.height > MAX_PIXELS:
        raise ImageFault("image_too_many_pixels", f"an image has more than {MAX_PIXELS} pixels or a too long side")
    return header


def _read(data: bytes) -> ImageHeader:
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return ImageHeader("GIF", _little(data, 6, 2), _little(data, 8, 2))
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
    except IndexError:
        raise ImageFault("image_truncated") from None
    raise ImageFault("image_kind_unknown", "invalid image input: it must be PNG, JPEG, WebP or GIF")


def _png(data: bytes) -> ImageHeader:
    if data[12:16] != b"IHDR":
        raise ImageFault("image_header_broken")
    return ImageHeader("PNG", _big(data, 16, 4), _big(data, 20, 4))


def _jpeg(data: bytes) -> ImageHeader:
    at = 2
    for _ in range(MAX_SEGMENTS):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker in _FRAMES:
            return ImageHeader("JPEG", _big(data, at + 7, 2), _big(data, at + 5, 2))
        if marker in _END_OF_HEADERS:
            break
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + max(2, _big(data, at + 2, 2))
    raise ImageFault("image_header_broken")


def _webp(data: bytes) -> ImageHeader:
    chunk = data[12:16]
    if chunk == b"VP8X":
        return ImageHeader("WEBP", _little(data, 24, 3) + 1, _little(data, 27, 3) + 1)
    if chunk == b"VP8L" and _little(data, 20, 1) == 0x2F:
        bits = _little(data, 21, 4)
        return ImageHeader("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return ImageHeader("WEBP", _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF)
    raise ImageFault("image_header_broken")


def _big(data: bytes, start: int, length: int) -> int:
    return int.from_bytes(_taken(data, start, length), "big")


def _little(data: bytes, start: int, length: int) -> int:
    return int.from_bytes(_taken(data, start, length), "little")


def _taken(data: bytes, start: int, length: int) -> bytes:
    """`length` bytes. Raises IndexError where the data ends before."""
    taken = data[start : start + length]
    if len(taken) < length:
        raise IndexError
    return taken
