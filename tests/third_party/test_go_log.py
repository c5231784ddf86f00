"""Invariant: Go's own note and tlog packages accept our checkpoints and proofs, and none that was changed.

Debian's golang-golang-x-mod-dev, for the tests alone; nothing of it is fetched.
"""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.audit_files import read_lines, segments
from gateway.audit.checkpoint_file import read_checkpoints
from gateway.audit.log_proofs import prove_consistency, prove_line
from gateway.audit.trusted_keys import read_trusted_keys
from policies.auditing.checkpoint import open_checkpoint
from policies.auditing.tlog_proof import proof_text
from tests.signed_chains import write_signed

SOURCE = Path(__file__).parent / "go_log"
GO_PATH = Path("/usr/share/gocode")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed (golang-go)"),
    pytest.mark.skipif(
        not (GO_PATH / "src/golang.org/x/mod/sumdb").is_dir(), reason="golang-golang-x-mod-dev is not installed"
    ),
]


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built from Debian's packages with no module proxy."""
    folder = tmp_path_factory.mktemp("go")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GOPATH": str(GO_PATH),
        "GOCACHE": str(folder / "cache"),
        "GO111MODULE": "off",
        "GOPROXY": "off",
        "GOFLAGS": "-p=1",
    }
    command = ["go", "build", "-o", str(folder / "check"), str(SOURCE / "main.go")]
    built = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert built.returncode == 0, built.stderr
    return folder / "check"


def ask(checker: Path, case: dict[str, Any]) -> dict[str, list[str]]:
    ended = subprocess.run(
        [str(checker)], input=json.dumps(case), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def test_go_accepts_what_is_ours_and_nothing_else(checker: Path, tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 45)
    keys = read_trusted_keys(tmp_path / "audit")
    lines = [line.data[:-1].decode() for segment in segments(folder) for line in read_lines(segment)]
    notes = [note.decode() for note in read_checkpoints(folder).notes]
    proofs = [prove_line(folder, seq, keys.of("box-0")) for seq in range(len(lines))]
    sizes = [open_checkpoint(note.encode(), keys.verifiers).checkpoint.size for note in notes]
    case: dict[str, Any] = {
        "vkeys": [each.vkey for each in keys.verifiers],
        "lines": lines,
        "notes": notes,
        "proofs": [{"line": each.line.decode(), "text": proof_text(each.proof).decode()} for each in proofs],
        "trees": [
            {"old": notes[old], "new": notes[new], "hashes": _base64(prove_consistency(folder, sizes[old], sizes[new]))}
            for new in range(1, len(notes))
            for old in range(1, new + 1)
        ],
    }
    held = ask(checker, case)
    assert {kind: len(told) for kind, told in held.items()} == {"notes": 6, "proofs": len(lines), "trees": 15}
    assert {text for told in held.values() for text in told} == {"ok"}

    changed = ask(checker, _changed(case))
    assert {kind: len(told) for kind, told in changed.items()} == {"notes": 6, "proofs": len(lines), "trees": 15}
    assert "ok" not in {text for told in changed.values() for text in told}


def _changed(case: dict[str, Any]) -> dict[str, Any]:
    """The same with another size in every checkpoint, another line under every proof, a hash more for every tree."""
    proofs = case["proofs"]
    return case | {
        "notes": [note.replace("\n", "\n1", 1) for note in case["notes"]],
        "proofs": [{"line": proofs[place - 1]["line"], "text": proof["text"]} for place, proof in enumerate(proofs)],
        "trees": [{**tree, "hashes": [*tree["hashes"], _base64([bytes(32)])[0]]} for tree in case["trees"]],
    }


def _base64(hashes: list[bytes]) -> list[str]:
    return [base64.b64encode(each).decode() for each in hashes]
