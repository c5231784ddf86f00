"""Is this process fit to stand at the edge? Asked once, before a socket is opened."""

import re
import sys

# 3.14.2 to 3.14.5 fixed upgrade smuggling, a heap over-read, a segfault and trust in absolute targets.
AIOHTTP_FLOOR = (3, 14, 5)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class UnfitParser(Exception):
    """The HTTP parser must not face a network; the message says why and what to do."""


def demand_fit_parser(
    *, version: str, parser_module: str, extensions_off: bool, optimize: int = sys.flags.optimize
) -> None:
    """Raises UnfitParser for aiohttp's pure-Python parser, which is a different, weaker server.

    35 of 3,896 smuggling payloads change their outcome with it. `optimize` is the -O level: without
    assertions aiohttp's own invariants go unchecked.
    """
    found = _VERSION.match(version)
    if found is None or tuple(map(int, found.groups())) < AIOHTTP_FLOOR:
        floor = ".".join(map(str, AIOHTTP_FLOOR))
        raise UnfitParser(f"aiohttp {version} is too old: install {floor} or newer (see the lock file)")
    if extensions_off:
        raise UnfitParser("AIOHTTP_NO_EXTENSIONS is set, which switches the C parser off: unset it")
    if parser_module != "aiohttp._http_parser":
        raise UnfitParser("aiohttp's C parser is not loaded: install aiohttp as a wheel, or with a C compiler")
    if optimize:
        raise UnfitParser("assertions are off: start without python -O and without PYTHONOPTIMIZE")
