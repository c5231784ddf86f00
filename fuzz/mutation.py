"""How an input is changed: bytes flipped, cut, doubled, moved, and the bytes that parsers stumble over put in."""

import random

STUMBLES = (
    b"\x00", b"\r\n", b"\n", b"\t", b" ", b",", b":", b";", b"=", b'"', b"\\", b"\\u0000", b"\\ud800", b"%00", b"%2f",
    b"\xff", b"\xc3\xa9", b"\xe2\x80\xae", b"[", b"]", b"{", b"}", b"..", b"-1", b"0", b"1e999", b"9" * 30, b"A" * 300,
)  # fmt: skip
MAX_BYTES = 16 * 1024


def mutate(data: bytes, draw: random.Random) -> bytes:
    """A neighbour of `data`, one to eight changes away."""
    for _ in range(draw.randint(1, 8)):
        at = draw.randint(0, len(data))
        end = min(len(data), at + draw.choice((1, 1, 2, 4, 16)))
        match draw.randint(0, 5):
            case 0:
                data = data[:at] + draw.choice(STUMBLES) + data[at:]
            case 1:
                data = data[:at] + data[end:]
            case 2:
                data = data[:at] + data[at:end] * 2 + data[end:]
            case 3:
                data = data[:at] + draw.randbytes(end - at) + data[end:]
            case 4 if at < len(data):
                data = data[:at] + bytes([data[at] ^ (1 << draw.randint(0, 7))]) + data[at + 1 :]
            case _:
                data = data[at:] + data[:at]
    return data[:MAX_BYTES]
