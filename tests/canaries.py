"""A text that must not be found, in the forms in which it might be written down, and who looks for it."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, quote_plus


def forms(canary: str) -> dict[str, bytes]:
    """The canary as a file may hold it. Base64 of any alignment: what is left of it when its neighbours are cut off."""
    plain = canary.encode()
    found = {
        "plain": plain,
        "url": quote(canary).encode(),
        "form": quote_plus(canary).encode(),
        "json": json.dumps(canary)[1:-1].encode(),
        "json of json": json.dumps(json.dumps(canary)[1:-1])[1:-1].encode(),
        "escaped": canary.encode("unicode_escape"),
        "utf-16-le": canary.encode("utf-16-le"),
        "utf-16-be": canary.encode("utf-16-be"),
        "hex": plain.hex().encode(),
    }
    for shift in range(3):
        cut = base64.b64encode(b"\0" * shift + plain)[4 if shift else 0 : -4]
        found[f"base64 {shift}"] = cut
        found[f"base64url {shift}"] = cut.replace(b"+", b"-").replace(b"/", b"_")
    return found


def places_of(canary: str, folder: Path) -> list[str]:
    """Every file under `folder` that holds the canary, with the form it was found in."""
    wanted = forms(canary)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return [
        f"{path.relative_to(folder)}: {form}"
        for path in files
        for content in [_content(path)]
        for form in _held(wanted.items(), content)
    ]


def _content(path: Path) -> bytes:
    """Nothing of a file that is no more there: a running gateway renames each new state into its place."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _held(wanted: Iterable[tuple[str, bytes]], content: bytes) -> list[str]:
    """In capital letters or small ones."""
    lower = content.lower()
    return [form for form, text in wanted if text.lower() in lower]
