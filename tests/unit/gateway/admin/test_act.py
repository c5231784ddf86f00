"""An act is recorded before it changes anything, and a change that cannot be recorded does not happen."""

import asyncio
import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.admin.act import Act, ActContext, ActRefused, Outcome, perform_one_of
from gateway.keys.key_changes import KeyChange
from gateway.keys.key_store import KeyStore
from policies.audit_record import Actor, Stamp
from policies.credentials.api_key import mint
from policies.credentials.key_record import KeyRecord, new_record
from policies.errors import AuditUnavailable, PolicyUnavailable
from policies.policy import Policy, Team

NOW_S = 1_800_000_000.0
SEEDS = itertools.count(1)


def some_key() -> KeyRecord:
    seed = next(SEEDS)
    key = mint(seed.to_bytes)
    return new_record(key, {1: b"p" * 32}, NOW_S, team="blue", scopes=frozenset({"models"}))


class Log:
    """Keeps what is recorded, and how many keys the store held at that moment."""

    def __init__(self, keys: KeyStore) -> None:
        self.entries: list[dict] = []
        self.keys_then: list[int] = []
        self.broken = False
        self._keys = keys

    async def record(self, entry: dict) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise AuditUnavailable("audit_enospc")
        self.entries.append(entry)
        self.keys_then.append(len(self._keys.records()))


@pytest.fixture
def keys(tmp_path: Path):
    store = KeyStore.create(tmp_path / "keys.db")
    yield store
    store.close()


@pytest.fixture
def log(keys):
    return Log(keys)


@pytest.fixture
def context(keys, log):
    return ActContext(
        keys=keys,
        policy=Policy(teams={"blue": Team()}),
        peppers=lambda: {1: b"p" * 32},
        random_bytes=bytes,
        stamp=Stamp(int(NOW_S * 1e6), 5, "boot"),
        actor=Actor(kind="operator", id="1000", name="anna", method="so_peercred"),
        record=log.record,
        policy_hash="cafe",
    )


def saving(*records: KeyRecord, event: str = "key.created") -> dict[str, Act]:
    changes = tuple(KeyChange(event, record) for record in records)
    return {"do": Act(lambda arguments, context: Outcome(result={"done": True}, changes=changes), "key.act_refused")}


def refusing(event: str) -> dict[str, Act]:
    def plan(arguments, context):
        raise ActRefused("no_good", "this will not do: do that")

    return {"do": Act(plan, event)}


async def test_the_records_are_durable_before_the_change(context, log):
    one, two = some_key(), some_key()
    arguments = {"reason": "new laptop", "ticket": "T-1"}
    assert await perform_one_of(saving(one, two), "do", arguments, context) == {"done": True}
    assert log.keys_then == [0, 0]
    assert context.keys.records() == tuple(sorted((one, two), key=lambda key: key.id))
    entry = log.entries[0]
    assert (entry["event"], entry["stage"], entry["code"]) == ("key.created", "admin", "C2001I")
    assert entry["actor"] == {"kind": "operator", "id": "1000", "name": "anna", "method": "so_peercred"}
    assert entry["decision"] == {"effect": "allow", "policy_hash": "cafe"}
    assert entry["change"]["object"] == f"key:{one.id}"
    assert (entry["change"]["reason"], entry["change"]["ticket"]) == ("new laptop", "T-1")


async def test_without_the_record_nothing_changes(context, log):
    log.broken = True
    with pytest.raises(AuditUnavailable):
        await perform_one_of(saving(some_key()), "do", {}, context)
    assert context.keys.records() == ()


async def test_what_the_store_refused_is_recorded_as_refused(context, log, keys):
    keys._database.execute("PRAGMA query_only = ON")
    with pytest.raises(PolicyUnavailable):
        await perform_one_of(saving(some_key()), "do", {}, context)
    keys._database.execute("PRAGMA query_only = OFF")
    assert [entry["event"] for entry in log.entries] == ["key.created", "key.act_refused"]
    assert log.entries[1]["decision"]["reason"] == "key_store_not_written"


async def test_a_refused_change_is_recorded_with_what_was_asked(context, log):
    with pytest.raises(ActRefused, match="this will not do"):
        await perform_one_of(refusing("key.act_refused"), "do", {"id": "x" * 900, "team": "red", "reason": 7}, context)
    assert log.entries[0]["decision"] == {"effect": "error", "reason": "no_good", "policy_hash": "cafe"}
    assert log.entries[0]["change"]["details"] == {"act": "do", "team": "red"}


async def test_a_refused_reading_is_not(context, log):
    with pytest.raises(ActRefused):
        await perform_one_of(refusing(""), "do", {}, context)
    assert log.entries == []


async def test_an_unknown_act_names_those_there_are(context, log):
    with pytest.raises(ActRefused, match="no act is called 'undo'; there are: do"):
        await perform_one_of(saving(), "undo", {}, context)
    assert log.entries == []


async def test_acts_at_the_same_time_do_not_undo_each_other(context):
    record = some_key()
    context.keys.save(record)

    def change(**fields):
        def plan(arguments, context):
            after = replace(context.keys.get(record.id), **fields)
            return Outcome(result={}, changes=(KeyChange("key.revoked", after),))

        return {"do": Act(plan)}

    await asyncio.gather(
        perform_one_of(change(revoked_s=NOW_S), "do", {}, context),
        perform_one_of(change(owner="berta"), "do", {}, context),
    )
    after = context.keys.get(record.id)
    assert (after.revoked_s, after.owner) == (NOW_S, "berta")


async def test_no_digest_reaches_the_log(context, log):
    record = some_key()
    await perform_one_of(saving(record), "do", {}, context)
    assert record.digest.hex() not in json.dumps(log.entries)
