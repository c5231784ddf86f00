"""What of a record can be asked for: the plain facts of it, read the same for an index, a filter and a view.

Decides which field of a record answers which question, and nothing else. A record may be of any age, of a newer
version, or changed by somebody: a field of another type than expected is a fact that is not there, never an error.

Rules:
 (1) A record is about a key, team or model when its actor or action names it, or its change or details do: so the
     life of a key is found under the key, beside what was done with it.
 (2) Words are for searching freely. Of a request no name, subject, address, id or hash is among them: an index of them
     need never forget. Of what else happened all words are, names too, so far as they are opened when they are asked.
 (3) A person stands under the pseudonym, the first where several acted as one; only a record that has none is found by
     the name that it says in the clear.
 (4) What is enciphered or erased is no fact.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from msgspec import Struct

Record = Mapping[str, Any]

SEALED = re.compile(r"enc:1:|\((?:erased|sealed)\)")
"""What stands for a personal value that is not, or cannot be, opened (policies/auditing/person_fields.py)."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MAX_WORDS = 400
"""Fields of one part; far more than any has, and a bound for one that somebody made up."""
_WORD = re.compile(r"[0-9a-z]+")
_HASHES = frozenset({"before_hash", "after_hash", "policy_hash", "root", "last_hash", "hash"})


class Facts(Struct, frozen=True, kw_only=True):
    """What can be asked of one record; empty for what it does not say.

    `at_us` is in Unix microseconds, `actor` a pseudonym or a name in the clear, `address` as `packed` gives it, `more`
    the words that stand in none of the other fields.
    """

    at_us: int = 0
    event: str = ""
    stage: str = ""
    outcome: str = ""
    reason: str = ""
    team: str = ""
    key: str = ""
    actor: str = ""
    model: str = ""
    route: str = ""
    request: str = ""
    address: bytes = b""
    more: str = ""

    def words(self) -> set[str]:
        """All words that a free search finds this record by."""
        return set(self.spoken().split())

    def spoken(self) -> str:
        """The words in their order; the same facts give the same text."""
        told = f"{self.event} {self.reason} {self.team} {self.key} {self.model} {self.route} {self.more}"
        return " ".join(words_of(told))


def facts_of(record: Record, address: str = "") -> Facts:
    """The facts of a record, opened or not; `address` is the client's where the record has it enciphered."""
    actor, action = _part(record, "actor"), _part(record, "action")
    decision, change, details = _part(record, "decision"), _part(record, "change"), _part(record, "details")
    about = _about(change)
    inner = _part(change, "details")
    return Facts(
        at_us=_time_us(record.get("ts")),
        event=_text(record, "event"),
        stage=_text(record, "stage"),
        outcome=_text(decision, "effect"),
        reason=_text(decision, "reason"),
        team=_text(actor, "team") or about.get("team", "") or _text(inner, "team") or _text(details, "team"),
        key=_text(actor, "key_id") or about.get("key", "") or _text(details, "key_id"),
        actor=_text(actor, "pseudonym").partition(" ")[0] or _clear(actor, "name") or _clear(actor, "id"),
        model=_text(action, "model") or about.get("model", ""),
        route=_text(action, "route"),
        request=_text(record, "req_id"),
        address=packed(address or _clear(_part(record, "src"), "ip")),
        more=" ".join(_more(record, actor, action)),
    )


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case; only ASCII letters and digits make one."""
    return _WORD.findall(text.lower())


def packed(address: str) -> bytes:
    """An address so that those of one network stand beside each other: its version, then its bytes.

    An IPv4 address written as IPv6 (::ffff:192.0.2.1) is the IPv4 address. Empty for what is no address.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return b""
    return packed_address(found)


def packed_address(address: IPv4Address | IPv6Address) -> bytes:
    """`packed` of an address already read."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return bytes((address.version,)) + address.packed


def _time_us(value: Any) -> int:
    """Unix microseconds of a record's `ts`; 0, the very beginning, for what is no time since then."""
    try:
        return max(0, (datetime.fromisoformat(value) - EPOCH) // MICROSECOND)
    except (TypeError, ValueError, OverflowError):  # TypeError: no text, or a time without its offset
        return 0


def _about(change: Record) -> dict[str, str]:
    """What an admin act was about: its object is KIND:NAME."""
    kind, found, name = _clear(change, "object").partition(":")
    return {kind: name} if found else {}


def _more(record: Record, actor: Record, action: Record) -> Iterator[str]:
    """What words a record has beside those of the fields of `Facts`."""
    yield from (_text(actor, "method"), _text(actor, "kind"), _text(action, "verb"))
    decision, result = _part(record, "decision"), _part(record, "result")
    yield from (_clear(decision, name) for name in ("rule", "would_refuse"))
    yield from (_text(result, name) for name in ("finish", "target", "admission"))
    if not _text(record, "req_id"):
        yield _clear(actor, "name")
        for name in ("change", "details"):
            yield from _leaves(_part(record, name))


def _leaves(part: Record) -> Iterator[str]:
    """Names and values of a part, and of the parts in it."""
    for name, value in list(part.items())[:MAX_WORDS]:
        if isinstance(value, dict):
            yield from _leaves({inner: each for inner, each in value.items() if not isinstance(each, dict)})
        elif name not in _HASHES and not isinstance(value, list):
            yield name if _is_sealed(value) else f"{name} {value}"


def _part(record: Record, name: str) -> Record:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _text(part: Record, name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""


def _clear(part: Record, name: str) -> str:
    """The text under `name`, unless it cannot be read."""
    value = _text(part, name)
    return "" if _is_sealed(value) else value


def _is_sealed(value: Any) -> bool:
    return isinstance(value, str) and SEALED.search(value) is not None
