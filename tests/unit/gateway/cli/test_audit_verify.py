"""Invariant: verify's exit status is the gravest finding, and its words say how far the proof reaches."""

import argparse
import json
import shutil
from pathlib import Path

import pytest

from gateway.audit.audit_files import HEAD_NAME, segments
from gateway.audit.audit_key import VKEY_NAME
from gateway.audit.checkpoint_file import last_note
from gateway.cli import audit
from gateway.cli.output import CommandFault
from tests.signed_chains import SignedChain, body, write_signed
from tests.unit.gateway.audit.test_log_verification import pruned

NOT_ANCHORED = "not anchored off this host: whoever holds the audit key here can write another log"


def run(*words: object) -> int:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true")
    common.add_argument("--home", type=Path, default=Path("nowhere"))
    parser = argparse.ArgumentParser()
    audit.add_commands(parser.add_subparsers(), common)
    arguments = parser.parse_args(["audit", *map(str, words)])
    return int(arguments.run(arguments))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("{}")
    write_signed(tmp_path, 60, segment_bytes=7000)
    return tmp_path


def test_a_whole_log_says_how_far_it_is_proven(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--home", home) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("box-0: whole: ")
    assert first.endswith("held against 7 signed checkpoints")
    assert second == NOT_ANCHORED
    chain = SignedChain(home)
    seq = chain.writer.tree.size
    chain.add(body(1))
    chain.close(sign=False)
    assert run("verify", "--home", home) == 0
    assert f"; from seq {seq} on nothing is proven" in capsys.readouterr().out
    assert run("verify", "--home", home, "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["chains"]
    assert (told["unproven_from"], told["proven"], told["checkpoints"]) == (seq, seq, 7)


def test_an_anchor_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anchor = home / "kept"
    anchor.write_bytes(last_note(home / "audit" / "box-0") or b"")
    assert run("verify", home / "audit", "--anchor", anchor, "--vkey", home / "audit" / VKEY_NAME) == 0
    out = capsys.readouterr().out
    assert ", anchored to seq " in out
    assert NOT_ANCHORED not in out


def test_statuses(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gap = tmp_path / "gap"
    gap.mkdir()
    pruned(gap, sign=True)
    assert run("verify", gap) == 2
    assert "box-0: whole from seq 1" in capsys.readouterr().out
    path = segments(home / "audit" / "box-0")[0].path
    path.write_bytes(path.read_bytes().replace(b'"allow"', b'"deny"', 1))
    assert run("verify", home) == 1
    assert "box-0: TAMPERED: 000000000000.jsonl line 2 (seq 1): the line was changed" in capsys.readouterr().out
    head = home / "audit" / "box-0" / HEAD_NAME
    head.unlink()
    head.mkdir()
    assert run("verify", home) == 3


def test_a_vanished_chain_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(write_signed(home, 3, "box-1"))
    assert run("verify", home) == 1
    assert "\nTAMPERED: the chain corral/" in capsys.readouterr().out
    assert run("verify", home / "audit" / "box-0") == 0, "it alone was asked for"


def test_a_part(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", home, "--from", "30", "--to", "1970-01-01T00:00:30", "--json") == 0
    assert json.loads(capsys.readouterr().out)["chains"][0]["first_seq"] > 0
    assert run("verify", home, "--from", "1970-01-01T01:00:00+01:00") == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--from", "yesterday"), "--from is a seq or a time"),
        (("--anchor", "{home}/nothing"), "No such file"),
        (("--anchor", "{home}/config.yaml"), "signed checkpoints"),
        (("--vkey", "{home}/nothing"), "No such file"),
        (("--vkey", "{home}/config.yaml"), "config.yaml line 1: that is not a verifier key"),
    ],
)
def test_bad_input_is_status_3(home: Path, words: tuple[str, ...], text: str) -> None:
    with pytest.raises(CommandFault, match=text) as caught:
        run("verify", home, *(word.format(home=home) for word in words))
    assert caught.value.status == 3
