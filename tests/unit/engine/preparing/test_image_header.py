"""Kind and size from the first bytes of an image."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.preparing.image_header import MAX_PIXELS, MAX_SEGMENTS, MAX_SIDE, ImageFault, ImageHeader, read_image_header
from tests.unit.engine.made_up_images import encoded, png

SOF = b"\xff\xc0\x00\x11\x08\x00\x10\x00\x20\x03"
SOI = b"\xff\xd8"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (300, 7), (7, 300)])
def test_each_kind_says_its_size(kind: str, size: tuple[int, int]) -> None:
    assert read_image_header(encoded(Image.new("RGB", size), kind)) == ImageHeader(kind, *size)  # type: ignore[arg-type]


def test_the_three_forms_of_webp() -> None:
    lossless = encoded(Image.new("RGB", (33, 5)), "WEBP", lossless=True)
    extended = encoded(Image.new("RGBA", (33, 5), (0, 0, 0, 128)), "WEBP", exif=b"Exif\0\0")
    assert (lossless[12:16], extended[12:16]) == (b"VP8L", b"VP8X")
    assert {read_image_header(one) for one in (lossless, extended)} == {ImageHeader("WEBP", 33, 5)}


@pytest.mark.parametrize(
    "before",
    [b"", b"\xff\xe0\x00\x04ab", b"\xff\xff\xff", b"\xff\x01", b"\xff\xd0", b"\xff\xfe\x00\x00" + bytes(0)],
)
def test_a_jpeg_is_walked_to_its_frame(before: bytes) -> None:
    assert read_image_header(SOI + (before or b"\xff\xe0\x00\x02") + SOF) == ImageHeader("JPEG", 32, 16)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "image_kind_unknown"),
        (b"RIFF\0\0\0\0WAVEfmt ", "image_kind_unknown"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT" + bytes(20), "image_header_broken"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0", "image_truncated"),
        (b"GIF89a\x01", "image_truncated"),
        (SOI + b"\xff\xe0\x00\x02" + b"xx", "image_header_broken"),
        (SOI + b"\xff\xda\x00\x02" + SOF, "image_header_broken"),
        (SOI + b"\xff\xe0\xff\xff", "image_truncated"),
        (SOI + b"\xff\xd0" * (MAX_SEGMENTS + 1) + SOF, "image_header_broken"),
        (b"RIFF\0\0\0\0WEBPVP9 " + bytes(20), "image_header_broken"),
        (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\0" + bytes(20), "image_header_broken"),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(20), "image_header_broken"),
        (png(0, 5), "image_empty"),
        (png(5, 0), "image_empty"),
        (png(MAX_SIDE + 1, 1), "image_too_many_pixels"),
        (png(1, MAX_SIDE + 1), "image_too_many_pixels"),
        (png(8192, MAX_PIXELS // 8192 + 1), "image_too_many_pixels"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ImageFault) as refused:
        read_image_header(data)
    assert refused.value.reason == reason
    assert refused.value.text.isprintable()


def test_the_largest_allowed() -> None:
    assert read_image_header(png(4096, 4096)).width == 4096
    assert read_image_header(png(MAX_SIDE, 1024)).height == 1024


@settings(max_examples=200)
@given(st.sampled_from([b"\x89PNG\r\n\x1a\n", SOI + b"\xff", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X", b""]), st.binary())
def test_any_bytes_are_a_header_within_bounds_or_a_fault(magic: bytes, rest: bytes) -> None:
    try:
        header = read_image_header(magic + rest)
    except ImageFault:
        return
    assert 1 <= header.width * header.height <= MAX_PIXELS


def test_a_gif_is_little_endian() -> None:
    assert read_image_header(b"GIF87a" + struct.pack("<HH", 258, 3)) == ImageHeader("GIF", 258, 3)
