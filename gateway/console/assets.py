"""The console's scripts and styles, served from the package under a name that changes with their content.

All of them lie below one digest, `/assets/DIGEST/NAME`, so that scripts import each other by relative names and a
browser may keep what it has for ever. Read once at the start; nothing else of the disk can be asked for.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from msgspec import Struct

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PREFIX = "/assets/"
DIGEST_CHARS = 16
ICON = "icon.svg"
ICON_PATH = "/favicon.ico"
"""Where browsers look for it beside an answer that is no page and names none, such as a line of text."""


class Asset(Struct, frozen=True):
    """One file's bytes and its media type."""

    body: bytes
    content_type: str


class Assets:
    """The files by name. `digest` names them all together."""

    def __init__(self, found: Mapping[str, Asset]) -> None:
        self._found = MappingProxyType(dict(found))
        whole = hashlib.sha256()
        for name in sorted(found):
            whole.update(f"{name}\0{hashlib.sha256(found[name].body).hexdigest()}\n".encode())
        self.digest = whole.hexdigest()[:DIGEST_CHARS]

    def path(self, name: str) -> str:
        """Where `name` is served. Raises KeyError for what there is not."""
        if name not in self._found:
            raise KeyError(name)
        return f"{PREFIX}{self.digest}/{name}"

    def find(self, path: str) -> Asset | None:
        """What is served at `path`; None for another digest or name."""
        if path == ICON_PATH:
            return self._found.get(ICON)
        digest, _, name = path.removeprefix(PREFIX).partition("/")
        return self._found.get(name) if path.startswith(PREFIX) and digest == self.digest else None


def load_assets() -> Assets:
    """Those of the package."""
    found = {}
    for file in files("gateway.console").joinpath("assets").iterdir():
        kind = KINDS.get(f".{file.name.rpartition('.')[2]}")
        if kind is not None and file.is_file():
            found[file.name] = Asset(file.read_bytes(), kind)
    return Assets(found)
