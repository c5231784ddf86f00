"""Invariant: what prove prints proves the line that it names; what cannot be proven is one line on stderr."""

import json
from pathlib import Path

import pytest

from gateway.audit.audit_files import segments
from gateway.cli.output import CommandFault
from policies.auditing.signed_note import read_vkey
from policies.auditing.tlog_proof import read_proof, verify_proof
from tests.signed_chains import write_signed
from tests.unit.gateway.cli.test_audit_verify import run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("{}")
    write_signed(tmp_path, 30)
    return tmp_path


def test_the_proof_stands_for_itself(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prove", "7", "--home", home, "--line", home / "line") == 0
    text = capsys.readouterr().out
    assert run("prove", "7", "--home", home, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["proof"] == text
    assert (told["chain"], told["seq"]) == ("box-0", 7)
    line = (home / "line").read_bytes()
    assert line.decode() == told["line"]
    assert json.loads(line)["seq"] == 7
    signed = verify_proof(read_proof(text.encode()), line, [read_vkey(vkey) for vkey in told["vkeys"]])
    assert signed.checkpoint.origin == told["origin"]


def test_one_of_several_chains_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_signed(home, 3, "box-1")
    assert run("prove", "2", home, "--chain", "box-1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["chain"] == "box-1"
    for words, text in (((), "name one with --chain"), (("--chain", "x"), "no chain is called x")):
        with pytest.raises(CommandFault, match=text) as caught:
            run("prove", "2", home, *words)
        assert caught.value.status == 3


def test_what_cannot_be_proven_is_said(home: Path) -> None:
    for words, text in (
        (("999", home), "box-0: the last checkpoint covers seq 0 to"),
        (("2", home, "--line", home / "no" / "such"), "No such file"),
        (("--", "-1", home), "SEQ must not be negative"),
    ):
        with pytest.raises(CommandFault, match=text) as caught:
            run("prove", *words)
        assert caught.value.status == 3
    path = segments(home / "audit" / "box-0")[0].path
    path.write_bytes(path.read_bytes().replace(b'"allow"', b'"deny"', 1))
    with pytest.raises(CommandFault, match="not those that were signed") as caught:
        run("prove", "9", home)
    assert caught.value.status == 1
