"""Which parts of a record say something of a person, and of which one. How they are enciphered is gateway/audit's.

Rules:
 (1) Of the actor: `name`, `subject` and `email`; of an operator `id` too, which is a user id of this machine. A system
     is no person, and neither is the author of a policy file whom nobody knows.
 (2) The client's address (`src.ip`) belongs to the actor; where the caller named nobody, the address is the person.
     The connection's other end (`src.peer`) is the client's too, unless both are addresses and differ: then it is a
     proxy's, which is no person's.
 (3) What an admin act says of others (`change.details`: the owner of a key, who made or revoked it, who signed a
     policy) belongs to those it names, and so does an `object` that is an actor.
 (4) Operators' own words (reason, ticket, a key's purpose and networks, what differs between two policies) may name
     anybody. Each is a remark with a key of its own, found and erased by the words that it holds (`words_of`).
 (5) The acting person's pseudonym stands in the clear as `actor.pseudonym`, so that counts and search go on.
 (6) A value is sealed for its place: the gateway, the line's time and event, and the field. Moved, it does not open.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from policies.addresses.networks import read_address

Entry = dict[str, Any]
Path = tuple[str, ...]

SEALED_PARTS = frozenset({"actor", "src", "change", "details"})
ACTOR_FIELDS = ("name", "subject", "email")
PERSON_DETAILS = frozenset({"owner", "created_by", "revoked_by"})
PEOPLE_DETAILS = frozenset({"signers", "policy_author"})
"""Several names with a comma and a blank between."""
REMARK_FIELDS = ("reason", "ticket")
REMARK_DETAILS = frozenset({"purpose", "revoked_reason", "networks", "filter", "saved"})
REMARK_NUMBERED = re.compile(r"(?:change|warning|fault)_[0-9]+\Z")
NOBODY = "author unknown"
"""What stands for the author of a policy that nobody signed (gateway/policy_in_force.py)."""
ACTOR_OBJECT = "actor:"
ERASED = "(erased)"
SEALED = "(sealed)"
TOKEN = re.compile(r"enc:1:[A-Za-z0-9_-]{16}:[A-Za-z0-9_-]+")
MAX_WORDS = 512
_BETWEEN_WORDS = re.compile(r"[\s,;:()\[\]{}\"'<>=/]+")


class Sealing(Protocol):
    """What seals: `place` is bound to the token. Each may raise AuditUnavailable."""

    def seal(self, person: str, text: str, at_us: int, context: bytes = b"") -> str: ...
    def seal_remark(self, text: str, at_us: int, context: bytes = b"") -> str: ...
    def pseudonym(self, person: str) -> str: ...


class _Field(Struct, frozen=True):
    """A text at its path; `persons` are those it names, none for a remark. `prefix` stays in the clear."""

    path: Path
    text: str
    persons: tuple[str, ...] = ()
    prefix: str = ""


def person_of(name: str, issuer: str = "") -> str:
    """What a person is called here: one text, for a name that `issuer` vouches for (empty: this home)."""
    return f"{issuer}\n{name}"


def name_of(person: str) -> str:
    """The name in what `person_of` made."""
    return person.partition("\n")[2]


def words_of(text: str) -> frozenset[str]:
    """The words of a remark or a name by which a remark is found: letter case does not count, marks are no words.

    At most `MAX_WORDS`: twice what a text of the log has room for (`policies.audit_record.MAX_REMARK`).
    """
    words = (word.strip(".").casefold() for word in _BETWEEN_WORDS.split(text))
    return frozenset(sorted({word for word in words if word})[:MAX_WORDS])


def sealed_entry(entry: Entry, sealing: Sealing) -> Entry:
    """`entry` with every personal field enciphered and the actor's pseudonym beside them; what is left is as it was."""
    actors = actors_of(entry)
    fields = [*_actor_fields(entry, actors), *_change_fields(entry), *_detail_fields(entry)]
    if not fields:
        return entry
    at_us = round(datetime.fromisoformat(entry["ts"]).timestamp() * 1e6)
    copy = {name: _copied(part) if name in SEALED_PARTS else part for name, part in entry.items()}
    for field in fields:
        _at(copy, field.path)[field.path[-1]] = _sealed(field, at_us, sealing, place_of(entry, field.path))
    if actors:
        copy["actor"] = copy.get("actor", {}) | {"pseudonym": " ".join(map(sealing.pseudonym, actors))}
    return copy


def opened_entry(record: Entry, open_token: Callable[[str, bytes], str | None]) -> Entry:
    """A line's record with its tokens opened; `ERASED` stands where `open_token` answers None."""

    def opened(part: Any, path: Path) -> Any:
        if isinstance(part, dict):
            return {name: opened(value, (*path, name)) for name, value in part.items()}
        if not isinstance(part, str) or "enc:1:" not in part:
            return part
        place = place_of(record, path)
        return TOKEN.sub(lambda found: ERASED if (text := open_token(found[0], place)) is None else text, part)

    copy: Entry = opened(record, ())
    return copy


def place_of(entry: Entry, path: Path) -> bytes:
    """Rule (6). Times and event as they stand in the line, so that its reader has them."""
    parts = (entry.get(name, "") for name in ("instance", "ts", "mono_ns", "boot_id", "event"))
    return "\n".join([*map(str, parts), ".".join(path)]).encode()


def actors_of(entry: Entry) -> tuple[str, ...]:
    """Who acts: those whom the actor names, else the client's address (rules 1 and 2)."""
    actor, source = _part(entry, "actor"), _part(entry, "src")
    kind, name = actor.get("kind"), actor.get("name") or actor.get("subject") or actor.get("email")
    if kind == "system" or name == NOBODY:
        return ()
    if name and actor.get("method") == "ssh_signature" and kind == "operator":
        return tuple(map(person_of, name.split(", ")))
    if name:
        return (person_of(name, actor.get("issuer", "")),)
    if kind == "operator" and actor.get("id"):
        return (person_of(f"uid {actor['id']}"),)
    address = source.get("ip") or source.get("peer")
    return (person_of(address),) if address else ()


def _actor_fields(entry: Entry, actors: tuple[str, ...]) -> Iterator[_Field]:
    if not actors:
        return
    actor, source = _part(entry, "actor"), _part(entry, "src")
    names = (*ACTOR_FIELDS, "id") if actor.get("kind") == "operator" else ACTOR_FIELDS
    for name in names:
        if text := actor.get(name):
            yield _Field(("actor", name), text, actors if name == "name" else actors[:1])
    for name in ("ip", "peer"):
        text = source.get(name)
        if text and (name == "ip" or not _is_proxy(text, source.get("ip", ""))):
            yield _Field(("src", name), text, actors[:1])


def _is_proxy(peer: str, client: str) -> bool:
    """Whether the connection's other end is an address and another than the client's."""
    try:
        return peer != client and read_address(peer) != read_address(client)
    except ValueError:
        return False


def _change_fields(entry: Entry) -> Iterator[_Field]:
    change = _part(entry, "change")
    subject = change.get("object", "")
    if subject.startswith(ACTOR_OBJECT):
        name = subject[len(ACTOR_OBJECT) :]
        yield _Field(("change", "object"), name, (person_of(name),), ACTOR_OBJECT)
    for name in REMARK_FIELDS:
        if text := change.get(name):
            yield _Field(("change", name), text)


def _detail_fields(entry: Entry) -> Iterator[_Field]:
    for path in (("change", "details"), ("details",)):
        for name, text in _at(entry, (*path, "")).items():
            what = name.removesuffix("_before")
            if not isinstance(text, str) or not text or text == NOBODY:
                continue
            if what in PERSON_DETAILS:
                yield _Field((*path, name), text, (person_of(text),))
            elif what in PEOPLE_DETAILS:
                yield _Field((*path, name), text, tuple(map(person_of, text.split(", "))))
            elif path[0] == "change" and (what in REMARK_DETAILS or REMARK_NUMBERED.match(what)):
                yield _Field((*path, name), text)


def _sealed(field: _Field, at_us: int, sealing: Sealing, place: bytes) -> str:
    if not field.persons:
        return sealing.seal_remark(field.text, at_us, place)
    if len(field.persons) == 1:
        return field.prefix + sealing.seal(field.persons[0], field.text, at_us, place)
    return ", ".join(sealing.seal(person, name_of(person), at_us, place) for person in field.persons)


def _at(entry: Entry, path: Path) -> Entry:
    """The part that holds the last field of `path`; an empty one where there is none."""
    part: Any = entry
    for name in path[:-1]:
        part = part.get(name, {})
    return part if isinstance(part, dict) else {}


def _part(entry: Entry, name: str) -> Entry:
    return _at(entry, (name, ""))


def _copied(part: Any) -> Any:
    """A copy as deep as fields are sealed in it."""
    return {name: _copied(value) for name, value in part.items()} if isinstance(part, dict) else part
