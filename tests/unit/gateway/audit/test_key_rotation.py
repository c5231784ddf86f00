"""The audit key rotated: under a running log and a stopped one, cut off at every step, and forged."""

import random
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.audit_key import (
    CHANGES_NAME,
    KEY_NAME,
    NEXT_KEY_NAME,
    VKEY_NAME,
    UnfitAuditKey,
    _pem,
    load_private_key,
    open_audit_key,
    read_key_changes,
    rotate_audit_key,
)
from gateway.audit.audit_log import AuditLog, AuditNotOpened, stamp_now
from gateway.audit.checkpoint_file import CHECKPOINTS_NAME
from gateway.audit.log_proofs import prove_line
from gateway.audit.log_verification import TAMPERED, UNREADABLE, WHOLE
from gateway.audit.signed_log import sign_log
from gateway.audit.trusted_keys import read_trusted_keys
from policies.audit_record import system_record
from policies.auditing.key_change import ROTATED, sign_change
from tests.crash_states import FastDisk, Folder, Inode, NotingDisk
from tests.signed_chains import judge


class Cut(BaseException):
    """The machine stops here."""


class CutDisk(FastDisk):
    """Stops at one act."""

    def __init__(self, at: int = -1) -> None:
        self.acts = 0
        self.at = at

    def _act(self) -> None:
        self.acts += 1
        if self.acts == self.at:
            raise Cut

    def create(self, path: Path) -> int:
        self._act()
        return super().create(path)

    def append(self, path: Path) -> int:
        self._act()
        return super().append(path)

    def write(self, descriptor: int, data: bytes) -> int:
        self._act()
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._act()

    def truncate(self, path: Path, size_bytes: int) -> None:
        self._act()
        super().truncate(path, size_bytes)

    def rename(self, old: Path, new: Path) -> None:
        self._act()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._act()
        super().remove(path)

    def sync_folder(self, folder: Path) -> None:
        self._act()


def entry(number: int) -> dict:
    return system_record("gateway.draining", stamp_now(), {"running": number})


def opened(home: Path, name: str = "box-0", disk: FastDisk | None = None) -> AuditLog:
    folder = home / "audit" / name
    folder.mkdir(parents=True, exist_ok=True)
    disk = disk or FastDisk()
    log = AuditLog.open(folder, node="box", segment_bytes=6000, disk=disk)
    sign_log(log, folder, disk)
    return log


async def write(home: Path, records: int, name: str = "box-0") -> None:
    log = opened(home, name)
    for number in range(records):
        await log.record(entry(number))
    await log.close()


def status(home: Path, brought: Path | None = None) -> int:
    report = judge(home / "audit", brought=brought)
    return report.status


def rotated_lines(home: Path) -> int:
    return sum(path.read_bytes().count(f'"{ROTATED}"'.encode()) for path in (home / "audit").glob("*/*.jsonl"))


@pytest.fixture
async def home(tmp_path) -> Path:
    await write(tmp_path, 30)
    shutil.copy(tmp_path / "audit" / VKEY_NAME, tmp_path / "first.vkey")
    return tmp_path


async def test_a_running_log_turns_within_a_round(home):
    log = opened(home)
    await log.record(entry(1))
    await log.round()
    old = load_private_key(home / KEY_NAME)
    rotate_audit_key(home, FastDisk())
    assert load_private_key(home / KEY_NAME).public_key() != old.public_key()
    await log.round()
    await log.record(entry(2))
    await log.round()
    await log.close()
    assert rotated_lines(home) == 1
    assert status(home) == WHOLE
    assert status(home, home / "first.vkey") == WHOLE
    report = judge(home / "audit").chains[0]
    assert report.proven == report.records


async def test_a_stopped_log_turns_when_it_is_opened_and_a_sleeping_chain_over_two_changes(home):
    await write(home, 5, "box-1")
    for _ in range(2):
        rotate_audit_key(home, FastDisk())
        await write(home, 5, "box-1")
    assert rotated_lines(home) == 2
    assert status(home) == WHOLE  # box-0 stays under its key
    await write(home, 5)
    assert rotated_lines(home) == 4
    assert status(home) == WHOLE
    assert status(home, home / "first.vkey") == UNREADABLE  # no key there for box-1
    assert [len(read_key_changes(home / "audit")), len(open_audit_key(home).older)] == [2, 2]


async def test_a_record_from_before_and_one_from_after_are_proven_from_the_first_key(home):
    rotate_audit_key(home, FastDisk())
    await write(home, 5)
    keys = read_trusted_keys(home / "audit", home / "first.vkey")
    for seq in (3, 33):
        assert prove_line(home / "audit" / "box-0", seq, keys.of("box-0")).proof.index == seq


def acts_of_rotation(home: Path) -> int:
    disk = CutDisk()
    rotate_audit_key(home, disk)
    return disk.acts


async def test_cut_off_at_any_act_of_the_rotation_the_log_goes_on(home, tmp_path_factory):
    start = tmp_path_factory.mktemp("start") / "home"
    shutil.copytree(home, start)
    acts = acts_of_rotation(home)
    assert acts > 10
    old = load_private_key(start / KEY_NAME).public_key()
    turned = []
    for at in range(1, acts + 1):
        one = tmp_path_factory.mktemp("cut") / "home"
        shutil.copytree(start, one)
        with pytest.raises(Cut):
            rotate_audit_key(one, CutDisk(at))
        await write(one, 3)
        assert not (one / NEXT_KEY_NAME).exists()
        assert status(one) == WHOLE, at
        assert status(one, one / "first.vkey") == WHOLE, at
        is_new = load_private_key(one / KEY_NAME).public_key() != old
        assert rotated_lines(one) == is_new
        turned.append(is_new)
        rotate_audit_key(one, FastDisk())  # and it can be done again
        await write(one, 1)
        assert status(one) == WHOLE, at
    assert turned == sorted(turned)  # never was it, up to one act; and from there on always
    assert set(turned) == {False, True}


class TwoFolders(NotingDisk):
    """Notes the acts of the home's folder and of the log's apart."""

    def sync_folder(self, folder: Path) -> None:
        self._note("sync_folder", CHANGES_NAME if folder.name == "audit" else "")


async def test_every_power_cut_in_a_rotation_leaves_one_key_that_the_log_knows(home, tmp_path_factory):
    one = tmp_path_factory.mktemp("power") / "home"
    shutil.copytree(home, one)
    old = (home / KEY_NAME).read_bytes()
    disk = TwoFolders()
    rotate_audit_key(home, disk)
    new = (home / KEY_NAME).read_bytes()
    apart = {"home": Folder(), "audit": Folder()}
    first = Inode()
    first.safe = old
    apart["home"].now[KEY_NAME] = apart["home"].safe[KEY_NAME] = first
    states, chance = 0, random.Random(7)
    for act in disk.acts:
        apart["audit" if act[1].startswith(CHANGES_NAME) else "home"].do(act)
        for found in apart["home"].states(1, chance):
            for log in apart["audit"].states(1, chance):
                _put_back(one, found, log)
                key = open_audit_key(one)
                assert not (one / NEXT_KEY_NAME).exists()
                assert (one / KEY_NAME).read_bytes() in (old, new)
                is_new = (one / KEY_NAME).read_bytes() == new
                assert len(key.older) == is_new
                states += 1
    assert states > 1000


def _put_back(home: Path, found: dict[str, bytes], log: dict[str, bytes]) -> None:
    """The files as a power cut left them; those that it did not touch stay."""
    for path in (*home.glob("audit-key*"), *(home / "audit").glob(f"{CHANGES_NAME}*")):
        path.unlink()
    for folder, state in ((home, found), (home / "audit", log)):
        for name, content in state.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)


async def _cut_turn(home: Path, at: int) -> int:
    """A running log, rotated, and stopped at one of its own acts; how many there were."""
    disk = CutDisk()
    log = opened(home, disk=disk)
    await log.record(entry(1))
    rotate_audit_key(home, FastDisk())
    disk.acts, disk.at = 0, at
    try:
        await log.round()
    except Cut:
        log._thread.shutdown()
        log._writer.close()
    else:
        disk.at = -1
        await log.close()
    return disk.acts


async def test_cut_off_at_any_act_of_the_turn_the_log_goes_on(home, tmp_path_factory):
    start = tmp_path_factory.mktemp("start") / "home"
    shutil.copytree(home, start)
    acts = await _cut_turn(home, -1)
    assert acts > 10
    for at in range(1, acts + 1):
        one = tmp_path_factory.mktemp("cut") / "home"
        shutil.copytree(start, one)
        await _cut_turn(one, at)
        await write(one, 3)
        assert rotated_lines(one) in (1, 2), at
        assert status(one) == WHOLE, at
        assert status(one, one / "first.vkey") == WHOLE, at


async def test_a_disk_that_refuses_leaves_the_old_key_in_force(home):
    class Full(FastDisk):
        def create(self, path: Path) -> int:
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        rotate_audit_key(home, Full())
    await write(home, 2)
    assert (rotated_lines(home), status(home)) == (0, WHOLE)


async def test_a_change_that_the_old_key_did_not_sign_is_refused(home):
    thief, own = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    deployment = f"corral/{(home / 'audit' / 'deployment').read_text().strip()}"
    (home / KEY_NAME).write_bytes(_pem(own))
    (home / "audit" / CHANGES_NAME).write_bytes(sign_change(deployment, thief, own) + b"\n")
    with pytest.raises(AuditNotOpened, match="no known key signed"):
        opened(home)
    assert status(home) == TAMPERED
    note = sign_change(deployment, thief, own).splitlines(keepends=True)
    (home / "audit" / CHANGES_NAME).write_bytes(b"".join(note[:-2] + note[-1:]) + b"\n")
    report = judge(home / "audit", brought=home / "first.vkey")
    assert report.status == TAMPERED
    assert "not signed by the old key" in report.complaints[0]


async def test_a_key_that_is_not_the_last_one_is_refused(home):
    shutil.copy(home / KEY_NAME, home / "backup.pem")
    rotate_audit_key(home, FastDisk())
    shutil.copy(home / "backup.pem", home / KEY_NAME)
    with pytest.raises(UnfitAuditKey, match="is not the key that"):
        open_audit_key(home)


async def test_a_strange_key_under_a_running_log_changes_nothing_and_is_said_once(home, capsys):
    log = opened(home)
    await log.round()
    (home / KEY_NAME).write_bytes(_pem(Ed25519PrivateKey.generate()))
    for _ in range(3):
        await log.round()
        await log.record(entry(1))
    await log.close()
    said = capsys.readouterr()
    assert (said.out + said.err).count("audit.strange_key") == 1
    assert rotated_lines(home) == 0


async def test_the_old_key_signs_nothing_any_more(home):
    """Whoever has the old key goes on with it behind the change."""
    shutil.copytree(home, home / "thief")
    rotate_audit_key(home, FastDisk())
    await write(home, 3)
    notes = (home / "audit" / "box-0" / CHECKPOINTS_NAME).read_bytes()
    stolen = home / "thief"
    await write(stolen, 40)
    more = (stolen / "audit" / "box-0" / CHECKPOINTS_NAME).read_bytes().split(b"\n\n")
    forged = notes + b"\n\n".join(more[-3:])
    (home / "audit" / "box-0" / CHECKPOINTS_NAME).write_bytes(forged)
    report = judge_without(home, "thief")
    assert report.status == TAMPERED
    assert "signed by another key" in (report.chains[0].fault.text if report.chains[0].fault else "")


def judge_without(home: Path, folder: str):
    shutil.rmtree(home / folder)
    return judge(home / "audit")


async def test_the_change_may_be_pruned(home):
    rotate_audit_key(home, FastDisk())
    await write(home, 60)
    first = sorted((home / "audit" / "box-0").glob("*.jsonl"))
    assert len(first) > 3
    for path in first[:-1]:
        path.unlink()
    report = judge(home / "audit").chains[0]
    assert "audit.pruned" in report.fault.text  # missed as a gap, never as a change without a record
