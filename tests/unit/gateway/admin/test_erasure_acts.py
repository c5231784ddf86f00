"""What is erased, what is refused, and that no file of the home names who was erased."""

import asyncio
import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.act import ActContext, ActRefused
from gateway.admin.admin_acts import perform
from gateway.admin.new_home import HomePlan, make_home
from gateway.admin.offline_act import perform_offline
from gateway.audit.content_store import Owner
from gateway.audit.persons_store import PersonsStore
from gateway.audit.vault import opened_vault
from gateway.homes.home import Home
from gateway.keys.key_store import KeyStore
from policies.approval.two_persons import ALONE
from policies.audit_record import Actor, Stamp, clean
from policies.errors import PolicyUnavailable
from policies.policy import Policy
from tests.canaries import places_of

ALICE = "alice@corp.example"
REQUEST = "019dbbf1-0000-7000-8000-000000000000"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    actor = Actor(kind="operator", id="1", name="anna", method="process")
    stamp = Stamp(time.time_ns() // 1000, 1, "boot")
    plan = HomePlan(names=(), actor=actor, leave_key=False, stamp=stamp, random_bytes=secrets.token_bytes)
    return make_home(tmp_path / "home", plan).home


def do(home: Home, act: str, **arguments: Any) -> dict[str, Any]:
    return asyncio.run(perform_offline(home, act, arguments))


def records(home: Home) -> list[dict[str, Any]]:
    paths = sorted(home.audit.rglob("0*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def known(home: Home) -> dict[str, str]:
    """Alice owned a key, is named in remarks, and a text of hers is kept; the key is revoked."""
    made = do(home, "keys.create", team="default", owner=ALICE, purpose=f"for {ALICE}", reason=f"{ALICE} asked")
    do(home, "keys.revoke", id=made["id"], reason=f"{ALICE} leaves")
    with opened_vault(home) as vault:
        (pseudonym,) = vault.persons.pseudonyms(ALICE)
        owner = Owner(request_id=REQUEST, team="default", pseudonym=pseudonym)
        vault.content.keep(owner, b'{"answer":"x"}', time.time(), 30)
    return {"key": made["id"], "pseudonym": pseudonym}


def test_a_person_is_gone_from_every_file(home: Home) -> None:
    person = known(home)
    assert places_of(ALICE, home.path)  # keys.db
    done = do(home, "audit.erase_person", persons=[ALICE], reason="asked for it")
    assert (len(done["erased"]), done["texts"], done["remains"]) == (1, 1, [])
    assert done["remarks"] >= 3
    assert places_of(ALICE, home.path) == []
    with opened_vault(home) as vault:
        assert vault.persons.pseudonyms(ALICE) == vault.persons.remarks_naming(ALICE) == ()
        assert not vault.content.has(REQUEST)
    (told,) = [each for each in records(home) if each["event"] == "person.erased"]
    assert told["code"] == "C3150I"
    assert told["change"]["object"] == f"person:{done['erased'][0]}"
    assert person["pseudonym"] not in json.dumps(told["change"])
    (listed,) = [key for key in do(home, "keys.list")["keys"] if key["id"] == person["key"]]
    assert (listed["state"], listed["owner"], listed["purpose"], listed["revoked_reason"]) == ("revoked", "", "", "")


@pytest.mark.parametrize("given", ["Zo\u00eb " + "L" * 90, "Zo\\xeb " + "L" * 90])
def test_a_name_as_keys_db_says_it_or_as_the_log_does(home: Home, given: str) -> None:
    name = "Zo\u00eb " + "L" * 90
    made = do(home, "keys.create", team="default", owner=name, purpose=f"of {name}")
    do(home, "keys.revoke", id=made["id"], reason="left")
    done = do(home, "audit.erase_person", persons=[given])
    assert (len(done["erased"]), done["remarks"]) == (1, 1)
    assert places_of(name, home.path) == []
    with opened_vault(home) as vault:
        assert vault.persons.pseudonyms(clean(name)) == ()


def test_by_pseudonym_too(home: Home) -> None:
    person = known(home)
    done = do(home, "audit.erase_person", pseudonyms=[person["pseudonym"]])
    assert (len(done["erased"]), done["texts"]) == (1, 1)
    assert places_of(ALICE, home.path) == []
    with pytest.raises(ActRefused, match="no person of the log has the pseudonym"):
        do(home, "audit.erase_person", pseudonyms=[person["pseudonym"]])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "bad_argument"),
        ({"persons": ["..."]}, "bad_argument"),
        ({"persons": ["nobody"]}, "person_unknown"),
        ({"pseudonyms": ["p"]}, "person_unknown"),
        ({"persons": [ALICE], "reason": f"{ALICE.upper()} asked"}, "reason_names_person"),
        ({"persons": [ALICE], "ticket": f"T-{1} {ALICE}"}, "reason_names_person"),
    ],
)
def test_refused(home: Home, arguments: dict[str, Any], reason: str) -> None:
    known(home)
    with pytest.raises(ActRefused) as refused:
        do(home, "audit.erase_person", **arguments)
    assert refused.value.reason == reason
    last = records(home)[-1]
    assert (last["event"], last["decision"]["reason"]) == ("erasure.act_refused", reason)


def test_whoever_owns_a_valid_key_stays(home: Home) -> None:
    with pytest.raises(ActRefused, match="anna still owns 1 valid keys"):
        do(home, "audit.erase_person", persons=["anna"])


def test_a_revocation_goes_on_and_is_told(home: Home) -> None:
    do(home, "revoke", actor=ALICE)
    done = do(home, "audit.erase_person", persons=[ALICE])
    assert done["remains"] == [f"the revocation of actor {ALICE}, which refuses what was issued to them before it"]
    assert records(home)[-1]["event"] == "person.erased"


def test_a_text_is_read_on_record_and_erased(home: Home) -> None:
    known(home)
    read = do(home, "audit.read_content", request=REQUEST, reason="incident 7")
    assert read == {"request": REQUEST, "answer": "x", "two_persons": ALONE}
    assert records(home)[-1]["event"] == "content.read"
    assert do(home, "audit.erase_content", requests=[REQUEST]) == {"erased": [REQUEST]}
    assert records(home)[-1]["event"] == "content.erased"
    for act, arguments in (
        ("audit.read_content", {"request": REQUEST}),
        ("audit.erase_content", {"requests": [REQUEST]}),
    ):
        with pytest.raises(ActRefused, match="nothing is kept of a request"):
            do(home, act, **arguments)


def test_a_text_that_was_changed_is_said_to_be(home: Home) -> None:
    known(home)
    (path,) = home.content.rglob(REQUEST)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ActRefused, match="cannot read what is kept"):
        do(home, "audit.read_content", request=REQUEST)


def test_an_erasure_that_fails_is_told_and_can_be_done_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    known(home)

    def locked(*_: object) -> None:
        raise OSError(5, "persons.db: database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(PersonsStore, "erase", locked)
        with pytest.raises(PolicyUnavailable, match="erasure_unfinished"):
            do(home, "audit.erase_person", persons=[ALICE])
    assert records(home)[-1]["decision"]["reason"] == "erasure_unfinished"
    do(home, "audit.erase_person", persons=[ALICE])
    assert places_of(ALICE, home.path) == []


async def test_a_gateway_without_a_vault_says_so(tmp_path: Path) -> None:
    store = KeyStore.create(tmp_path / "keys.db")

    async def record(_entry: dict[str, Any]) -> None: ...

    context = ActContext(
        keys=store,
        policy=Policy(teams={}),
        peppers=dict,
        random_bytes=secrets.token_bytes,
        stamp=Stamp(1, 1, "boot"),
        actor=Actor(kind="operator", name="anna"),
        record=record,
    )
    with pytest.raises(ActRefused, match="keeps nothing"):
        await perform("audit.erase_person", {"persons": ["x"]}, context)
    store.close()
