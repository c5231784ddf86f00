"""Invariant: a bundle proves every line in it, waits for a checkpoint that is to come, and for none that never will."""

import asyncio
import io
import zipfile
from pathlib import Path

import pytest

from gateway.audit.audit_files import read_lines, segments
from gateway.audit.index.found_lines import FoundLine
from gateway.audit.index.index_update import record_in
from gateway.cli.main import main
from gateway.console.auditing import bundling
from gateway.console.auditing.bundling import bundle_of
from gateway.console.auditing.log_reading import LogReading
from gateway.console.page import Turned
from gateway.homes.home import Home
from policies.auditing.signed_note import read_vkey
from policies.auditing.tlog_proof import read_proof, verify_proof
from tests.stored_log import StoredChain


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home as `corral init` makes it: one signed chain."""
    assert main(["init", "--home", str(tmp_path / "home")]) == 0
    return Home(tmp_path / "home")


def lines_of(folder: Path) -> list[FoundLine]:
    data = [line.data.removesuffix(b"\n") for segment in segments(folder) for line in read_lines(segment)]
    return [FoundLine(folder.name, seq, line, record_in(line) or {}) for seq, line in enumerate(data)]


def own_chain(home: Home) -> Path:
    (folder,) = (each for each in home.audit.iterdir() if each.is_dir())
    return folder


def test_every_line_is_proven(home: Home) -> None:
    lines = lines_of(own_chain(home))
    with zipfile.ZipFile(io.BytesIO(asyncio.run(bundle_of(LogReading(home), lines)))) as archive:
        read = {name.removeprefix(f"{bundling.FOLDER}/"): archive.read(name) for name in archive.namelist()}
    keys = [read_vkey(each) for each in read["audit.vkey"].decode().splitlines()]
    for line in lines:
        proof = read_proof(read[f"{line.chain}/proofs/{line.seq}.tlog-proof"])
        assert verify_proof(proof, line.line, keys).checkpoint.size == len(lines)


def test_a_line_that_was_changed_is_told(home: Home) -> None:
    first, *rest = lines_of(own_chain(home))
    changed = FoundLine(first.chain, first.seq, first.line + b" ", first.record)
    with pytest.raises(Turned) as turned:
        asyncio.run(bundle_of(LogReading(home), [changed, *rest]))
    assert (turned.value.status, turned.value.word_key) == (409, "audit.proof_wrong")


def test_what_no_checkpoint_covers_yet_is_waited_for_and_then_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "LOOK_S", 0.0)
    lines = lines_of(own_chain(home))
    looks: list[int] = []
    settled = bundling._is_settled

    def counted(home: Home, lines: list[FoundLine]) -> bool:
        looks.append(len(lines))
        return settled(home, lines)

    monkeypatch.setattr(bundling, "_is_settled", counted)
    ahead = FoundLine(lines[0].chain, 99, b"{}", {})
    with pytest.raises(Turned) as turned:
        asyncio.run(bundle_of(LogReading(home), [ahead]))
    assert (turned.value.word_key, len(looks)) == ("audit.not_provable", bundling.LOOKS)


def test_a_chain_that_is_not_signed_is_not_waited_for(home: Home) -> None:
    StoredChain(home.audit / "box-9").add([{"ts": "2020-11-22T10:00:00.000000Z", "event": "x"}])
    with pytest.raises(Turned) as turned:
        asyncio.run(bundle_of(LogReading(home), lines_of(home.audit / "box-9")))
    assert turned.value.word_key == "audit.not_provable"
