"""The own pool as an `Engine`: one link to each worker and preparer of the plan."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from engine.errors import ModelNotReady, WorkerDied
from engine.frames import Counters
from engine.interface import Observer, Prepared
from engine.links.call_frames import with_system
from engine.links.preparer_link import PreparerLink
from engine.links.worker_link import WorkerLink
from engine.plan import Plan
from policies.call import Call, Event, ModelCard, ModelDescription

COUNTERS_TIMEOUT_S = 1.0  # a worker answers between steps; one that is in a long step is left out this time


def _draw_seed() -> int:
    """31 bits: llama.cpp takes 2**32 - 1 for "no seed given"."""
    return secrets.randbits(31)


class Pool:
    """`Engine` over the processes of `plan`. `draw_seed` gives the seed of a call that names none."""

    def __init__(self, plan: Plan, draw_seed: Callable[[], int] = _draw_seed) -> None:
        self._plan = plan
        self._draw_seed = draw_seed
        self._workers: dict[str, WorkerLink] = {}
        self._preparers: dict[str, PreparerLink] = {}

    async def start_up(self, observer: Observer) -> None:
        """Begin to connect to every process; each worker is announced when it has loaded."""
        for process in self._plan.processes:
            if process.role == "preparer":
                self._preparers[process.model] = PreparerLink(process)
            else:
                worker = WorkerLink(process, observer)
                self._workers[worker.target] = worker
                worker.introduce()
        for link in self._links():
            link.open()

    async def close(self) -> None:
        """End all connections; what still runs ends with WorkerDied."""
        await asyncio.gather(*(link.close() for link in self._links()))

    def models(self) -> tuple[ModelCard, ...]:
        """The plan's cards, with the capabilities that the model files themselves show once read."""
        return tuple(map(self._card, self._plan.cards))

    async def describe(self, model: str) -> ModelDescription:
        """What `/api/show` tells beyond the card. Raises EngineError."""
        return await self._preparer(model).describe()

    async def prepare(self, call: Call) -> Prepared:
        """`call` as token ids. Raises EngineError."""
        system = next((card.system for card in self._plan.cards if card.name == call.model), "")
        return await self._preparer(call.model).prepare(with_system(call, system))

    def run(self, target: str, prepared: Prepared, fence: int = 0) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Stream `prepared` from the worker `target`. Raises EngineError, SlotTaken before the first event."""
        worker = self._workers.get(target)
        return _gone() if worker is None else worker.run(prepared, self._draw_seed(), fence)

    async def counters(self) -> dict[str, Counters]:
        """Totals by target, of the workers that answered in time."""
        workers = list(self._workers.values())
        answers = await asyncio.gather(*map(_counters, workers))
        return {worker.target: answer for worker, answer in zip(workers, answers, strict=True) if answer is not None}

    # ---- inside

    def _links(self) -> list[WorkerLink | PreparerLink]:
        return [*self._preparers.values(), *self._workers.values()]

    def _card(self, card: ModelCard) -> ModelCard:
        preparer = self._preparers.get(card.name)
        if preparer is None or preparer.capabilities is None:
            return card
        return msgspec.structs.replace(card, capabilities=preparer.capabilities)

    def _preparer(self, model: str) -> PreparerLink:
        try:
            return self._preparers[model]
        except KeyError:
            raise ModelNotReady("model_not_in_plan") from None


@asynccontextmanager
async def _gone() -> AsyncIterator[AsyncIterator[Event]]:
    """The run on a target that this pool does not have."""
    raise WorkerDied("target_unknown")
    yield  # makes this a generator


async def _counters(worker: WorkerLink) -> Counters | None:
    try:
        return await asyncio.wait_for(worker.counters(), COUNTERS_TIMEOUT_S)
    except (WorkerDied, TimeoutError):
        return None
