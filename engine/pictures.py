"""How a picture stands among token ids: as a run of negative ids that follow from its pixels. Pure.

The preparer puts the runs into a prompt, the worker checks that they belong to the pictures it was handed. So a
prefix in memory is found again for the same picture and for no other, by the same comparison that finds text: ids of
text are never negative, and those of another picture, or of the same bytes in another shape (CVE-2025-46722), differ
in 31 bits a row.
"""

from array import array
from hashlib import shake_256

from msgspec import Struct

BYTES_PER_PIXEL = 3  # red, green, blue
_SIGN = -(2**31)


class Picture(Struct, frozen=True, kw_only=True, weakref=True):
    """Pixels, row by row from the top, three bytes each; nothing else of the caller's file is left in it."""

    width: int
    height: int
    rgb: bytes


class Stretch(Struct, frozen=True):
    """The rows `start` up to `end` of a prompt are `picture`."""

    start: int
    end: int
    picture: Picture


def is_whole(picture: Picture) -> bool:
    """Whether the pixels are as many as its size says."""
    size = picture.width * picture.height * BYTES_PER_PIXEL
    return picture.width > 0 and picture.height > 0 and len(picture.rgb) == size


def picture_ids(picture: Picture, tokens: int) -> list[int]:
    """The run of `tokens` ids, all below zero, that stands for `picture` in a prompt."""
    digest = shake_256(picture.width.to_bytes(4, "little") + picture.height.to_bytes(4, "little"))
    digest.update(picture.rgb)
    drawn = array("i", digest.digest(4 * tokens))
    return [_SIGN | one for one in drawn]
