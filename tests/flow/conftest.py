"""Event loops of the flow tests: asyncio's, unless a module names others in `LOOP_FACTORIES`."""

import asyncio
from collections.abc import Callable, Mapping

import pytest


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return getattr(item.module, "LOOP_FACTORIES", {"asyncio": asyncio.new_event_loop})
