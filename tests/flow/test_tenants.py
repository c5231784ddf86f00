"""A team that shares no worker process: what its calls carry, and what it may not use."""

from pathlib import Path

import pytest

from policies.policy import Team
from tests.flow.gates import TestGate

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": False}
TEAMS = {"one": Team(models=("*",), isolation="worker"), "two": Team(models=("*",))}


@pytest.mark.parametrize(("key", "tenant"), [("one", "team:one"), ("two", "")])
async def test_its_calls_name_it_as_tenant(tmp_path: Path, key: str, tenant: str) -> None:
    gate = await TestGate(tmp_path, teams=TEAMS).start()
    assert (await gate.send("POST", "/api/chat", CHAT, key=key))[0].status == 200
    assert gate.engine.calls[-1].tenant == tenant
    await gate.close()


async def test_a_model_whose_processes_others_share_is_unknown_to_it(tmp_path: Path) -> None:
    gate = await TestGate(tmp_path, teams=TEAMS).start()
    gate.engine.isolates = False
    assert (await gate.send("POST", "/api/chat", CHAT, key="one"))[0].status == 404
    assert gate.engine.calls == []
    assert (await gate.send("POST", "/api/chat", CHAT, key="two"))[0].status == 200
    await gate.close()
