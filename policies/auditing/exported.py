"""A record on its way out: its exact line, and the fields of it that every format names.

Decides what a format is given, not how the format writes it (export_csv, export_ocsf, export_cef, export_syslog). Every
format carries the exact line, so that what another system keeps can still be proven against the log. Fields are read
from the record as it was handed in: sealed, or opened where names and addresses were asked for.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Literal

from msgspec import Struct

from policies.auditing.record_facts import SEALED, Facts, facts_of

FORMATS = ("jsonl", "csv", "ocsf", "cef", "syslog")
Format = Literal["jsonl", "csv", "ocsf", "cef", "syslog"]
PRODUCT = "Corral"


class Exported(Struct, frozen=True, kw_only=True):
    """One record to be written; `line` is its exact line without newline, `record` what is read of it."""

    chain: str
    seq: int
    line: str
    record: Mapping[str, Any]

    def facts(self) -> Facts:
        """What can be asked of it."""
        return facts_of(self.record)

    @property
    def place(self) -> str:
        """Its chain and seq as one text, which no other record has."""
        return f"{self.chain}:{self.seq}"

    def text(self, part: str, name: str = "") -> str:
        """The text at `part.name`, or at `part`; empty where there is none."""
        value = self._at(part, name)
        return value if isinstance(value, str) else ""

    def number(self, part: str, name: str) -> int | float | None:
        """The number at `part.name`, if there is one."""
        value = self._at(part, name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def whole(self, part: str, name: str) -> int | None:
        """The same as a whole number."""
        value = self.number(part, name)
        return None if value is None else round(value)

    def part(self, part: str) -> dict[str, Any]:
        """A part of the record; empty where there is none."""
        found = self.record.get(part)
        return found if isinstance(found, dict) else {}

    def address(self) -> str:
        """The client's address, if it is to be read."""
        text = self.text("src", "ip")
        try:
            return str(ip_address(text))
        except ValueError:
            return ""

    def name(self) -> str:
        """The acting person's name, if it is to be read."""
        text = self.text("actor", "name")
        return "" if SEALED.search(text) else text

    def severity(self) -> str:
        """The last letter of the code: I (went well), W (worth a look) or E (our fault)."""
        return self.text("code")[-1:]

    def _at(self, part: str, name: str) -> Any:
        return self.part(part).get(name) if name else self.record.get(part)


def printable(text: str) -> str:
    """`text` on one line whatever is in it: what cannot be printed becomes a backslash escape."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
