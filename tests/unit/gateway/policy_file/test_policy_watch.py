"""The watch of policy.yaml, driven look by look."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.configuration.config import policy_hash
from gateway.configuration.settings import SignerSettings
from gateway.policy_file import policy_watch
from gateway.policy_file.policy_reading import PolicyFile
from gateway.policy_file.policy_watch import PolicyWatch, WatchParts
from gateway.policy_in_force import PolicyInForce
from tests.fakes import STAMP, ManualClock, MemoryLog
from tests.ssh_people import Person, needs_ssh_keygen

OLD = b"teams: {default: {models: ['*']}}\n"
NEW = b"teams: {default: {models: [m]}, lab: {}}\n"
FAULTY = b"teams:\n  default: {weight: 0}\n"


class Watched:
    """A policy.yaml with its watch, and everything that the watch says."""

    def __init__(self, path: Path, signers: SignerSettings | None = None) -> None:
        self.path = path
        self.clock = ManualClock()
        self.log = MemoryLog()
        self.taken: list[PolicyInForce] = []
        self.kept: list[str] = []
        self.refused: list[bool] = []
        self.live_keys: dict[str, int] = {}
        file = PolicyFile(path, signers)
        parts = WatchParts(
            clock=self.clock,
            stamp=lambda: STAMP,
            record=self.log.record,
            take=self.taken.append,
            keep=lambda written: self.kept.append(written.hash),
            live_keys=lambda: self.live_keys,
            refused=self.refused.append,
        )
        self.watch = PolicyWatch(file, file.load(), parts)

    async def settle(self) -> None:
        """Looks, 20 ms apart, until a change was seen, found at rest (also where none can tell), and dealt with."""
        for _ in range(5):
            await self.watch.look()
            self.clock.move(policy_watch.LOOK_S)

    async def write(self, data: bytes) -> None:
        self.path.write_bytes(data)
        await self.settle()

    def details(self) -> dict[str, Any]:
        details: dict[str, Any] = self.log.entries[-1]["change"]["details"]
        return details


@pytest.fixture
async def watched(tmp_path: Path) -> Watched:
    path = tmp_path / "policy.yaml"
    path.write_bytes(OLD)
    watched = Watched(path)
    await watched.settle()
    assert (watched.log.entries, watched.refused) == ([], [False])
    watched.refused.clear()
    return watched


# ---- what is taken


async def test_a_change_is_recorded_and_then_taken(watched: Watched):
    recorded: list[int] = []
    record = watched.log.record

    async def note(entry: dict[str, Any]) -> None:
        assert watched.taken == []
        await record(entry)
        recorded.append(len(watched.taken))

    watched.watch._parts = structs.replace(watched.watch._parts, record=note)
    await watched.write(NEW)
    assert recorded == [0]
    assert watched.kept == [policy_hash(NEW)]
    [new] = watched.taken
    assert (new.hash, new.author) == (policy_hash(NEW), "author unknown")
    [entry] = watched.log.entries
    assert (entry["event"], entry["code"], entry["stage"]) == ("policy.changed", "C2030I", "admin")
    assert entry["actor"] == {"kind": "operator", "name": "author unknown", "method": "file"}
    assert entry["decision"] == {"effect": "allow", "policy_hash": policy_hash(OLD)}
    assert entry["change"]["before_hash"] == policy_hash(OLD)
    assert entry["change"]["after_hash"] == policy_hash(NEW)
    assert entry["change"]["details"]["changes"] == 2
    assert entry["change"]["details"]["change_1"] == 'teams.default.models: ["*"] -> ["m"]'
    shown = watched.watch.shown()
    assert shown == {
        "hash": policy_hash(NEW),
        "author": "author unknown",
        "since": "2023-11-14T22:13:20Z",
        "refusal": "",
    }


async def test_a_rename_is_taken_too(watched: Watched):
    beside = watched.path.with_name("new")
    beside.write_bytes(NEW)
    beside.rename(watched.path)
    await watched.settle()
    assert [each.hash for each in watched.taken] == [policy_hash(NEW)]


async def test_a_new_comment_is_a_new_policy_without_changes(watched: Watched):
    await watched.write(OLD + b"# why\n")
    assert watched.details() == {"signatures": 0, "changes": 0}
    assert len(watched.taken) == 1


async def test_the_same_content_again_is_nothing(watched: Watched):
    await watched.write(OLD)
    assert (watched.taken, watched.log.entries) == ([], [])


async def test_a_team_that_goes_while_its_keys_live_is_warned_of(watched: Watched):
    watched.live_keys = {"default": 3}
    await watched.write(b"teams: {}\n")
    assert watched.details()["warning_1"].startswith("team default is removed while 3 of its keys are active")


# ---- when


async def test_a_file_at_rest_costs_no_reading(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PolicyFile, "read", lambda _: pytest.fail("read"))
    await watched.settle()


async def test_a_change_is_judged_at_the_second_look(watched: Watched):
    watched.path.write_bytes(NEW)
    await watched.watch.look()
    assert watched.taken == []
    await watched.watch.look()
    assert len(watched.taken) == 1


async def test_what_is_still_being_written_is_not_judged(watched: Watched):
    with watched.path.open("wb", buffering=0) as file:
        file.write(b"teams: {}\n")  # a whole policy, and yet only half of one
        await watched.settle()
        assert watched.taken == []
        file.write(b"max_queued: 7\n")
        await watched.settle()
        assert watched.taken == []
    await watched.settle()
    assert [each.policy.max_queued for each in watched.taken] == [7]


async def test_a_file_that_stays_open_is_judged_after_a_second_of_rest(watched: Watched):
    with watched.path.open("wb", buffering=0) as file:
        file.write(NEW)
        await watched.settle()
        assert watched.taken == []
        watched.clock.move(policy_watch.REST_S["some"])
        await watched.settle()
        assert len(watched.taken) == 1


async def test_where_the_kernel_cannot_tell_a_longer_rest_is_asked_for(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(policy_watch, "find_writers", lambda _: "unknown")
    watched.path.write_bytes(NEW)
    await watched.watch.look()
    await watched.watch.look()
    assert watched.taken == []
    watched.clock.move(policy_watch.REST_S["unknown"])
    await watched.watch.look()
    assert len(watched.taken) == 1


async def test_a_change_that_is_taken_back_at_once_is_none(watched: Watched):
    old = watched.path.with_name("old")
    watched.path.rename(old)
    watched.path.write_bytes(NEW)
    await watched.watch.look()
    old.rename(watched.path)
    await watched.settle()
    assert (watched.taken, watched.log.entries) == ([], [])


async def test_no_record_no_policy_until_the_log_is_back(watched: Watched):
    watched.log.broken = True
    await watched.write(NEW)
    assert (watched.taken, watched.watch.in_force.hash) == ([], policy_hash(OLD))
    watched.log.broken = False
    await watched.settle()
    assert watched.taken == []  # not tried at every look
    watched.clock.move(policy_watch.AGAIN_S)
    await watched.settle()
    assert [each.hash for each in watched.taken] == [policy_hash(NEW)]
    assert watched.log.events() == ["policy.changed"]


# ---- what is refused


async def test_a_fault_is_told_once_for_each_content_and_the_old_one_stays(watched: Watched):
    await watched.write(FAULTY)
    await watched.settle()
    watched.path.touch()
    await watched.settle()
    [entry] = watched.log.entries
    assert (entry["event"], entry["code"]) == ("policy.refused", "C2031W")
    assert entry["decision"]["effect"] == "deny"
    assert entry["decision"]["reason"] == "policy_faulty"
    assert entry["change"]["after_hash"] == policy_hash(FAULTY)
    fault = f"{watched.path}:2: teams.default: weight must be above 0 and at most 1000000"
    assert entry["change"]["details"] == {"faults": 1, "fault_1": fault}
    assert (watched.taken, watched.refused) == ([], [True])
    assert watched.watch.shown()["refusal"] == fault
    await watched.write(FAULTY + b"#\n")
    assert watched.log.events() == ["policy.refused"] * 2


async def test_back_to_the_policy_in_force_is_no_change(watched: Watched):
    await watched.write(FAULTY)
    await watched.write(OLD)
    assert (watched.taken, watched.refused, watched.watch.refusal) == ([], [True, False], "")
    await watched.write(FAULTY)
    assert watched.log.events() == ["policy.refused"] * 2


async def test_a_repaired_file_is_taken(watched: Watched):
    await watched.write(FAULTY)
    await watched.write(NEW)
    assert watched.log.events() == ["policy.refused", "policy.changed"]
    assert (len(watched.taken), watched.refused[-1], watched.watch.refusal) == (1, False, "")


async def test_a_file_that_is_gone_or_unreadable_is_said_and_the_old_one_stays(watched: Watched):
    watched.path.unlink()
    await watched.settle()
    watched.path.mkdir()
    await watched.settle()
    reasons = [entry["decision"]["reason"] for entry in watched.log.entries]
    assert reasons == ["policy_missing", "policy_unreadable"]
    assert "after_hash" not in watched.log.entries[0]["change"]
    watched.path.rmdir()
    await watched.write(NEW)
    assert len(watched.taken) == 1


async def test_a_refusal_that_cannot_be_recorded_is_recorded_later(watched: Watched):
    watched.log.broken = True
    await watched.write(FAULTY)
    assert watched.refused == []
    watched.log.broken = False
    watched.clock.move(policy_watch.AGAIN_S)
    await watched.settle()
    assert (watched.log.events(), watched.refused) == (["policy.refused"], [True])


# ---- signatures


@needs_ssh_keygen
async def test_a_policy_waits_for_its_signatures(tmp_path: Path):
    people = [Person(tmp_path, name) for name in ("anna", "ben")]
    path = tmp_path / "policy.yaml"

    def signed(data: bytes, *signing: Person) -> None:
        for person in signing:
            path.with_name(f"policy.yaml.{person.key.name}.sig").write_bytes(person.sign(data))

    path.write_bytes(OLD)
    signed(OLD, *people)
    watched = Watched(path, SignerSettings(required=2, keys=tuple(each.public for each in people)))
    await watched.write(NEW)
    signed(NEW, people[0])
    await watched.settle()
    assert watched.log.events() == ["policy.refused"]
    assert watched.log.entries[0]["decision"]["reason"] == "policy_unsigned"
    assert "has 1 of 2 signatures" in watched.watch.refusal
    signed(NEW, people[1])
    await watched.settle()
    assert watched.log.events() == ["policy.refused", "policy.changed"]
    assert watched.log.entries[1]["actor"] == {"kind": "operator", "name": "anna, ben", "method": "ssh_signature"}
    assert watched.taken[0].author == "anna, ben"
    assert watched.details()["signers"] == "anna, ben"


@needs_ssh_keygen
async def test_signatures_that_come_first_make_no_refusal(tmp_path: Path):
    anna = Person(tmp_path, "anna")
    path = tmp_path / "policy.yaml"
    path.write_bytes(OLD)
    path.with_name("policy.yaml.sig").write_bytes(anna.sign(OLD))
    watched = Watched(path, SignerSettings(required=1, keys=(anna.public,)))
    path.with_name("policy.yaml.sig").write_bytes(anna.sign(NEW))
    await watched.settle()
    await watched.write(NEW)
    assert (watched.log.events(), watched.refused) == (["policy.changed"], [False, False])


# ---- for ever


async def test_the_watch_goes_on_after_a_bug(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(policy_watch, "LOOK_S", 0.0)
    monkeypatch.setattr(policy_watch, "LOOK_AGAIN_S", 0.0)
    taken = asyncio.get_running_loop().create_future()
    watched.watch._parts = structs.replace(watched.watch._parts, take=taken.set_result)
    states, calls = PolicyFile.states, []

    def broken(file: PolicyFile) -> Any:
        calls.append(file)
        if len(calls) == 1:
            raise ZeroDivisionError
        watched.clock.move(1.0)
        return states(file)

    monkeypatch.setattr(PolicyFile, "states", broken)
    watched.path.write_bytes(NEW)
    running = asyncio.create_task(watched.watch.run())
    assert (await asyncio.wait_for(taken, 30)).hash == policy_hash(NEW)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
