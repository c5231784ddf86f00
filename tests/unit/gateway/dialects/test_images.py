import base64

import pytest

from gateway.dialects.images import MAX_IMAGE_BYTES, MAX_IMAGES, read_image_url, read_images
from policies.errors import BadRequest, BodyTooLarge

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
TEXT = base64.b64encode(PNG).decode()


def test_raw_base64() -> None:
    assert read_images([TEXT, f"{TEXT[:8]}\r\n{TEXT[8:]}"]) == (PNG, PNG)
    assert read_images([]) == ()


@pytest.mark.parametrize("text", ["???", "abc", "data:image/png;base64,AAAA", "AA AA", "ÄÖÜ="])
def test_no_base64(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_images([text])
    assert refused.value.text == "invalid image input"


def test_bounds() -> None:
    with pytest.raises(BadRequest):
        read_images([TEXT] * (MAX_IMAGES + 1))
    with pytest.raises(BodyTooLarge) as refused:
        read_images(["A" * (MAX_IMAGE_BYTES * 2)])
    assert refused.value.limit_bytes == MAX_IMAGE_BYTES


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/jpg", "image/webp", ""])
def test_data_urls(kind: str) -> None:
    assert read_image_url(f"data:{kind};base64,{TEXT}") == PNG


@pytest.mark.parametrize("url", ["data:image/svg+xml;base64,AAAA", "file:///etc/passwd", "ftp://x", ""])
def test_other_urls(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_image_url(url)
    assert refused.value.text == "invalid image input"


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://example.org/x.png"])
def test_nothing_is_fetched(url: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_image_url(url)
    assert "image URLs are not currently supported" in refused.value.text
