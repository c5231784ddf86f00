"""Turns a caller's image into bare pixels, inside the walls: what a model sees is what was decoded here, nothing else.

 (1) kind and size by our own reader first (`image_header`); Pillow is told that one kind, and must find that size
 (2) one frame is decoded, the first; a file that ends early is refused, not filled up
 (3) turned as its EXIF says, laid on white where it is transparent, 16-bit grey brought to 8: a model must see what a
     person sees (CVE-2026-12491)
 (4) scaled down to the square the projector looks at; comments, colour profiles and thumbnails are gone with the file

Pillow's decoders are C, so this runs in the preparer only, which has nothing to lose, within its time and memory.
"""

import struct
import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import (
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from engine.pictures import Picture
from engine.preparing.image_header import MAX_PIXELS, ImageFault, read_image_header

MAX_IMAGES = 16
MAX_PICTURE_BYTES = 48 * 1024 * 1024  # of all pictures of one request, decoded: they travel in one frame
MAX_TOTAL_PIXELS = 4 * MAX_PIXELS  # of all images of one request: two seconds of decoding are not enough for more
# Imported now, since later no file can be opened; a JPEG of several pictures and EXIF need the two last.
PLUGINS = (GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin, MpoImagePlugin, TiffImagePlugin)
ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises for a file that is not what it says; it promises no common base.
_PILLOW_FAULTS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError,
    ImportError, EOFError, struct.error, UnidentifiedImageError, Image.DecompressionBombError, Warning,
)  # fmt: skip

ImageFile.LOAD_TRUNCATED_IMAGES = False


def decode_images(images: Sequence[bytes], largest_side: int) -> list[Picture]:
    """The pictures of one request, none with a side above `largest_side`. Raises ImageFault."""
    if len(images) > MAX_IMAGES:
        raise ImageFault("too_many_images", f"at most {MAX_IMAGES} images in one request")
    headers = [read_image_header(image) for image in images]
    if sum(header.width * header.height for header in headers) > MAX_TOTAL_PIXELS:
        raise ImageFault("images_too_many_pixels", f"the images have more than {MAX_TOTAL_PIXELS} pixels together")
    pictures = [decode_image(image, largest_side) for image in images]
    if sum(len(picture.rgb) for picture in pictures) > MAX_PICTURE_BYTES:
        raise ImageFault("images_too_large", "the images are too many for one request to this model")
    return pictures


def decode_image(data: bytes, largest_side: int) -> Picture:
    """The picture in `data`, see the head of the module. Raises ImageFault."""
    header = read_image_header(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=(header.kind,)) as image:
                if image.size != (header.width, header.height):
                    raise ImageFault("image_size_disputed")
                return _picture(image, largest_side)
    except _PILLOW_FAULTS:
        raise ImageFault("image_undecodable") from None


def warm_up() -> None:
    """Decode one image of each kind, so that every decoder is loaded before files can no longer be opened."""
    for kind in ("PNG", "JPEG", "GIF", "WEBP"):
        file = BytesIO()
        Image.new("RGB", (2, 2)).save(file, kind)
        decode_image(file.getvalue(), 2)


def _picture(image: Image.Image, largest_side: int) -> Picture:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(
            "RGB", (largest_side, largest_side)
        )  # a JPEG decodes to an eighth of its size at an eighth of the cost
    image.load()
    turn = _TURNS.get(_orientation(image))
    shown = _on_white(image)
    shown.thumbnail((largest_side, largest_side), Image.Resampling.BICUBIC)
    if turn is not None:
        shown = shown.transpose(turn)
    return Picture(width=shown.width, height=shown.height, rgb=shown.tobytes())


def _orientation(image: Image.Image) -> Any:
    return image.getexif().get(ORIENTATION, 1)


def _on_white(image: Image.Image) -> Image.Image:
    """A new RGB image."""
    if image.mode.startswith("I"):
        image = image.point(lambda level: level * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    shown = image.convert("RGBA")
    white = Image.new("RGBA", shown.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, shown).convert("RGB")
