"""What somebody asked of the log: as records write it, as the log is told of it, and how far a cursor reaches.

Decides nothing about who may ask. Rules:
 (1) Names are asked as records hold them: escaped and cut to length (`policies.audit_record.clean`).
 (2) A whole key among the conditions is refused: it would be written down.
 (3) The log is told the conditions as one text, which it enciphers, and a hash of what of them names nobody: persons by
     their pseudonyms, addresses and free words by that they were asked at all, a network by itself. So two searches can
     be seen to be the same after a person was erased.
"""

import hashlib
from collections.abc import Mapping

from policies.audit_record import MAX_REMARK, clean
from policies.auditing.search_filter import EXACT, NAMES, read_network
from policies.credentials.api_key import find_api_keys
from policies.worded import Line, worded

MAX_TOLD = 512
PERSONAL = ("actor", "address", "text")
MAX_SEQ_DIGITS = 18

Place = tuple[str, int]
"""A record's chain and seq."""


class BadCondition(ValueError):
    """A condition that nobody can ask; `name` is whose. The message is one line with the remedy."""

    def __init__(self, name: str, message: Line) -> None:
        super().__init__(message)
        self.name = name


def as_written(given: Mapping[str, str]) -> dict[str, str]:
    """The conditions that are not empty, rules (1) and (2). Raises BadCondition."""
    asked = {name: given[name] for name in NAMES if given.get(name)}
    for name, value in asked.items():
        if any(find_api_keys(value)):
            line = f"{name} holds a whole key: give its id only, the part after corral_"
            raise BadCondition(name, worded(line, "holds_key", field=name))
    return {name: _written(name, value) for name, value in asked.items()}


def told_to_log(asked: Mapping[str, str], pseudonyms: tuple[str, ...], about: str = "") -> dict[str, str]:
    """Rule (3). `asked` was read as a filter already, so its network is one. `about` names another question than a
    plain search."""
    said = [about] if about else []
    told = " ".join([*said, *(f"{name}={asked[name]}" for name in NAMES if name in asked)])
    plain = [*said] + [f"{name}={asked[name]}" for name in NAMES if name in asked and name not in PERSONAL]
    hidden = [f"actor={each}" for each in pseudonyms] + [name for name in PERSONAL if name in asked]
    if "address" in asked and not read_network(asked["address"]).single:
        hidden.append(f"network={asked['address']}")
    digest = hashlib.sha256("\n".join([*plain, *hidden]).encode()).hexdigest()
    return {"filter": clean(told, MAX_TOLD), "filter_hash": digest}


def read_place(text: str) -> Place:
    """A record's chain and seq, written CHAIN:SEQ. Raises ValueError with a sentence for an operator."""
    chain, _, seq = text.rpartition(":")
    if not chain or not seq.isascii() or not seq.isdecimal() or len(seq) > MAX_SEQ_DIGITS:
        raise ValueError(f"{text!r} is no record's place: write CHAIN:SEQ")
    return chain, int(seq)


def place_text(chain: str, seq: int) -> str:
    """What `read_place` reads."""
    return f"{chain}:{seq}"


def _written(name: str, value: str) -> str:
    if name in ("reason", "text"):
        return clean(value, MAX_REMARK)
    return clean(value) if name in (*EXACT, "actor") else value
