"""Invariant: a running gateway signs its own chain and keeps an eye on the others of its home."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from gateway import housekeeping
from gateway.admin.new_home import make_home
from gateway.app import opened
from gateway.audit import chain_lookout
from gateway.audit.audit_files import read_lines, segments
from gateway.audit.audit_place import this_host
from gateway.audit.log_verification import TAMPERED, WHOLE
from tests.flow.test_housekeeping import setting_of
from tests.home_plan import PLAN
from tests.signed_chains import judge, write_signed


def told(folder: Path) -> list[tuple[str, str]]:
    """Which chains the chain in `folder` has told of, and what."""
    records = [json.loads(line.data) for segment in segments(folder) for line in read_lines(segment)]
    about = [record for record in records if record["event"].startswith("chain.")]
    return [(record["event"], record["details"]["origin"].rpartition("/")[2]) for record in about]


async def waited_for(folder: Path, count: int) -> list[tuple[str, str]]:
    for _ in range(1500):
        if len(told(folder)) >= count:
            break
        await asyncio.sleep(0.02)
    return told(folder)


async def test_another_chain_is_seen_and_missed_when_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home", PLAN).home
    other = write_signed(home.path, 12, "box-9")
    own = home.audit / f"{this_host()}-0"
    monkeypatch.setattr(housekeeping, "ROUND_S", 0.02)
    monkeypatch.setattr(chain_lookout, "EVERY_S", 0.05)
    async with opened(setting_of(home)):
        assert await waited_for(own, 1) == [("chain.seen", "box-9")]
        shutil.move(other, tmp_path / "taken")
        assert await waited_for(own, 2) == [("chain.seen", "box-9"), ("chain.missed", "box-9")]
    gone = judge(home.audit)
    assert gone.status == TAMPERED
    assert len(gone.complaints) == 2, "its key tells of it, and the other chain does"
    shutil.move(tmp_path / "taken", other)
    report = judge(home.audit)
    assert report.status == WHOLE, report
    assert all(chain.proven == chain.last_seq + 1 for chain in report.chains)
