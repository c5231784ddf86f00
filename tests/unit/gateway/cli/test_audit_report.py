"""Invariant: the same log gives the same bytes wherever it lies, and a report that is not the log's is found out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit.audit_files import read_lines, segments
from gateway.cli.main import main
from gateway.configuration.config import load_prices
from tests.reported_log import PRICES, write_october
from tests.ssh_people import Person, needs_ssh_keygen
from tests.unit.gateway.cli.command_line import Corral

MONTH = ("audit", "report", "--month", "2026-10")


@pytest.fixture
def reported(corral: Corral) -> Corral:
    """A home with a second chain, of October."""
    write_october(corral.home.path, "box-9")
    return corral


def copied(corral: Corral, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corral.home.audit, tmp_path / "elsewhere" / "log"))


def run(*words: object) -> int:
    return main([*map(str, words)])


def recorded(corral: Corral) -> list[dict]:
    chains = (folder for folder in corral.home.audit.iterdir() if folder.is_dir() and folder.name != "box-9")
    records = [json.loads(line.data) for chain in chains for each in segments(chain) for line in read_lines(each)]
    return [record for record in records if record["event"] == "audit.reported"]


def test_a_second_machines_copy_gives_the_same_bytes(reported: Corral, tmp_path: Path) -> None:
    """Another folder, time zone, locale and hash seed; one copy from before the report, one from after it."""
    (tmp_path / "prices").write_text(PRICES)
    copy = copied(reported, tmp_path)
    prices = str(tmp_path / "prices")
    kinds = (("report",), ("report", "--json"), ("report", "cost", "--prices", prices))
    for number, (verb, *words) in enumerate(kinds):
        made, later = tmp_path / f"made-{number}", tmp_path / f"later-{number}"
        assert reported.run("audit", verb, *words, *MONTH[2:], "--output", str(made))[0] == 0
        shutil.copytree(reported.home.audit, later / "audit")
        for where, seed in ((copy, "1"), (later, "2")):
            options = ["cost", str(where), *words[1:]] if "cost" in words else [str(where), *words]
            command = [sys.executable, "-m", "gateway.cli.main", "audit", verb, *options, *MONTH[2:]]
            strange = {"TZ": "Asia/Kathmandu", "LANG": "de_DE.ISO-8859-1", "LC_ALL": "C", "PYTHONHASHSEED": seed}
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), **strange}
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)
            assert (done.returncode, done.stderr) == (0, b"")
            assert done.stdout == made.read_bytes()


def test_the_report_says_what_the_log_holds(reported: Corral) -> None:
    status, out, err = reported.run(*MONTH)
    assert (status, err) == (0, "")
    for text in (
        "| abc | chem | pbob | inference | revoked |",
        "| abc | paddr | 2026-10-10T10:00:06.000000Z | yes |",
        "| config.yaml: public.unsafe_no_tls | (before) | (before) | box-9 |",
        "| witness | https://w:8446 |",
        "| 2026-10-11T10:00:00.000000Z | key.revoked | key:abc | allow |  | pann |  | no | no |",
        "| pann | audit.exported | yes | 1 |",
        "| request.limited | `rate <b>\\|` | chem | 1 |",
        f"| m:1 | {'dd' * 32} | 2 | pann | 2026-09-30T09:01:00.000000Z | yes |",
        "| chem | 3 | 2 | 1 | 0 | 0 | 2400 | 0 | 680 | 5.000002 |",
        "Records against counts: 0 differences",
    ):
        assert text in out, text
    assert "box-9: " not in out.partition("## ")[0]


def test_that_it_was_read_stands_in_the_log_before(reported: Corral, tmp_path: Path) -> None:
    made = tmp_path / "report.md"
    assert reported.run(*MONTH, "--output", str(made), "--sign", "--ticket", "T-7", "--reason", "monthly")[0] == 0
    (record,) = recorded(reported)
    details = record["change"]["details"]
    assert (details["kind"], details["period"], details["signed"]) == ("audit", "2026-10", "audit key")
    assert record["change"]["ticket"].startswith("enc:1:")
    assert run(*MONTH, reported.home.path) == 0
    assert len(recorded(reported)) == 1


def test_long_work_says_how_far_it_is(reported: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.progress.FIRST_S", 0.0)
    monkeypatch.setattr("gateway.cli.audit_report_making.LOOK_EVERY", 2)
    assert "audit report: read 2 records after 0 s" in reported.run(*MONTH)[2]


def test_a_signed_report_is_proven_and_made_anew(reported: Corral, tmp_path: Path, capsys) -> None:
    made = tmp_path / "report.md"
    status, out, _ = reported.run(*MONTH, "--output", str(made), "--sign")
    assert (status, out) == (0, f"{made}: audit report of 2026-10, signed in {made}.sig\n")
    assert reported.run("audit", "report", "--verify", str(made))[1].endswith(
        "made anew from the log: the same bytes\n"
    )
    copy = copied(reported, tmp_path)
    assert run("audit", "report", "--verify", made, copy, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["same_bytes"], told["signed_by"][:7], told["signed_by"][-7:]) == (True, "corral/", "/report")
    nowhere = ("--home", tmp_path / "nowhere")
    assert run("audit", "report", "--verify", made, "--vkey", copy / "audit.vkey", *nowhere) == 0
    assert "not made anew: name the log" in capsys.readouterr().out
    assert run("audit", "report", "--verify", made, *nowhere) == 3


def test_a_report_that_was_changed(reported: Corral, tmp_path: Path, capsys) -> None:
    made = tmp_path / "report.md"
    reported.run(*MONTH, "--output", str(made), "--sign")
    made.write_bytes(made.read_bytes().replace(b"2400", b"2401"))
    status, _, err = reported.run("audit", "report", "--verify", str(made))
    assert (status, err) == (1, f"corral: {made}: the signature does not fit: the signature is of another report\n")


@needs_ssh_keygen
def test_signed_by_a_person(reported: Corral, tmp_path: Path) -> None:
    made, person, stranger = tmp_path / "report.json", Person(tmp_path, "anna"), Person(tmp_path, "eve")
    assert reported.run(*MONTH, "--json", "--output", str(made), "--ssh-key", str(person.key))[0] == 0
    signers = tmp_path / "signers"
    signers.write_text(f"# who may\n\n{person.public}")
    verify = ("audit", "report", "--verify", str(made), "--signers", str(signers))
    assert "signed by anna (SSH key); made anew from the log: the same bytes" in reported.run(*verify)[1]
    signers.write_text(stranger.public)
    assert reported.run(*verify)[0] == 1
    signers.write_text("ssh-ed25519 x\n")
    assert "line 1" in reported.run(*verify)[2]
    assert "does not count" in reported.run(*verify[:4])[2]
    assert "ssh-keygen did not sign" in reported.run(*MONTH, "--output", str(made), "--ssh-key", "/no/key")[2]


def test_a_log_that_gives_other_bytes(reported: Corral, tmp_path: Path, capsys) -> None:
    made = tmp_path / "report.md"
    reported.run(*MONTH, "--output", str(made), "--sign")
    copy = copied(reported, tmp_path)
    shutil.rmtree(copy / "box-9")
    assert run("audit", "report", "--verify", made, copy) == 1
    assert "NOT what the log gives" in capsys.readouterr().out


def test_a_log_that_was_tampered_with(reported: Corral, tmp_path: Path, capsys) -> None:
    copy = copied(reported, tmp_path)
    (segment, *_) = sorted((copy / "box-9").glob("*.jsonl"))
    segment.write_bytes(segment.read_bytes().replace(b"https://w:8446", b"https://w:8447"))
    assert run(*MONTH, copy) == 1
    out = capsys.readouterr().out
    assert "TAMPERED: 000000000000.jsonl line " in out.partition("## ")[0]
    (tmp_path / "prices").write_text(PRICES)
    assert run("audit", "report", "cost", copy, "--week", "2026-W41", "--prices", tmp_path / "prices") == 1
    assert "TAMPERED" in capsys.readouterr().out


def test_a_chain_that_is_gone_and_one_that_was_cut_off(reported: Corral, tmp_path: Path, capsys) -> None:
    copy = copied(reported, tmp_path)
    shutil.rmtree(copy / "box-9")
    assert run(*MONTH, copy) == 1
    assert "is gone: its verifier key or an anchor tells of it" in capsys.readouterr().out
    write_october(tmp_path / "other", later=False)
    assert run(*MONTH, tmp_path / "other") == 0
    head = capsys.readouterr().out.partition("## ")[0]
    assert "the log does not reach the end of the period" in head
    assert "not anchored off this host" in head


def test_costs(reported: Corral, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    made = tmp_path / "cost.md"
    cost = ("audit", "report", "cost", "--week", "2026-W41", "--prices", str(prices))
    assert reported.run(*cost, "--output", str(made), "--sign")[0] == 0
    assert "| chem | m:1 | 2 | 2400 | 0 | 680 | 5.000002 | 0.002435 |" in made.read_text()
    assert made.read_text().endswith("Total: 0.002435 EUR\n")
    verify = ("audit", "report", "--verify", str(made))
    assert "not made anew: --prices" in reported.run(*verify)[1]
    assert "the same bytes" in reported.run(*verify, "--prices", str(prices))[1]
    prices.write_text(PRICES.replace("0.60", "0.61"))
    assert reported.run(*verify, "--prices", str(prices))[0] == 1


def test_the_example_in_the_manual_is_a_file_of_prices(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[4] / "docs" / "audit-report.md").read_text()
    (tmp_path / "prices").write_text(manual.partition("```yaml\n")[2].partition("```")[0])
    prices = load_prices(tmp_path / "prices")
    assert (prices.currency, prices.of("llama3:70b").prompt_tokens, prices.of("x").slot_hour) == ("EUR", "1.10", "1.20")


def test_every_fault_of_the_prices_is_told_with_its_line(reported: Corral, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        'currency: EUR\nprices:\n  prompt_tokens: 0.15\n  slot_hours: "1"\nmodels:\n  m:1: {slot_hour: "x"}\n'
    )
    status, _, err = reported.run("audit", "report", "cost", "--month", "2026-10", "--prices", str(prices))
    assert status == 2
    for text in (":3: prices.prompt_tokens: must be a text", ":4: prices.slot_hours: unknown key", ":6: models.'m:1'"):
        assert text in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--month", "2026-13"), "a month is written like"),
        (("--week", "2026-10"), "a week is written like"),
        (("cost", "--month", "2026-10"), "name your prices"),
        (("--month", "2026-10", "--sign"), "name it with --output"),
        (("a", "b", "--month", "2026-10"), "one folder at most"),
        (("cost", "--month", "2026-10", "--prices", "nowhere"), "is not there"),
        (("--verify", "nowhere"), "cannot read nowhere"),
        ((), "one of the arguments --week --month --verify is required"),
    ],
)
def test_bad_input(reported: Corral, words: tuple[str, ...], text: str) -> None:
    status, out, err = reported.run("audit", "report", *words)
    assert (status, out) == (2, "")
    assert text in err
    assert recorded(reported) == []


def test_what_cannot_be_signed_or_written(reported: Corral, tmp_path: Path, capsys) -> None:
    made = str(tmp_path / "report.md")
    assert run(*MONTH, reported.home.path, "--output", made, "--sign") == 2
    assert "leave DIR out" in capsys.readouterr().err
    assert "cannot write" in reported.run(*MONTH, "--output", str(tmp_path / "no" / "report.md"))[2]
    assert not list(tmp_path.glob("**/.*.part"))
    key = reported.home.path / "audit-key.pem"
    key.chmod(0o644)
    assert "is open to others" in reported.run(*MONTH, "--output", made, "--sign")[2]
    key.unlink()
    assert "with --ssh-key" in reported.run(*MONTH, "--output", made, "--sign")[2]
    assert not Path(made).exists()


@pytest.mark.parametrize(
    "content", [b"", b"# Audit report 2026-13\nLog: corral/0123456789abcdef. \n", b"{}", b"{", b"{\xff"]
)
def test_what_is_no_report(reported: Corral, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    status, _, err = reported.run("audit", "report", "--verify", str(tmp_path / "x"))
    assert (status, err) == (2, "corral: that is no report of Corral's\n")
