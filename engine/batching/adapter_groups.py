"""The adapters of one worker: which it has, and the slots of whose turn it is."""

from collections.abc import Callable, Sequence

from engine.batching.adapter_turns import AdapterTurns
from engine.batching.request import StartRefused
from engine.batching.slot import Slot


def _no_change(_adapter: str) -> None:
    """A worker without adapters never changes them."""


class AdapterGroups:
    """`names` are the adapters beside the bare model ""; `use` sets one of them for every decode to come."""

    def __init__(
        self,
        names: Sequence[str] = (),
        use: Callable[[str], None] = _no_change,
        turns: AdapterTurns | None = None,
    ) -> None:
        self.names = tuple(names)
        self._use = use
        self._turns = turns or AdapterTurns()
        self._in_use = ""
        self.changes = 0

    def require(self, adapter: str) -> None:
        """Raises StartRefused for one that this worker has not loaded: another's answer would be a wrong one."""
        if adapter and adapter not in self.names:
            raise StartRefused("this worker has not loaded the adapter")

    def take_turn(self, generating: Sequence[Slot], prompting: Sequence[Slot]) -> tuple[list[Slot], list[Slot]]:
        """Those of the slots that the next batch is for, their adapter in use."""
        if not self.names:
            return list(generating), list(prompting)
        oldest_first = sorted([*generating, *prompting], key=lambda slot: slot.last_used)
        adapter = self._turns.choose([slot.running.adapter for slot in oldest_first])
        if adapter != self._in_use:
            self._use(adapter)
            self._in_use = adapter
            self.changes += 1
        return _of(generating, adapter), _of(prompting, adapter)

    def stepped(self, step_ns: int, rows: int) -> None:
        """The batch was computed."""
        self._turns.stepped(step_ns, rows)


def _of(slots: Sequence[Slot], adapter: str) -> list[Slot]:
    return [slot for slot in slots if slot.running.adapter == adapter]
