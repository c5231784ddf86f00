"""Untrusted text as a page may show it: what is no visible sign stands as an escape.

Control characters, terminal escapes and direction marks (CVE-2021-42574, "trojan source"), private and unassigned
signs and lone surrogates become backslash escapes, so that two texts that differ also look different; tabs and line
feeds stay where a page shows whole texts. Markup is the templates' business: they escape everything.
"""

import unicodedata

KEPT = frozenset("\t\n")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's general categories of signs that show nothing, or something else than themselves (UAX #44)."""
_JOINERS = frozenset("\u200c\u200d")
"""Persian, Hindi and family pictures need them; alone they change no order."""


def plain(text: str) -> str:
    """`text` with each sign that hides something as a backslash escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if _shows(each) else each.encode("unicode_escape").decode("ascii") for each in text)


def _shows(sign: str) -> bool:
    return sign in KEPT or sign in _JOINERS or unicodedata.category(sign) not in _HIDDEN
