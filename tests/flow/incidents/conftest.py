from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.gates import TestGate


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    yield gate
    await gate.close()
