"""The witness over real TLS, real signatures, a real log: what it cosigns, refuses, keeps, and outlives."""

import contextlib
import shutil
import sqlite3
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.anchor_queue import AnchorFailed
from gateway.audit.anchor_witness import COSIGNED_NAME, WitnessAnchor
from gateway.audit.audit_key import CHANGES_NAME, VKEY_NAME, open_audit_key, rotate_audit_key
from gateway.audit.checkpoint_file import last_note
from gateway.cli.main import main
from gateway.http.tls_context import server_context
from gateway.outbound import Outbound, OutboundRefused, Way
from gateway.witness.witness_server import WitnessServer
from gateway.witness.witness_state import WitnessFault, WitnessState
from policies.auditing.checkpoint import Checkpoint, checkpoint_text
from policies.auditing.cosignature import read_cosignature_vkey
from policies.auditing.key_change import sign_change
from policies.auditing.signed_note import open_note, sign_note
from policies.auditing.witnessing import AddCheckpoint, add_checkpoint_body
from tests.signed_chains import SignedChain, body, write_signed

NOW_S = 1_800_000_000


class Scene:
    """A home with one chain, and a witness on its own folder that listens."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder
        self.state = WitnessState(folder)
        self.port = 0

    @property
    def chain(self) -> Path:
        return self.home / "audit" / "box-0"

    def client(self) -> Outbound:
        return Outbound(
            f"https://localhost:{self.port}",
            connect_timeout_s=30.0,
            idle_timeout_s=30.0,
            way=Way(ca_file=self.folder / "tls" / "ca.pem"),
        )

    def anchor(self, chain: Path | None = None) -> WitnessAnchor:
        verifier = read_cosignature_vkey((self.folder / "witness.vkey").read_text())
        return WitnessAnchor(self.client(), verifier, chain or self.chain)


def run(*words: object) -> int:
    return main(list(map(str, words)))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    home, folder = tmp_path / "home", tmp_path / "witness"
    write_signed(home, 30)
    assert run("audit", "witness", "init", "--state", folder, "--name", "audit.example/w1") == 0
    assert run("audit", "witness", "watch", "--state", folder, home / "audit" / VKEY_NAME) == 0
    scene = Scene(home, folder)
    tls = server_context(folder / "tls" / "server.pem", folder / "tls" / "server.key", now=datetime.now(UTC))
    async with WitnessServer(scene.state, lambda: NOW_S).listening("127.0.0.1", 0, tls) as scene.port:
        yield scene
    scene.state.close()


def note_of(chain: Path) -> bytes:
    note = last_note(chain)
    assert note is not None
    return note


async def put(scene: Scene, chain: Path | None = None, anchor: WitnessAnchor | None = None) -> None:
    sending = anchor or scene.anchor(chain)
    try:
        await sending.put(note_of(chain or scene.chain))
    finally:
        if anchor is None:
            await sending.close()


async def test_each_checkpoint_is_cosigned_with_its_proof_and_kept(scene: Scene) -> None:
    async with contextlib.aclosing(Closing(scene.anchor())) as held:
        for _ in range(3):
            await put(scene, anchor=held.anchor)
            write_more(scene.home, 15)
        await put(scene, anchor=held.anchor)
        await put(scene, anchor=held.anchor)  # the same once more: cosigned again
    notes = (scene.chain / COSIGNED_NAME).read_bytes().rstrip(b"\n").split(b"\n\n")
    last = b"%s\n\n%s\n" % (notes[-2], notes[-1])
    verifier = read_cosignature_vkey((scene.folder / "witness.vkey").read_text())
    assert open_note(last, [verifier]).text == note_of(scene.chain).partition(b"\n\n")[0] + b"\n"
    (standing,) = scene.state.standings()
    latest = scene.state.latest(standing.origin)
    assert latest is not None
    assert (standing.cosigned_s, latest.note) == (NOW_S, note_of(scene.chain))


class Closing:
    def __init__(self, anchor: WitnessAnchor) -> None:
        self.anchor = anchor

    async def aclose(self) -> None:
        await self.anchor.close()


def write_more(home: Path, records: int, name: str = "box-0") -> None:
    chain = SignedChain(home, name)
    for second in range(records):
        chain.add(body(second))
    chain.close()


def rewrite(home: Path, records: int) -> None:
    """What the host's administrator can do: another log, signed by the very same key."""
    chain = home / "audit" / "box-0"
    for path in chain.iterdir():
        path.unlink()
    rewritten = SignedChain(home)
    for second in range(records):
        rewritten.add(body(second + 1_000_000))
    rewritten.close()


@pytest.mark.parametrize("records", [45, 12], ids=["longer", "shorter"])
async def test_a_log_rewritten_with_the_hosts_own_key_is_refused_and_kept(scene: Scene, records: int) -> None:
    await put(scene)
    before = note_of(scene.chain)
    rewrite(scene.home, records)
    with pytest.raises(AnchorFailed, match=r"it refuses|it knows this log with"):
        await put(scene)
    if records > 30:
        (folder,) = scene.state.evidence()
        assert (folder / "cosigned").read_bytes() == before
        assert (folder / "refused").read_bytes() == note_of(scene.chain)
        told = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(AnchorFailed):
            await put(scene)
        assert scene.state.evidence() == [folder]
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == told


async def test_a_second_root_at_a_size_once_cosigned_is_evidence(scene: Scene) -> None:
    await put(scene)
    size_note = note_of(scene.chain)
    write_more(scene.home, 40)
    await put(scene)
    old_size = int(size_note.split(b"\n")[1])
    fork = forked(scene.home, old_size)
    client = scene.client()
    with pytest.raises(OutboundRefused) as refused:
        await client.fetch("POST", "/add-checkpoint", add_checkpoint_body(AddCheckpoint(0, (), fork)))
    await client.close()
    assert refused.value.status == 409
    assert len(scene.state.evidence()) == 1


def forked(home: Path, size: int) -> bytes:
    """Another root for a size, signed as the host can."""
    signer = open_audit_key(home).signer("box-0")
    return sign_note(checkpoint_text(Checkpoint(signer.name, size, b"f" * 32)), [signer])


async def test_the_statuses_of_the_protocol(scene: Scene) -> None:
    client = scene.client()

    async def status(data: bytes) -> tuple[int, bytes]:
        try:
            return 200, await client.fetch("POST", "/add-checkpoint", data)
        except OutboundRefused as refused:
            return refused.status, refused.body

    note = note_of(scene.chain)
    size = int(note.split(b"\n")[1])
    unknown = note.replace(b"/box-0", b"/box-9")
    forged = note[:-8] + b"AAAAAA=\n"
    assert (await status(b"old x\n\n" + note))[0] == 400
    assert (await status(add_checkpoint_body(AddCheckpoint(size + 1, (), note))))[0] == 400
    assert (await status(add_checkpoint_body(AddCheckpoint(0, (), unknown))))[0] == 404
    assert (await status(add_checkpoint_body(AddCheckpoint(0, (), forged))))[0] in (400, 403)
    assert (await status(add_checkpoint_body(AddCheckpoint(0, (bytes(32),), note))))[0] == 422
    assert (await status(add_checkpoint_body(AddCheckpoint(3, (), note)))) == (409, b"0\n")
    code, line = await status(add_checkpoint_body(AddCheckpoint(0, (), note)))
    assert code == 200
    assert line.startswith("\u2014 audit.example/w1 ".encode())
    assert (await status(add_checkpoint_body(AddCheckpoint(0, (), note)))) == (409, b"%d\n" % size)
    assert (await status(b"x" * 70_000))[0] == 413
    assert (await client.fetch("GET", "/")).decode() == (scene.folder / "witness.vkey").read_text()
    await client.close()


async def test_what_it_cosigned_outlives_it_and_without_its_store_it_does_nothing(scene: Scene) -> None:
    await put(scene)
    again = WitnessState(scene.folder)
    assert [each.size for each in again.standings()] == [each.size for each in scene.state.standings()]
    again.close()
    scene.state.close()
    (scene.folder / "witness.db").rename(scene.folder / "away")
    with pytest.raises(WitnessFault, match="put it back"):
        WitnessState(scene.folder)
    (scene.folder / "away").rename(scene.folder / "witness.db")
    scene.state = WitnessState(scene.folder)


async def test_a_store_that_cannot_be_written_cosigns_nothing(scene: Scene) -> None:
    blocker = sqlite3.connect(scene.folder / "witness.db", timeout=0, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    scene.state._store.execute("PRAGMA busy_timeout = 10")
    client = scene.client()
    request = add_checkpoint_body(AddCheckpoint(0, (), note_of(scene.chain)))
    with pytest.raises(OutboundRefused) as refused:
        await client.fetch("POST", "/add-checkpoint", request)
    assert refused.value.status == 503
    blocker.execute("ROLLBACK")
    blocker.close()
    await client.close()
    await put(scene)


async def test_whom_its_certificate_does_not_vouch_for_is_not_spoken_to(scene: Scene) -> None:
    tls = ssl.create_default_context()
    assert tls.verify_mode == ssl.CERT_REQUIRED
    client = Outbound(f"https://localhost:{scene.port}", connect_timeout_s=30.0, idle_timeout_s=30.0)
    verifier = read_cosignature_vkey((scene.folder / "witness.vkey").read_text())
    anchor = WitnessAnchor(client, verifier, scene.chain)
    with pytest.raises(AnchorFailed, match="cannot be reached"):
        await anchor.put(note_of(scene.chain))
    await anchor.close()


# ---- the command, as an auditor uses it


@pytest.fixture
def auditor(tmp_path: Path) -> tuple[Path, Path]:
    home, folder = tmp_path / "home", tmp_path / "witness"
    write_signed(home, 30)
    assert run("audit", "witness", "init", "--state", folder, "--name", "w1") == 0
    assert run("audit", "witness", "watch", "--state", folder, home / "audit" / VKEY_NAME) == 0
    return home, folder


def check(folder: Path, *words: object) -> int:
    return run("audit", "witness", "check", "--state", folder, *words)


def test_a_log_never_heard_of_is_named(auditor: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, folder = auditor
    assert check(folder) == 1
    assert "MISSED corral/" in capsys.readouterr().out


def test_a_pulled_file_is_taken_proven_and_missed(
    auditor: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    home, folder = auditor
    pulled = home / "audit" / "box-0" / "checkpoints"
    assert check(folder, "--checkpoints", pulled) == 0
    assert check(folder) == 0
    assert check(folder, "--still-s", -1) == 1
    assert "STILL corral/" in capsys.readouterr().out
    write_more(home, 20)
    assert check(folder, "--checkpoints", pulled) == 1
    assert "UNPROVEN corral/" in capsys.readouterr().out
    assert check(folder, "--checkpoints", pulled, "--log", home) == 0
    assert "COSIGNED corral/" in capsys.readouterr().out
    write_more(home, 20, "box-1")
    run("audit", "witness", "watch", "--state", folder, home / "audit" / VKEY_NAME)
    assert check(folder, "--checkpoints", pulled) == 1
    assert "MISSED corral/" in capsys.readouterr().out


def test_a_rotated_key_is_followed_where_the_watched_one_has_signed_it(
    auditor: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, folder = auditor
    pulled = home / "audit" / "box-0" / "checkpoints"
    assert check(folder, "--checkpoints", pulled) == 0
    shutil.copytree(folder, tmp_path / "second")
    rotate_audit_key(home)
    write_more(home, 20)
    assert check(folder, "--checkpoints", pulled) == 1
    assert "UNSIGNED corral/" in capsys.readouterr().out
    assert check(folder, "--checkpoints", pulled, "--log", home) == 0
    out = capsys.readouterr().out
    assert "its key was changed, and the old one has signed that" in out
    assert "COSIGNED corral/" in out
    assert len((folder / "logs.vkey").read_text().splitlines()) == 2
    changes = home / "audit" / CHANGES_NAME
    assert run("audit", "witness", "watch", "--state", tmp_path / "second", changes) == 0
    assert "watches corral/" in capsys.readouterr().out
    assert run("audit", "witness", "watch", "--state", tmp_path / "second", changes) == 0
    assert "nothing new" in capsys.readouterr().out


def test_a_change_that_the_watched_key_did_not_sign_is_not_followed(
    auditor: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, folder = auditor
    changes, pulled = home / "audit" / CHANGES_NAME, home / "audit" / "box-0" / "checkpoints"
    deployment = "corral/" + (home / "audit" / "deployment").read_text().strip()
    thief, own = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    changes.write_bytes(sign_change(deployment, thief, own) + b"\n")
    assert run("audit", "witness", "watch", "--state", folder, changes) == 0
    assert "nothing new" in capsys.readouterr().out
    changes.write_bytes(sign_change(deployment, thief, own)[:-30] + b"\n")
    assert run("audit", "witness", "watch", "--state", folder, changes) == 2
    assert check(folder, "--checkpoints", pulled, "--log", home) == 1
    assert "CONTRADICTION " in capsys.readouterr().out
    (folder / "logs.vkey").write_text("broken\n")
    changes.write_bytes(sign_change(deployment, thief, own) + b"\n")
    assert run("audit", "witness", "watch", "--state", folder, changes) == 2


def test_a_pulled_file_of_a_rewritten_log_is_evidence(
    auditor: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    home, folder = auditor
    pulled = home / "audit" / "box-0" / "checkpoints"
    assert check(folder, "--checkpoints", pulled) == 0
    rewrite(home, 60)
    assert check(folder, "--checkpoints", pulled, "--log", home) == 1
    out = capsys.readouterr().out
    assert "CONTRADICTION corral/" in out
    assert "EVIDENCE " in out
    rewrite(home, 12)
    assert check(folder, "--checkpoints", pulled) == 1
    assert "BEHIND corral/" in capsys.readouterr().out


@pytest.mark.parametrize("text", [b"", b"no note at all"])
def test_what_holds_no_checkpoints_is_said_so(
    auditor: tuple[Path, Path], tmp_path: Path, text: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pulled").write_bytes(text)
    assert check(auditor[1], "--checkpoints", tmp_path / "pulled") == 1
    assert "UNSIGNED" in capsys.readouterr().out


def test_a_new_certificate_is_made_beside_the_same_key(
    auditor: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = auditor
    before = {name: (folder / name).read_bytes() for name in ("tls/ca.pem", "witness-key.pem", "witness.vkey")}
    assert run("audit", "witness", "certificate", "--state", folder, "--host", "witness.example") == 0
    assert "tls/ca.pem" in capsys.readouterr().out
    changed = [name for name, data in before.items() if (folder / name).read_bytes() != data]
    assert changed == ["tls/ca.pem"]
    assert (folder / "tls" / "server.key").stat().st_mode & 0o777 == 0o600
    assert run("audit", "witness", "certificate", "--state", folder, "--host", "no name") == 2
    assert run("audit", "witness", "certificate", "--state", folder / "nowhere" / "x") == 1


def test_bad_input_is_one_line(auditor: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, folder = auditor
    (tmp_path / "bad").write_text("not a key\n")
    for words in (
        ("init", "--state", folder, "--name", "w1"),
        ("init", "--state", tmp_path / "two", "--name", "a+b"),
        ("watch", "--state", folder, tmp_path / "bad"),
        ("watch", "--state", tmp_path / "nowhere", tmp_path / "bad"),
        ("check", "--state", tmp_path / "nowhere"),
        ("check", "--state", folder, "--checkpoints", tmp_path / "nowhere"),
    ):
        assert run("audit", "witness", *words) == 2, words
        assert capsys.readouterr().err.count("\n") == 1, words
