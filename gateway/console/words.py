"""The words of the pages in both languages, read once from the package.

`words/LANG/PART.json` maps a flat key to a text with `{name}` placeholders; the key of `search` in audit.json is
`audit.search` (it may be written with its part, too). A key that is missing is a bug and raises KeyError: tests
compare both languages, and every key that templates and pages name.

Sentences that commands print as well come as `policies.worded`: in English they are the words themselves, the other
languages have them in said.json.
"""

import json
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import get_args

from gateway.console.page import Language
from policies.worded import Value, Worded

LANGUAGES: tuple[Language, ...] = get_args(Language)
SAID = "said"
"""The part with the words of `Worded`."""
BETWEEN = f"{SAID}.between"
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_RANGE = re.compile(r"([A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*|\*")
MAX_RANGES = 32


class Words:
    """All texts of one language."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = MappingProxyType(dict(texts))

    def text(self, key: str, /, **values: object) -> str:
        """The text under `key`, its placeholders filled. Raises KeyError for a key, or a value, that is missing."""
        return PLACEHOLDER.sub(lambda match: self._filled(values[match[1]]), self.texts[key])

    def said(self, line: Value) -> str | None:
        """`line` in this language; None where it has no words in it but the English that it is."""
        key = f"{SAID}.{line.key}" if isinstance(line, Worded) else ""
        return self.text(key, **line.values) if isinstance(line, Worded) and key in self.texts else None

    def _filled(self, value: object) -> str:
        if isinstance(value, tuple):
            return self.texts[BETWEEN].join(map(self._filled, value))
        return (self.said(value) if isinstance(value, Worded) else None) or str(value)


def load_words(language: Language) -> Words:
    """Every part's texts. Raises ValueError for a key that stands twice."""
    return Words(_joined(files("gateway.console").joinpath("words", language).iterdir()))


def _joined(parts: Iterable[Traversable]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for part in parts:
        if not part.name.endswith(".json"):
            continue
        name = part.name.removesuffix(".json")
        for key, text in json.loads(part.read_text("utf-8")).items():
            whole = key if key.startswith(f"{name}.") else f"{name}.{key}"
            if whole in texts:
                raise ValueError(f"words: {whole} stands twice")
            texts[whole] = text
    return texts


def chosen_language(asked: str, kept: str, accepted: str) -> Language:
    """The language of a page: `asked` for in the address, else `kept` in the session, else the browser's wish.

    `accepted` is an Accept-Language header (RFC 9110 section 12.5.4); of equal weights the first counts.
    """
    named = asked if asked in LANGUAGES else kept
    for each in LANGUAGES:
        if each == named:
            return each
    wishes = sorted(_wishes(accepted), key=lambda wish: -wish[1])
    spoken = (each for primary, weight in wishes for each in LANGUAGES if each == primary and weight > 0)
    return next(spoken, "en")


def _wishes(accepted: str) -> Iterable[tuple[str, float]]:
    for wish in accepted.split(",")[:MAX_RANGES]:
        name, _, weight = wish.strip().partition(";")
        if match := _RANGE.fullmatch(name.strip()):
            yield (match[1] or "").lower(), _weight(weight.strip())


def _weight(text: str) -> float:
    if not text:
        return 1.0
    match = re.fullmatch(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)", text)
    return float(match[1]) if match else 0.0
