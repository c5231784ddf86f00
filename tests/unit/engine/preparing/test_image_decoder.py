"""Images become bare pixels, or are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.pictures import is_whole
from engine.preparing import image_decoder
from engine.preparing.image_decoder import MAX_IMAGES, ORIENTATION, decode_image, decode_images, warm_up
from engine.preparing.image_header import ImageFault
from tests.unit.engine.made_up_images import animation, encoded, hostile, noise, picture, png, unusual

RED, BLUE = (255, 0, 0), (0, 0, 255)


def two(left: tuple[int, ...] = RED, right: tuple[int, ...] = BLUE, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (2, 1), left)
    image.putpixel((1, 0), right)
    return image


def test_pixels_come_out_as_they_went_in() -> None:
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        assert decode_image(encoded(noise(1), kind, **options), 64) == picture(1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("size", [(500, 100), (100, 500), (1, 300), (300, 1), (1, 1)])
def test_it_is_scaled_into_the_square_the_projector_looks_at(kind: str, size: tuple[int, int]) -> None:
    shown = decode_image(encoded(Image.new("RGB", size), kind), 50)
    assert is_whole(shown)
    assert max(shown.width, shown.height) == min(50, *(max(size),))
    assert (shown.width >= shown.height) == (size[0] >= size[1])


@pytest.mark.parametrize(("orientation", "first"), [(1, RED), (2, BLUE), (3, BLUE), (4, RED), (6, RED), (8, BLUE)])
def test_it_is_turned_as_its_exif_says(orientation: int, first: tuple[int, ...]) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    shown = decode_image(encoded(two(), "PNG", exif=exif), 8)
    assert (shown.width, shown.height) == ((2, 1) if orientation < 5 else (1, 2))
    assert tuple(shown.rgb[:3]) == first


def test_what_is_transparent_lies_on_white() -> None:
    clear = two((255, 0, 0, 0), (0, 0, 255, 255), "RGBA")
    assert decode_image(encoded(clear), 8).rgb == b"\xff\xff\xff\0\0\xff"
    palette = two().convert("P", palette=Image.Palette.ADAPTIVE)
    index = palette.getpixel((0, 0))
    assert decode_image(encoded(palette, transparency=index), 8).rgb == b"\xff\xff\xff\0\0\xff"


def test_sixteen_bit_grey_keeps_its_levels() -> None:
    deep = Image.new("I;16", (2, 1))
    deep.putpixel((0, 0), 65535)
    deep.putpixel((1, 0), 100 * 256)
    assert decode_image(encoded(deep), 8).rgb == b"\xff\xff\xffddd"


def test_only_the_first_frame_counts() -> None:
    for kind in ("GIF", "PNG", "WEBP"):
        still, moving = (decode_image(animation(kind, frames), 8) for frames in (1, 30))
        assert (still.width, still.height) == (moving.width, moving.height) == (4, 4)
    assert decode_image(animation("PNG", 2000), 8) == picture(0, 4, 4)


@pytest.mark.parametrize("name", hostile())
def test_a_hostile_image_is_refused(name: str) -> None:
    with pytest.raises(ImageFault) as refused:
        decode_image(hostile()[name], 64)
    assert refused.value.text.isprintable()


def test_a_jpeg_with_much_beside_its_pixels() -> None:
    heavy = encoded(noise(1), "JPEG", icc_profile=bytes(4 * 1024 * 1024), comment=bytes(60_000))
    assert is_whole(decode_image(heavy, 64))


@pytest.mark.parametrize("name", unusual())
def test_an_unusual_image_is_seen(name: str) -> None:
    assert is_whole(decode_image(unusual()[name], 64))


def test_several_images_keep_their_order() -> None:
    assert decode_images([encoded(noise(seed)) for seed in (3, 1, 2)], 64) == [picture(3), picture(1), picture(2)]


def test_bounds_over_all_images_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    small = encoded(Image.new("RGB", (1, 1)))
    with pytest.raises(ImageFault, match="too_many_images"):
        decode_images([small] * (MAX_IMAGES + 1), 8)
    with pytest.raises(ImageFault, match="images_too_many_pixels"):
        decode_images([png(4096, 4096)] * 5, 8)
    monkeypatch.setattr(image_decoder, "MAX_PICTURE_BYTES", 5)
    with pytest.raises(ImageFault, match="images_too_large"):
        decode_images([small, small], 8)


def test_warming_up_decodes_every_kind() -> None:
    warm_up()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]), st.data())
def test_a_damaged_image_is_a_fault_or_a_whole_picture(kind: str, data: st.DataObject) -> None:
    image = bytearray(encoded(noise(1, 16, 16), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    try:
        shown = decode_image(bytes(image), 8)
    except ImageFault:
        return
    assert is_whole(shown)
    assert max(shown.width, shown.height) <= 8
