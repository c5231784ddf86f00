"""Texts go when their time is up, a part at a time; a disk that refuses is asked again."""

import asyncio
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.audit import content_retention
from gateway.audit.content_retention import keep_to_retention
from gateway.audit.content_store import ContentStore, Owner
from tests.fakes import ManualClock


async def test_what_is_due_goes_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_retention, "MAX_CLEARED", 2)
    monkeypatch.setattr("gateway.audit.content_store.MAX_CLEARED", 2)
    monkeypatch.setattr(content_retention, "LOOK_S", 0.0)
    (tmp_path / "audit").mkdir()
    clock, told = ManualClock(), []
    with closing(
        ContentStore(tmp_path / "audit" / "content", tmp_path / "content.db", tmp_path / "content.key")
    ) as store:
        at_s = clock.unix_ns() / 1e9
        for days in (1, 1, 1, 40):
            store.keep(Owner(request_id=str(uuid.uuid4()), team="t"), b"x", at_s - 2 * 86_400, days)
        gone = asyncio.Event()

        def note(event: str, details: dict[str, str | int | float | bool]) -> None:
            told.append((event, details["texts"]))
            if len(told) == 2:
                gone.set()

        refusals = iter([OSError(5, "Input/output error")])
        erase = store.erase_due

        def refuse_once(now_s: float) -> int:
            for fault in refusals:
                raise fault
            return erase(now_s)

        monkeypatch.setattr(store, "erase_due", refuse_once)
        with capture_logs() as logs:
            task = asyncio.create_task(keep_to_retention(store, clock, note))
            await asyncio.wait_for(gone.wait(), 30)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert told == [("content.expired", 2), ("content.expired", 1)]
    assert [each["event"] for each in logs] == ["content_not_expired"]
    assert len([path for path in (tmp_path / "audit" / "content").rglob("*") if path.is_file()]) == 1
