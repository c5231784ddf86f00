"""Invariant: verify says whole of what was written and names the place of any change; tail shows nothing raw."""

import argparse
import json
import random
from pathlib import Path

import pytest

from gateway.audit.audit_disk import RealDisk, replace_file
from gateway.audit.audit_files import HEAD_NAME, segment_paths
from gateway.audit.audit_recovery import first_head, recover
from gateway.audit.audit_writer import ChainEnd, ChainWriter, Describe
from gateway.audit.log_verification import Ask, ChainReport, verify_log
from gateway.audit.trusted_keys import TrustedKeys
from gateway.cli import audit
from gateway.cli.audit_lines import Chains, one_line, read_record
from gateway.cli.output import CommandFault
from policies.audit_chain import encode_entry
from policies.audit_record import (
    Action,
    Actor,
    Decision,
    RequestFacts,
    Result,
    Source,
    Stamp,
    request_record,
    system_record,
)
from policies.auditing.segment_records import as_entry

FACTS = RequestFacts(
    request_id="r",
    actor=Actor(kind="key", team="default", key_id="abc"),
    source=Source(ip="10.0.0.1"),
    action=Action(verb="POST", route="/api/chat", model="smollm2:135m"),
)


def body(at_s: int) -> bytes:
    result = Result(status=200, prompt_tokens=12, output_tokens=7, dur_ms=41.5)
    stamp = Stamp(at_s * 1_000_000, at_s, "boot")
    return encode_entry(request_record("request.completed", stamp, FACTS, Decision(effect="allow"), result))


class Quick(RealDisk):
    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


def write_chain(folder: Path, times_s: range, segment_bytes: int = 5000) -> ChainWriter:
    folder.mkdir(parents=True)
    replace_file(Quick(), folder / HEAD_NAME, first_head())
    writer = ChainWriter(folder, Quick(), segment_bytes, ChainEnd(), about_segments(times_s[0]))
    for at_s in times_s:
        writer._describe = about_segments(at_s)
        writer.commit([body(at_s)])
    return writer


def about_segments(at_s: int) -> Describe:
    """Makes the records that open and end a segment, at a time."""
    stamp = Stamp(at_s * 1_000_000, at_s, "boot")
    return lambda event, details: encode_entry(as_entry(system_record(event, stamp, {}), details))


def stored(chain: Path) -> int:
    """How many lines there are, those about segments among them."""
    return sum(path.read_bytes().count(b"\n") for path in segment_paths(chain))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two chains: 200 records in several segments, and 5."""
    (tmp_path / "config.yaml").write_text("{}")
    write_chain(tmp_path / "audit" / "box-0", range(0, 400, 2)).close()
    write_chain(tmp_path / "audit" / "box-1", range(391, 400, 2)).close()
    return tmp_path


def report_on(chain: Path) -> ChainReport:
    return verify_log([chain], TrustedKeys(), Ask(whole=False)).chains[0]


def run(*words: str) -> int:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true")
    common.add_argument("--home", type=Path, default=Path("nowhere"))
    parser = argparse.ArgumentParser()
    audit.add_commands(parser.add_subparsers(), common)
    arguments = parser.parse_args(["audit", *words])
    return int(arguments.run(arguments))


def test_verify_reports_every_chain(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--home", str(home)) == 0
    first, second, _ = capsys.readouterr().out.splitlines()
    lines = stored(home / "audit" / "box-0")
    assert first.startswith(
        f"box-0: whole: {lines} records (200 completed, {lines - 200} system), last seq {lines - 1}"
    )
    assert first.endswith("; not signed: from seq 0 on nothing is proven")
    assert second.startswith("box-1: whole: 6 records")
    assert len(segment_paths(home / "audit" / "box-0")) > 5


@pytest.mark.parametrize("folder", [".", "audit", "audit/box-0"])
def test_verify_takes_a_home_an_audit_folder_or_a_chain(
    home: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", str(home / folder), "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["status"] == 0
    assert data["chains"][0]["chain"] == "box-0"
    assert data["chains"][0]["records"] == stored(home / "audit" / "box-0")
    assert data["chains"][0]["fault"] is None


def test_any_changed_byte_of_last_segment_head_and_elsewhere_fails(home: Path) -> None:
    """On files, as an operator would meet it; every byte of a last segment is changed in the test of the pure walk."""
    chain = home / "audit" / "box-0"
    chance = random.Random(3)
    *earlier, last = segment_paths(chain)
    places = [(last, place) for place in range(0, last.stat().st_size, 13)]
    places += [(chain / HEAD_NAME, place) for place in range((chain / HEAD_NAME).stat().st_size)]
    places += [(path, chance.randrange(path.stat().st_size)) for path in earlier for _ in range(3)]
    for path, place in places:
        data = path.read_bytes()
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :])
        report = report_on(chain)
        path.write_bytes(data)
        assert report.status == 1
        assert report.fault is not None
        assert (report.fault.segment, report.fault.number) == (path.name, data[:place].count(b"\n") + 1)
    assert report_on(chain).status == 0


def test_a_tampered_line_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = segment_paths(home / "audit" / "box-0")[2]
    path.write_bytes(path.read_bytes().replace(b'"status":200', b'"status":201', 1))
    assert run("verify", "--home", str(home)) == 1
    first, second, _ = capsys.readouterr().out.splitlines()
    seq = int(path.name[:12])
    assert first.startswith(f"box-0: TAMPERED: {path.name} line 2 (seq {seq + 1}): the line was changed")
    assert first.endswith(f"; {seq + 1} records before it")
    assert "whole" in second


def test_a_removed_head_and_a_cut_tail_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "audit" / "box-0" / HEAD_NAME).unlink()
    segment_paths(home / "audit" / "box-1")[-1].unlink()
    assert run("verify", "--home", str(home), "--json") == 1
    chains = json.loads(capsys.readouterr().out)["chains"]
    assert chains[0]["fault"]["text"] == "the head is missing"
    assert "tail was cut" in chains[1]["fault"]["text"]
    assert run("verify", str(home / "audit")) == 1
    assert "box-0: TAMPERED: head line 1: the head is missing" in capsys.readouterr().out


def test_a_running_gateways_log_is_whole(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines beyond the head, the last of them half written."""
    chain = home / "audit" / "box-1"
    head = (chain / HEAD_NAME).read_bytes()
    writer = ChainWriter(chain, Quick(), 10**6, _end(chain))
    writer.commit([body(500), body(501)])
    writer.close()
    (chain / HEAD_NAME).write_bytes(head)
    with segment_paths(chain)[-1].open("ab") as file:
        file.write(b'{"v":1,')
    assert run("verify", str(chain)) == 0
    out = capsys.readouterr().out
    assert "8 records" in out
    assert "2 of them not yet in the head" in out
    assert "an unfinished commit from 000000000000.jsonl line 9 (seq 8) on, never acknowledged" in out


def _end(chain: Path) -> ChainEnd:
    return recover(chain, Quick()).end


def test_what_cannot_be_read_is_status_3(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for words in (
        ("verify", str(tmp_path / "none")),
        ("verify", str(tmp_path / "empty")),
        ("verify", "--home", str(tmp_path / "empty")),
    ):
        with pytest.raises(CommandFault) as caught:
            run(*words)
        assert caught.value.status == 3
    head = home / "audit" / "box-1" / HEAD_NAME
    head.unlink()
    head.mkdir()
    assert run("verify", "--home", str(home)) == 3
    assert "box-1: UNREADABLE: head: cannot be read: Is a directory" in capsys.readouterr().out


def test_tail_merges_the_chains_by_time(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tail", "--home", str(home), "-n", "4") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[17:19] for line in lines] == ["36", "37", "38", "39"]
    assert lines[-1] == (
        "1970-01-01T00:06:39.000000Z  request.completed  allow  team=default  key=abc  10.0.0.1  /api/chat"
        "  smollm2:135m  200  12+7 tokens  41.5ms"
    )


def test_tail_as_json_is_the_stored_lines(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tail", str(home / "audit" / "box-0"), "--json", "-n", "30") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(stored(home / "audit" / "box-0")))[-30:]
    assert run("tail", str(home), "-n", "0") == 0
    assert run("tail", str(home), "-n", "9999") == 0
    assert len(capsys.readouterr().out.splitlines()) == stored(home / "audit" / "box-0") + 6
    with pytest.raises(CommandFault):
        run("tail", str(home), "-n", "-1")


def test_follow_shows_new_records_across_segments(home: Path) -> None:
    chain = home / "audit" / "box-1"
    chains = Chains([chain])
    chains.latest(1)
    batches = [[600], [], [601, 602], [603]]

    def wait(_: float) -> None:
        writer = ChainWriter(chain, Quick(), 1000, _end(chain))
        for at_s in batches.pop(0):
            writer._describe = about_segments(at_s)
            writer.commit([body(at_s)])
        writer.close()

    stream = (record for line in chains.follow(wait) if (record := read_record(line))["stage"] == "completed")
    assert [next(stream)["mono_ns"] for _ in range(4)] == [600, 601, 602, 603]
    assert len(segment_paths(chain)) > 1


def test_what_is_no_record_is_shown_as_such() -> None:
    assert "not a record" in one_line(read_record(b"\x1b[2Jgarbage"))
    assert "not a record" in one_line(read_record(b"[1]"))
    shown = one_line({"event": "x\x1b[2J\u202e", "actor": "nobody", "result": {"output_tokens": 3}})
    assert shown == "x?[2J?  ?+3 tokens"


def test_a_death_is_told_with_its_process_and_cause() -> None:
    record = {"event": "worker.died", "details": {"process": "worker-3", "cause": "killed by SIGKILL"}}
    assert one_line(record) == "worker.died  worker-3: killed by SIGKILL"
