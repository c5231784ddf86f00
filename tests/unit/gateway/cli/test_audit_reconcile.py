"""`corral audit reconcile` over stored chains."""

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from policies.audit_chain import encode_entry
from policies.audit_record import Stamp, system_record
from tests.signed_chains import SignedChain

Words = Callable[..., int]


def system(event: str, second: int, **details: Any) -> bytes:
    return encode_entry(system_record(event, Stamp(second * 1_000_000, second, "boot"), details))


def count(second: int, taken: int, gateway: str = "") -> bytes:
    told = {"target": "pool:w", "life": "ab", "gateway": gateway, "taken": taken, "output_tokens": 5 * taken, "open": 0}
    return system("worker.counted", second, **told)


def authorized(request_id: str, second: int) -> bytes:
    entry = {"ts": f"1970-01-01T00:00:{second:02d}.000000Z", "stage": "authorized", "req_id": request_id}
    return encode_entry({"event": "request.authorized", **entry})


@pytest.fixture
def chain(tmp_path: Path) -> SignedChain:
    (tmp_path / "config.yaml").write_text("{}")
    made = SignedChain(tmp_path)
    made.add(system("gateway.started", 1, process="p"), count(2, 0, "p"))
    return made


def run(*words: object) -> int:
    return main(["audit", "reconcile", *map(str, words)])


def test_nothing_differs(chain: SignedChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain.close()
    assert run("--home", tmp_path) == 0
    assert "nothing differs; last count 1970-01-01T00:00:02" in capsys.readouterr().out


def test_differences_are_named_and_kept_to_a_time(
    chain: SignedChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain.add(count(10, 1), count(20, 3))
    chain.close()
    assert run(tmp_path) == 1
    out = capsys.readouterr().out
    assert out.count("DIFFERENCE pool:w ab (nobody): ") == 2
    assert "[1970-01-01T00:00:10.000000Z to 1970-01-01T00:00:20.000000Z]" in out
    assert "2 differences" in out
    assert run(tmp_path, "--json", "--from", "1970-01-01T00:00:15Z", "--to", "1970-01-01T00:01:00Z") == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["count"] for each in found["differences"]] == [2]
    assert run(tmp_path, "--from", "1970-01-01T00:00:21Z") == 0
    assert run(tmp_path, "--from", "whenever") == 2


def test_what_runs_under_a_held_lock_may_still_end(
    chain: SignedChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain.add(authorized("r1", 3))
    chain.close()
    with (chain.folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(tmp_path) == 0
        assert "1 still running" in capsys.readouterr().out
    assert run(tmp_path) == 1
    assert "DIFFERENCE r1 (p): authorised in box-0 at seq " in capsys.readouterr().out


def test_a_log_without_counts_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = SignedChain(tmp_path)
    chain.add(system("gateway.started", 1, process="p"), system("gateway.stopped", 2))
    chain.close()
    assert run(tmp_path) == 0
    assert "nothing was counted yet" in capsys.readouterr().out


def test_many_differences_are_cut_and_unreadable_lines_are_a_fault(
    chain: SignedChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain.add(*(count(10, number + 1) for number in range(210)))
    chain.close()
    assert run(tmp_path) == 1
    assert "... and 10 more (see --json)" in capsys.readouterr().out
    last = max(chain.folder.glob("*.jsonl"))
    last.chmod(0o600)
    with last.open("ab") as file:
        file.write(b"nonsense\n")
    assert run(tmp_path) == 2
    assert "run 'corral audit verify'" in capsys.readouterr().err
