"""Keeps a caller's text from spelling the model's control tokens.

A chat template joins its own markers (`<|im_start|>`) with what callers wrote, and the joined text is
tokenised with markers read as control tokens. A caller who writes a marker would so open a turn of the
system. The usual ways round it fail: tokenising the contents apart changes the tokens of every
SentencePiece model, and replacing them by placeholders breaks templates that trim or search them.

The way taken: before rendering, a `mark` (random for each request, so that nobody can write it) is put
inside every spelling of a marker that stands in a caller's text. The text keeps its content for the template. After
rendering the text is cut at the marks and the parts are tokenised one by one: no part holds a whole
marker that a caller wrote, and text without markers is never cut, so its tokens are the usual ones.

 (1) a spelling counts without regard to ASCII case, since a template may change it
 (2) a text that ends with the beginning of a marker, or begins with the end of one, is marked there as well,
     so that two texts, or a text and the template, cannot make one together
 (3) a marker of one character cannot be broken; it becomes a part of its own, tokenised as plain text

Limits: markers that are ordinary words to the tokeniser (`### User:`, `[INST]` of Llama 2) are not told
from text by any tokeniser; a template that deletes or replaces inside a content could join what was cut;
a raw prompt and handed-back context ids belong to the caller whole and are not guarded.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from typing import Any

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_MARK_START, _MARK_CHARACTERS = 0xF0000, 0xFFFD  # private use: no text has a meaning there
_MARK_LENGTH = 4  # 64 bits
_THOUGHT = ("<think>", "</think>")  # templates look for them in earlier answers; they open no turn


def new_mark(random_bits: int) -> str:
    """A mark from 64 random bits."""
    digits = [(random_bits >> (16 * place)) % _MARK_CHARACTERS for place in range(_MARK_LENGTH)]
    return "".join(chr(_MARK_START + digit) for digit in digits)


def find_markers(pieces: Iterable[tuple[str, bool]], template: str) -> "Markers":
    """The markers of a model from its tokens: (text, is it a control token).

    Control tokens count all; others when they look like `<...>` or `[...]` and stand in the template,
    since converters do not always say which tokens are control tokens.
    """
    spellings = set()
    for text, is_control in pieces:
        looks_like_one = len(text) > 2 and (text[0], text[-1]) in (("<", ">"), ("[", "]"))
        if text and (is_control or (looks_like_one and text not in _THOUGHT and text in template)):
            spellings.add(text)
    return Markers(spellings)


class Markers:
    """The spellings that a caller's text must not have whole."""

    def __init__(self, spellings: Iterable[str]) -> None:
        self._spellings = frozenset(spelling.translate(_LOWER) for spelling in spellings)
        self._lengths = sorted({len(spelling) for spelling in self._spellings})
        self.single = frozenset(spelling for spelling in self._spellings if len(spelling) == 1)
        firsts = "".join(sorted({re.escape(spelling[0]) for spelling in self._spellings}))
        self._firsts = re.compile(f"[{firsts}]" if firsts else r"(?!)")

    def guard(self, text: str, mark: str) -> str:
        """`text` with `mark` inside every marker, whole or begun."""
        if not self._spellings or not text:
            return text
        low = text.translate(_LOWER)
        cuts = sorted(self._inside(low) | self._at_end(low) | self._at_start(low))
        edges = [0, *cuts, len(text)]
        return mark.join(text[start:end] for start, end in pairwise(edges))

    def guard_value(self, value: Any, mark: str) -> Any:
        """`value`, decoded JSON, with every text in it guarded, keys too."""
        if isinstance(value, str):
            return self.guard(value, mark)
        if isinstance(value, dict):
            return {self.guard(str(key), mark): self.guard_value(item, mark) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.guard_value(item, mark) for item in value]
        return value

    def _inside(self, low: str) -> set[int]:
        cuts: set[int] = set()
        for found in self._firsts.finditer(low):
            start = found.start()
            for length in self._lengths:
                if low[start : start + length] in self._spellings:
                    cuts.update((start, start + 1) if length == 1 else (start + 1,))
        return cuts

    def _at_end(self, low: str) -> set[int]:
        end = len(low.rstrip())
        lengths = range(1, min(end + 1, self._lengths[-1]))
        return {end - length + 1 for length in lengths if low[end - length : end] in self._beginnings}

    def _at_start(self, low: str) -> set[int]:
        start = len(low) - len(low.lstrip())
        lengths = range(1, self._lengths[-1])
        return {start} if any(low[start : start + length] in self._ends for length in lengths) else set()

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(spelling[:length] for spelling in self._spellings for length in range(1, len(spelling)))

    @cached_property
    def _ends(self) -> frozenset[str]:
        return frozenset(spelling[-length:] for spelling in self._spellings for length in range(1, len(spelling)))
