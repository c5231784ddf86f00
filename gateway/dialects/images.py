"""Images in a request: base64 to bytes, bounded before they are decoded."""

import base64
import binascii
import re
from collections.abc import Sequence

from policies.errors import BadRequest, BodyTooLarge

MAX_IMAGES = 16
MAX_IMAGE_BYTES = 5 * 1024 * 1024

_DATA_URL = re.compile(r"data:(?:image/(?:jpeg|jpg|png|webp))?;base64,")


def read_images(encoded: Sequence[str]) -> tuple[bytes, ...]:
    """Raw base64 images, as Ollama takes them. Raises BadRequest or BodyTooLarge."""
    if len(encoded) > MAX_IMAGES:
        raise BadRequest("too_many_images", f"at most {MAX_IMAGES} images in one request")
    return tuple(_decoded(one) for one in encoded)


def read_image_url(url: str) -> bytes:
    """A `data:` URL, as OpenAI's clients send it. Nothing is ever fetched. Raises as above."""
    if url.startswith(("http://", "https://")):
        raise BadRequest("image_url", "image URLs are not currently supported, please use base64 encoded data instead")
    prefix = _DATA_URL.match(url)
    if prefix is None:
        raise BadRequest("image_invalid", "invalid image input")
    return _decoded(url[prefix.end() :])


def _decoded(text: str) -> bytes:
    if len(text) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise BodyTooLarge("image_too_large", limit_bytes=MAX_IMAGE_BYTES)
    try:
        # Go's decoder skips line ends and nothing else.
        return base64.b64decode(text.replace("\r", "").replace("\n", "").encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadRequest("image_invalid", "invalid image input") from None
