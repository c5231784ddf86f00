"""Invariant: each line reaches the report once, in its order, also beside a gateway that writes meanwhile."""

import shutil
from pathlib import Path

import pytest

from gateway.audit import log_verification
from gateway.audit.log_verification import GAP, TAMPERED, UNREADABLE, WHOLE
from gateway.audit.report_reading import deployment_name, proofs_of, read_log
from gateway.audit.trusted_keys import read_trusted_keys
from policies.audit_chain import Head
from policies.auditing.segment_records import event_of
from tests.signed_chains import SignedChain, body, write_signed


class Heard:
    """What a reader was told."""

    def __init__(self) -> None:
        self.lines: dict[str, list[bytes]] = {}
        self.began: list[tuple[str, int]] = []
        self.ends = 0

    def begin(self, chain: str, first_seq: int) -> None:
        self.began.append((chain, first_seq))
        self.lines[chain] = []

    def take(self, data: bytes) -> None:
        self.lines[self.began[-1][0]].append(data)

    def end(self) -> None:
        self.ends += 1


def folders(home: Path) -> list[Path]:
    return sorted(entry for entry in (home / "audit").iterdir() if entry.is_dir())


def read(home: Path, heard: Heard, **options: object) -> log_verification.LogReport:
    return read_log(folders(home), read_trusted_keys(home / "audit"), heard, whole=True, **options)


def test_all_chains_one_after_the_other(tmp_path: Path) -> None:
    for name, records in (("box-0", 30), ("box-1", 20)):
        write_signed(tmp_path, records, name)
    heard, counted = Heard(), []
    found = read(tmp_path, heard, count=lambda: counted.append(1))
    assert (found.status, heard.began, heard.ends) == (WHOLE, [("box-0", 0), ("box-1", 0)], 1)
    assert [len(lines) for lines in heard.lines.values()] == [each.last_seq + 1 for each in found.chains]
    assert len(counted) == sum(len(lines) for lines in heard.lines.values())
    first, second = proofs_of(found, folders(tmp_path), lambda chain: 3 if chain == "box-0" else -1)
    assert (first.size > 3, len(first.root), first.fault) == (True, 64, "")
    assert second.size == 0


def test_a_chain_that_is_read_again_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_signed(tmp_path, 30)
    heads, real = [], log_verification.read_head_file

    def behind(chain: Path) -> Head:
        """At first the head of a moment ago, whose line is torn, as beside a gateway that writes."""
        heads.append(chain)
        head = real(chain)
        return head if len(heads) > 1 else Head(head.seq - 5, "0" * 64, head.segment)

    with (folder / max(folder.glob("*.jsonl")).name).open("ab") as file:
        file.write(b'{"v":1,"seq":')
    monkeypatch.setattr(log_verification, "read_head_file", behind)
    heard = Heard()
    read(tmp_path, heard)
    assert len(heard.lines["box-0"]) == len(set(heard.lines["box-0"]))
    assert all(event_of(line) for line in heard.lines["box-0"])


def test_a_chain_that_was_pruned_begins_where_it_is_left(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 60, segment_bytes=3000)
    first, second, *_ = sorted(folder.glob("*.jsonl"))
    first.unlink()
    heard = Heard()
    found = read(tmp_path, heard)
    assert heard.began == [("box-0", int(second.stem))]
    assert found.status == TAMPERED  # no record says that it was pruned
    assert found.status != GAP
    (proof,) = proofs_of(found, folders(tmp_path), lambda _chain: 50)
    assert proof.fault.startswith("TAMPERED: ")


def test_what_is_behind_the_last_checkpoint_is_not_signed(tmp_path: Path) -> None:
    chain = SignedChain(tmp_path)
    chain.add(*map(body, range(5)), sign=True)
    chain.add(body(6))
    chain.close(sign=False)
    found = read(tmp_path, Heard())
    last = found.chains[0].last_seq
    assert proofs_of(found, folders(tmp_path), lambda _chain: last)[0].size == 0
    assert proofs_of(found, folders(tmp_path), lambda _chain: last - 1)[0].size == last
    shutil.copy(chain.folder / "head", tmp_path / "head")
    (chain.folder / "checkpoints").write_bytes(b"no note\n\n\xe2\x80\x94 x y\n\n")
    assert proofs_of(found, folders(tmp_path), lambda _chain: last - 1)[0].size == 0


def test_a_log_without_keys_cannot_be_judged(tmp_path: Path) -> None:
    write_signed(tmp_path, 10)
    (tmp_path / "audit" / "audit.vkey").unlink()
    found = read(tmp_path, Heard())
    assert found.status == UNREADABLE
    assert proofs_of(found, folders(tmp_path), lambda _chain: 3)[0].fault.startswith("UNREADABLE: checkpoints")


def test_the_deployments_name(tmp_path: Path) -> None:
    write_signed(tmp_path, 1)
    assert deployment_name(tmp_path / "audit").startswith("corral/")
    (tmp_path / "audit" / "deployment").write_text("x")
    assert deployment_name(tmp_path / "audit") == ""
    assert deployment_name(tmp_path) == ""
