"""Images of every kind a caller may send: whole ones, and those that mean harm."""

import struct
import zlib
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image

from engine.pictures import Picture

HUGE = 65535


def noise(seed: int, width: int = 32, height: int = 20) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels, "RGB")


def picture(seed: int, width: int = 32, height: int = 20) -> Picture:
    return Picture(width=width, height=height, rgb=noise(seed, width, height).tobytes())


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *parts: bytes) -> bytes:
    """A PNG of grey pixels with this header, whatever its other parts hold."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(parts) + chunk(b"IEND", b"")


def png_bomb() -> bytes:
    """A few kilobytes that say they are 65535 x 65535 pixels."""
    return png(HUGE, HUGE, chunk(b"IDAT", zlib.compress(bytes(1024 * 1024))))


def text_bomb() -> bytes:
    """A small PNG whose comment unpacks to 64 MiB."""
    comment = b"Comment\0\0" + zlib.compress(bytes(64 * 1024 * 1024), 9)
    return png(1, 1, chunk(b"zTXt", comment), chunk(b"IDAT", zlib.compress(b"\0\0")))


@cache
def animation(kind: str, frames: int) -> bytes:
    images = [noise(seed, 4, 4) for seed in range(8)]
    return encoded(images[0], kind, save_all=True, append_images=[images[i % 8] for i in range(1, frames)], duration=10)


def growing_gif(side: int) -> bytes:
    """A GIF of 1 x 1 whose one frame says it has that side."""
    descriptor = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0)
    colours = b"\0\0\0\xff\xff\xff"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + colours + descriptor + b"\x02\x02\x4c\x01\0\x3b"


@cache
def unusual() -> dict[str, bytes]:
    """Whole images that take a decoder's rarer ways, by name."""
    turned = Image.Exif()
    turned[0x0112] = 6
    turned[0x8769] = {0x9286: b"a comment"}
    return {
        "transparent": encoded(noise(1).convert("RGBA")),
        "grey and transparent": encoded(noise(1).convert("LA")),
        "palette": encoded(noise(1).convert("P"), transparency=3),
        "one bit": encoded(noise(1).convert("1")),
        "sixteen bits": encoded(Image.new("I;16", (4, 4), 40_000)),
        "CMYK": encoded(noise(1).convert("CMYK"), "JPEG"),
        "progressive": encoded(noise(1, 300, 200), "JPEG", progressive=True),
        "two pictures in a JPEG": encoded(noise(1), "MPO", save_all=True, append_images=[noise(2)]),
        "turned PNG": encoded(noise(1), "PNG", exif=turned),
        "turned JPEG": encoded(noise(1), "JPEG", exif=turned),
        "turned WebP": encoded(noise(1), "WEBP", exif=turned),
        "colour profile and comment": encoded(noise(1), "JPEG", icc_profile=bytes(100_000), comment=b"x" * 60_000),
        "one pixel": encoded(noise(1, 1, 1)),  # CVE-2026-22773
        "one line": encoded(noise(1, 2000, 1)),
    }


@cache
def hostile() -> dict[str, bytes]:
    """What must be refused, by name."""
    whole = encoded(noise(1))
    jpeg = encoded(noise(1), "JPEG")
    return {
        "nothing": b"",
        "four bytes": b"AAAA",  # CVE-2025-15514
        "no image": b"%PDF-1.7 and so on",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "tiff": encoded(noise(1), "TIFF"),
        "bmp": encoded(noise(1), "BMP"),
        "icon": encoded(noise(1), "ICO"),
        "PNG head alone": whole[:30],
        "PNG cut off": whole[: len(whole) // 2],
        "PNG of 65535 x 65535": png_bomb(),
        "PNG of no width": png(0, 1),
        "PNG without pixels": png(4, 4),
        "PNG with a broken check sum": whole[:-20] + bytes(8) + whole[-12:],
        "JPEG cut off": jpeg[: len(jpeg) // 2],
        "JPEG of nothing but markers": b"\xff\xd8" + b"\xff\xd0" * 100_000,
        "JPEG of 65535 x 65535": b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(9),
        "GIF that grows": growing_gif(HUGE),
        "GIF that grows a little": growing_gif(2),
        "GIF cut off": encoded(noise(1), "GIF")[:20],
        "WebP cut off": encoded(noise(1), "WEBP")[:40],
        "WebP of 16384 x 16384": b"RIFF\x30\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0" + bytes(32),
        "PNG with a comment of 64 MiB": text_bomb(),
        "PNG behind a GIF's magic": b"GIF89a" + whole,
    }
