"""How a caller's own words are repeated in an error: short, and without control characters.

Log and terminal injection ride on names that are echoed (a newline, an escape sequence, a
right-to-left override), so whatever is not printable is dropped.
"""

QUOTED_CHARS = 80


def quoted(text: str) -> str:
    """`text` without unprintable characters, at most QUOTED_CHARS of it."""
    return "".join(char for char in text[: 4 * QUOTED_CHARS] if char.isprintable())[:QUOTED_CHARS]
