"""A sentence for a person: in English, as commands print it, and by a key for pages that speak another language.

Decides nothing. Whoever writes such a sentence gives its key and what fills it; a page looks the key up among the words
of its reader's language (gateway/console/words/LANGUAGE/said.json). What has no words there is shown as it is.
"""

from collections.abc import Mapping

from msgspec import Struct


class Worded(Struct, frozen=True):
    """`text` is the sentence in English, `key` names its words in other languages, `values` fill them."""

    text: str
    key: str
    values: Mapping[str, "Value"]

    def __str__(self) -> str:
        return self.text


Line = str | Worded
"""A sentence; a bare text is English that has no other words."""
Value = str | int | float | Worded | tuple[Line, ...]
"""Several lines are listed, as the language lists them."""


def worded(text: str, key: str, /, **values: Value) -> Worded:
    """A sentence; its key stands here as it is, so that tests find every key that needs words."""
    return Worded(text, key, values)


def line_of(fault: BaseException) -> Line:
    """What an exception says: its one argument where that is worded, else its text."""
    said = fault.args[0] if fault.args else ""
    return said if isinstance(said, Worded) else str(fault)
