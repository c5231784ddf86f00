"""Which fields are a person's, and whose; over a sealing that can be read."""

import re
from typing import Any

import pytest

from policies.audit_record import (
    Actor,
    Change,
    Decision,
    RequestFacts,
    Source,
    Stamp,
    admin_record,
    request_record,
    system_record,
)
from policies.auditing.person_fields import (
    ERASED,
    MAX_WORDS,
    NOBODY,
    actors_of,
    name_of,
    opened_entry,
    person_of,
    place_of,
    sealed_entry,
    words_of,
)

STAMP = Stamp(1_795_000_000_000_000, 7, "boot")
ALLOW = Decision(effect="allow")
TOKEN = re.compile("enc:1:.{16}:(.+)")


class Plain:
    """Seals so that a test sees for whom and where; `opened` gives it back."""

    def __init__(self) -> None:
        self.sealed: list[tuple[str, str, bytes]] = []

    def seal(self, person: str, text: str, at_us: int, context: bytes = b"") -> str:
        assert at_us == STAMP.unix_us
        self.sealed.append((person, text, context))
        return f"enc:1:{'k' * 16}:{len(self.sealed) - 1}"

    def seal_remark(self, text: str, at_us: int, context: bytes = b"") -> str:
        return self.seal("remark", text, at_us, context)

    def pseudonym(self, person: str) -> str:
        return f"p({name_of(person)})"

    def open(self, token: str, place: bytes) -> str | None:
        _, text, context = self.sealed[int(token.rpartition(":")[2])]
        return text if context == place else None


def request(actor: Actor, source: Source) -> dict[str, Any]:
    facts = RequestFacts(request_id="r", actor=actor, source=source)
    return {"instance": "a-0", **request_record("request.completed", STAMP, facts, ALLOW)}


def admin(change: Change, actor: Actor | None = None) -> dict[str, Any]:
    who = actor or Actor(kind="operator", id="1000", name="olga", method="so_peercred")
    return admin_record("key.created", STAMP, who, change, ALLOW)


ALICE = Actor(kind="subject", name="alice", issuer="https://idp", team="t", method="jwt")


def test_a_request_of_somebody_known() -> None:
    plain = Plain()
    entry = request(ALICE, Source(ip="192.0.2.7", peer="192.0.2.7", listener="public"))
    sealed = sealed_entry(entry, plain)
    assert [each[:2] for each in plain.sealed] == [
        ("https://idp\nalice", "alice"),
        ("https://idp\nalice", "192.0.2.7"),
        ("https://idp\nalice", "192.0.2.7"),
    ]
    assert sealed["actor"]["pseudonym"] == "p(alice)"
    assert sealed["actor"]["team"] == "t"
    assert sealed["src"]["listener"] == "public"
    assert "alice" not in str(sealed).replace("p(alice)", "")
    assert "192.0.2.7" not in str(sealed)
    opened = opened_entry(sealed, plain.open)
    assert opened == entry | {"actor": entry["actor"] | {"pseudonym": "p(alice)"}}
    assert entry["actor"]["name"] == "alice"  # the record that went in is as it was


def test_a_proxys_address_is_no_persons() -> None:
    plain = Plain()
    sealed = sealed_entry(request(ALICE, Source(ip="192.0.2.7", peer="10.0.0.1", via="10.0.0.9")), plain)
    assert (sealed["src"]["peer"], sealed["src"]["via"]) == ("10.0.0.1", "10.0.0.9")


@pytest.mark.parametrize("peer", ["::ffff:192.0.2.7", "no address"])
def test_a_peer_that_is_the_client_or_cannot_be_read_is_sealed(peer: str) -> None:
    sealed = sealed_entry(request(ALICE, Source(ip="192.0.2.7", peer=peer)), Plain())
    assert sealed["src"]["peer"].startswith("enc:1:")


@pytest.mark.parametrize(
    ("actor", "source", "person"),
    [
        (Actor(), Source(ip="192.0.2.7"), "\n192.0.2.7"),
        (Actor(), Source(peer="192.0.2.8"), "\n192.0.2.8"),
        (Actor(kind="key", key_id="k1"), Source(ip="192.0.2.7"), "\n192.0.2.7"),
        (Actor(kind="key", name="olga", key_id="k1"), Source(ip="192.0.2.7"), "\nolga"),
    ],
)
def test_who_names_nobody_is_their_address(actor: Actor, source: Source, person: str) -> None:
    assert actors_of(request(actor, source)) == (person,)


def test_a_request_of_nobody_has_no_person() -> None:
    entry = request(Actor(), Source(listener="public"))
    assert actors_of(entry) == ()
    assert sealed_entry(entry, Plain()) is entry


def test_an_operator_without_a_name_is_their_user_id() -> None:
    plain = Plain()
    sealed = sealed_entry(admin(Change(object="key:1"), Actor(kind="operator", id="1000")), plain)
    assert plain.sealed[0][:2] == ("\nuid 1000", "1000")
    assert sealed["actor"]["pseudonym"] == "p(uid 1000)"


def test_an_operators_id_is_sealed_and_another_actors_is_not() -> None:
    assert sealed_entry(admin(Change(object="key:1")), Plain())["actor"]["id"].startswith("enc:1:")
    key = Actor(kind="key", id="7", name="olga", key_id="k1")
    assert sealed_entry(request(key, Source()), Plain())["actor"]["id"] == "7"


def test_an_admin_act_names_others() -> None:
    plain = Plain()
    details = {"owner": "alice", "owner_before": "bob", "team": "t", "n": 1, "purpose": "for alice", "empty": ""}
    entry = admin(Change(object="actor:carol", details=details, reason="left", ticket="T-1"))
    sealed = sealed_entry(entry, plain)
    assert [each[:2] for each in plain.sealed] == [
        ("\nolga", "olga"),
        ("\nolga", "1000"),
        ("\ncarol", "carol"),
        ("remark", "left"),
        ("remark", "T-1"),
        ("\nalice", "alice"),
        ("\nbob", "bob"),
        ("remark", "for alice"),
    ]
    change = sealed["change"]
    assert change["object"].startswith("actor:enc:1:")
    assert (change["details"]["team"], change["details"]["n"]) == ("t", 1)
    assert opened_entry(sealed, plain.open)["change"] == entry["change"]


def test_signers_are_persons_each() -> None:
    plain = Plain()
    actor = Actor(kind="operator", name="anna, ben", method="ssh_signature")
    entry = admin(Change(object="policy", details={"signers": "anna, ben", "change_1": "teams.x: new"}), actor)
    sealed = sealed_entry(entry, plain)
    assert [each[:2] for each in plain.sealed] == [
        ("\nanna", "anna"),
        ("\nben", "ben"),
        ("\nanna", "anna"),
        ("\nben", "ben"),
        ("remark", "teams.x: new"),
    ]
    assert sealed["actor"]["pseudonym"] == "p(anna) p(ben)"
    assert opened_entry(sealed, plain.open)["actor"]["name"] == "anna, ben"


def test_an_unknown_author_is_nobody() -> None:
    actor = Actor(kind="operator", name=NOBODY, method="file")
    entry = admin(Change(object="policy"), actor)
    assert sealed_entry(entry, Plain()) is entry
    started = system_record("gateway.started", STAMP, {"policy_author": NOBODY})
    assert sealed_entry(started, Plain()) is started


def test_a_system_event_names_whom_its_policy_is_of() -> None:
    plain = Plain()
    sealed = sealed_entry(system_record("gateway.started", STAMP, {"policy_author": "anna", "fault_1": "x"}), plain)
    assert [each[:2] for each in plain.sealed] == [("\nanna", "anna")]
    assert sealed["actor"] == {"kind": "system"}
    assert sealed["details"]["fault_1"] == "x"


def test_a_token_opens_only_in_its_place() -> None:
    plain = Plain()
    sealed = sealed_entry(request(ALICE, Source(ip="192.0.2.7")), plain)
    moved = sealed | {"ts": "2030-01-01T00:00:00.000000Z"}
    assert opened_entry(moved, plain.open)["actor"]["name"] == ERASED
    swapped = sealed | {"src": {"ip": sealed["actor"]["name"]}}
    assert opened_entry(swapped, plain.open)["src"]["ip"] == ERASED
    assert place_of(sealed, ("src", "ip")) != place_of(sealed, ("src", "peer"))


def test_what_is_no_record_stays() -> None:
    odd = {"event": "x", "actor": "text", "details": ["enc:1:"], "change": {"details": 7}}
    assert opened_entry(odd, lambda _token, _place: "no") == odd
    assert sealed_entry(odd, Plain()) is odd


def test_names_of_two_issuers_are_two_persons() -> None:
    assert person_of("alice", "https://a") != person_of("alice", "https://b")
    assert name_of(person_of("alice", "https://a")) == "alice"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Alice's laptop, for Alice.", {"alice", "s", "laptop", "for"}),
        ("networks 10.1.2.3/32", {"networks", "10.1.2.3", "32"}),
        ("mail to <Alice@Example.org>", {"mail", "to", "alice@example.org"}),
        (" ... ", set()),
    ],
)
def test_words(text: str, words: set[str]) -> None:
    assert words_of(text) == words


def test_words_are_bounded() -> None:
    assert len(words_of(" ".join(map(str, range(1000))))) == MAX_WORDS
