"""The own pool as an `Engine`: one link to each worker and preparer of the plan, and one to the loader.

The loader (the supervisor's) loads what is waited for; this side only says what that is.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from engine.errors import ModelNotReady, WorkerDied
from engine.frames import Counters
from engine.interface import Observer, Prepared
from engine.links.call_frames import with_system
from engine.links.loader_link import LoaderLink
from engine.links.picture_budget import PictureBudget
from engine.links.preparer_link import PreparerLink
from engine.links.worker_link import WorkerCount, WorkerLink
from engine.plan import Plan
from engine.residency import Group, Residence
from policies.call import Call, CallKind, Event, ModelCard, ModelDescription

COUNTERS_TIMEOUT_S = 1.0  # a worker answers between steps; one that is in a long step is left out this time


def _draw_seed() -> int:
    """31 bits: llama.cpp takes 2**32 - 1 for "no seed given"."""
    return secrets.randbits(31)


class Pool:
    """`Engine` over the processes of `plan`. `draw_seed` gives the seed of a call that names none.

    `loader_socket` is where the loader listens; without one every worker is taken to be loaded for good. `name` is
    this gateway's process, under which the workers count what it starts.
    """

    isolates = True
    has_listed = True  # the plan names them

    def __init__(
        self, plan: Plan, draw_seed: Callable[[], int] = _draw_seed, loader_socket: str = "", name: str = ""
    ) -> None:
        self._plan = plan
        self._name = name
        self._on_count: Callable[[WorkerCount], None] = lambda _count: None
        self._draw_seed = draw_seed
        self._pictures = PictureBudget()
        self._workers: dict[str, WorkerLink] = {}
        self._preparers: dict[str, PreparerLink] = {}
        self._loader = LoaderLink(loader_socket, self._stand) if loader_socket else None
        self._residences: tuple[Residence, ...] = ()

    async def start_up(self, observer: Observer) -> None:
        """Begin to connect to every process; each worker is announced when it has loaded."""
        for process in self._plan.processes:
            if process.role == "preparer":
                self._preparers[process.model] = PreparerLink(process)
            else:
                worker = WorkerLink(process, observer, self._say_away, self._name, self._hear_count)
                self._workers[worker.target] = worker
                worker.introduce()
        for link in self._links():
            link.open()
        if self._loader is not None:
            self._loader.open()

    async def close(self) -> None:
        """End all connections; what still runs ends with WorkerDied."""
        if self._loader is not None:
            await self._loader.close()
        await asyncio.gather(*(link.close() for link in self._links()))

    def models(self) -> tuple[ModelCard, ...]:
        """The plan's cards, with the capabilities that the model files themselves show once read."""
        return tuple(map(self._card, self._plan.cards))

    async def describe(self, model: str) -> ModelDescription:
        """What `/api/show` tells beyond the card. Raises EngineError."""
        return await self._preparer(self._base(model)).describe()

    async def prepare(self, call: Call) -> Prepared:
        """`call` as token ids. Raises EngineError."""
        system = next((card.system for card in self._plan.cards if card.name == (call.adapter or call.model)), "")
        prepared = await self._preparer(call.model).prepare(with_system(call, system))
        self._pictures.admit(prepared.images, call.cache_scope)
        return prepared

    def run(self, target: str, prepared: Prepared, fence: int = 0) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Stream `prepared` from the worker `target`. Raises EngineError, SlotTaken before the first event."""
        worker = self._workers.get(target)
        return _gone() if worker is None else worker.run(prepared, self._draw_seed(), fence)

    async def counters(self) -> dict[str, Counters]:
        """Totals by target, of the workers that answered in time."""
        workers = list(self._workers.values())
        answers = await asyncio.gather(*map(_counters, workers))
        return {worker.target: answer for worker, answer in zip(workers, answers, strict=True) if answer is not None}

    def subscribe_counts(self, hear: Callable[[WorkerCount], None]) -> None:
        """`hear` what `ask_counts` asked for, and the last counts of every worker that ends."""
        self._on_count = hear

    def ask_counts(self) -> int:
        """Ask every worker that is there, and tell how many; the answers come when each is between two steps."""
        return sum(worker.ask_count() for worker in self._workers.values())

    # ---- loading

    def want(self, waited_for: Iterable[tuple[str, CallKind]]) -> None:
        """All that requests wait for now, model and kind of call; models of others are left out."""
        if self._loader is not None:
            own = {process.model for process in self._plan.processes}
            self._loader.want(frozenset(_group(model, kind) for model, kind in waited_for if model in own))

    def keep(self, model: str, seconds: float) -> None:
        """A hint of a caller who may give it: how long from now the model shall stay loaded, 0 not at all."""
        if self._loader is not None:
            self._loader.keep(self._base(model), seconds)

    def answers_take(self, longest_s: float) -> None:
        """How long an answer may take by the policy in force: a worker that leaves has to have gone by then."""
        if self._loader is not None:
            self._loader.answers_take(longest_s)

    def residences(self) -> tuple[Residence, ...]:
        """How it is with every worker, as the loader said last; empty when it has said nothing."""
        return self._residences

    # ---- inside

    def _hear_count(self, count: WorkerCount) -> None:
        self._on_count(count)

    def _stand(self, residences: tuple[Residence, ...]) -> None:
        self._residences = residences
        known = {each.name: each for each in residences}
        for worker in self._workers.values():
            worker.stand(known.get(worker.plan.name))

    def _say_away(self) -> None:
        if self._loader is not None:
            self._loader.away(frozenset(each.plan.name for each in self._workers.values() if each.stays))

    def _links(self) -> list[WorkerLink | PreparerLink]:
        return [*self._preparers.values(), *self._workers.values()]

    def _card(self, card: ModelCard) -> ModelCard:
        preparer = self._preparers.get(card.parent or card.name)
        if preparer is None or preparer.capabilities is None:
            return card
        able = tuple(each for each in preparer.capabilities if not (card.parent and each == "embedding"))
        return msgspec.structs.replace(card, capabilities=able)

    def _base(self, name: str) -> str:
        """The model whose processes serve this name: an adapter's is its base."""
        return next((card.parent for card in self._plan.cards if card.name == name and card.parent), name)

    def _preparer(self, model: str) -> PreparerLink:
        try:
            return self._preparers[model]
        except KeyError:
            raise ModelNotReady("model_not_in_plan") from None


def _group(model: str, kind: CallKind) -> Group:
    return model, "embedding" if kind == "embedding" else "chat"


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
