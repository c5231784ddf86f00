"""`corral audit erase`, `hash` and `content` as an operator types them."""

import io
import json
import time
from pathlib import Path

import pytest

from gateway.audit.content_store import Owner
from gateway.audit.index.audit_index import AuditIndex
from gateway.audit.index.index_file import IndexFault
from gateway.audit.index.saved_queries import SavedQueries
from gateway.audit.vault import opened_vault
from gateway.cli.main import main
from gateway.homes.home import Home
from policies.approval.two_persons import ALONE
from tests.canaries import places_of

REQUEST = "019dbbf1-0000-7000-8000-000000000000"
NAME = "carol@corp.example"


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "home"
    assert main(["init", "--home", str(path)]) == 0
    assert main(["keys", "create", "--team", "default", "--owner", NAME, "--json", "--home", str(path)]) == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert main(["keys", "revoke", made["id"], "--reason", "left", "--home", str(path)]) == 0
    capsys.readouterr()
    return path


def run(home: Path, *words: str) -> int:
    return main(["audit", *words, "--home", str(home)])


def test_a_person_is_erased_from_the_index_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "search", "--actor", NAME) == 0
    assert run(home, "index") in (0, 2)
    capsys.readouterr()
    assert run(home, "erase", "--person", NAME, "--reason", "asked") == 0
    told = capsys.readouterr().out
    assert "erased: 1 pseudonyms lead to nobody any more, 0 texts and" in told
    assert "backups" in told
    assert places_of(NAME, home) == []
    assert run(home, "verify") == 0
    assert run(home, "erase", "--person", NAME) == 2
    assert "the log knows nobody called" in capsys.readouterr().err


def test_what_stays_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["revoke", "--actor", NAME, "--home", str(home)]) == 0
    SavedQueries(home).put("of-carol", {"actor": NAME})
    SavedQueries(home).put("of-ben", {"actor": "ben"})
    assert run(home, "erase", "--person", NAME) == 0
    told = capsys.readouterr().out
    assert f"the name stays in the revocation of actor {NAME}" in told
    assert "the name stays in the saved search of-carol" in told
    assert "of-ben" not in told
    (home / "audit-queries.json").write_text("{")
    assert run(home, "erase", "--person", "root") in (0, 2)


def test_lines_of_before_names_were_enciphered_are_told_of(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = home / "audit" / "old-0"
    old.mkdir()
    (old / "000000000000.jsonl").write_text(f'{{"v":1,"seq":0,"actor":{{"name":"{NAME}"}}}}\n')
    assert run(home, "erase", "--person", NAME) == 0
    assert "the name stays in audit/old-0/000000000000.jsonl, written before" in capsys.readouterr().out


def test_an_index_that_cannot_forget_is_told(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise IndexFault("it is in use")

    assert run(home, "search", "--actor", NAME) == 0
    monkeypatch.setattr(AuditIndex, "refresh", fail)
    assert run(home, "erase", "--person", NAME) == 1
    assert "the search index still has to forget (it is in use)" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), ("--person", "a", "--request", "b"), ("--pseudonym", "p", "--request", "b")])
def test_persons_or_requests(home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert run(home, "erase", *words) == 2
    assert "name either persons" in capsys.readouterr().err


def test_a_text_is_read_and_erased(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened_vault(Home(home)) as vault:
        vault.content.keep(Owner(request_id=REQUEST, team="default"), b'{"answer":"\\u001b[31m"}', time.time(), 1)
    assert run(home, "content", REQUEST) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert json.loads(shown) == {"request": REQUEST, "answer": "\x1b[31m", "two_persons": ALONE}
    assert run(home, "erase", "--request", REQUEST) == 0
    assert capsys.readouterr().out == "the texts of 1 requests are erased\n"
    assert run(home, "content", REQUEST) == 2


def test_the_digest_of_a_text(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(home, "hash", "--team", "default", "--text", "a  b") == 0
    digest = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO(" a\nb\n"))
    assert run(home, "hash", "--team", "default") == 0
    assert capsys.readouterr().out == digest
    assert run(home, "hash", "--team", "other", "--text", "a b", "--json") == 0
    assert json.loads(capsys.readouterr().out)["digest"] != digest.strip()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--team", "No Team", "--text", "a"), "cannot be the name of a team"),
        (("--team", "default", "--text", " "), "has no word"),
    ],
)
def test_bad_digests(home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str) -> None:
    assert run(home, "hash", *words) == 2
    assert told in capsys.readouterr().err


def test_a_stdin_that_is_no_text_or_too_much(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8"))
    assert run(home, "hash", "--team", "default") == 2
    monkeypatch.setattr("gateway.cli.audit_hash.MAX_TEXT_CHARS", 3)
    monkeypatch.setattr("sys.stdin", io.StringIO("abcd"))
    assert run(home, "hash", "--team", "default") == 2
    told = capsys.readouterr().err
    assert "is no text" in told
    assert "longer than any prompt" in told


def test_without_the_homes_secret_there_is_no_digest(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "content.key").unlink()
    assert run(home, "hash", "--team", "default", "--text", "a") == 1
    assert "content.key cannot be read" in capsys.readouterr().err
