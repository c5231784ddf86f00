"""A way in over HTTP: a server that is started and ended with it, and the one client process that asks it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from bench.engine.http_streams import HttpStreams
from bench.engine.sample import Sample
from bench.engine.way import Setting
from bench.engine.workload import Load, Prompt


class ServedWay(ABC):
    """A `Way`. What `_begin` enters on `_stack` ends with it, the last first."""

    name: str

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undone:
            undone.push(self._stack)
            self._client = self._stack.enter_context(self._begin())
            undone.pop_all()
        return self

    def __exit__(self, *fault: object) -> None:
        self._stack.close()

    @abstractmethod
    def _begin(self) -> HttpStreams:
        """Start the server and answer what asks it. Raises CannotRun."""

    @abstractmethod
    def pids(self) -> list[int]:
        """The processes that serve."""

    def offers(self, load: Load) -> str:  # noqa: ARG002
        """Every load."""
        return ""

    def run(self, load: Load, prompts: Sequence[Prompt], number: int) -> Sample:
        """The load's requests, until every answer is there."""
        return self._client.run(self.name, load, prompts, number)
