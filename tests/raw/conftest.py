"""One house a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.raw.raw_house import RawHouse, raw_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RawHouse]:
    async with raw_house(tmp_path) as built:
        yield built
