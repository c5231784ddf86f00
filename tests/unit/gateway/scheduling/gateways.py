"""Some gateways over one fake post and one pool that counts, moved by hand."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from gateway.scheduling.queue_letters import Seal
from gateway.scheduling.shared_queue import SharedQueue
from gateway.scheduling.shared_terms import Terms
from gateway.scheduling.ticket_mask import Mask
from policies.admitting.effects import Dispatch, Effect, Refuse, Waits
from policies.admitting.events import Arrived, Began, Ended, Left, SlotTaken, TargetLost, TargetReady
from policies.admitting.ticket import Bounds, Served, Ticket
from tests.counted_pool import MODEL, CountedPool
from tests.fakes import ManualClock
from tests.post_office import PostOffice

PEPPER = b"p" * 32
BOUNDS = Bounds(1000, 1000)


def ticket(id_: int, team: str = "t", arrived_s: float = 0.0, **values: Any) -> Ticket:
    """A small request."""
    known = {"model": MODEL, "kind": "chat", "prompt_tokens": 10, "output_cap": 10} | values
    return Ticket(id=id_, team=team, arrived_s=arrived_s, **known)


class Gateway:
    """One gateway: its queue, and its callers as far as the queue knows of them."""

    def __init__(self, office: PostOffice, pool: CountedPool, name: str, number: int, site: str = "here") -> None:
        self.name = name
        self.office = office
        self.pool = pool
        self.post = office.post(name)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.effects: list[Effect] = []
        self.open: dict[int, Ticket] = {}
        self.running: dict[int, Ticket] = {}
        self.refused: Counter[str] = Counter()
        self._later: list[Any] = []
        self._next = number << 41
        mask = Mask(PEPPER, name, site, lambda target: f"{target}@{site}")
        terms = Terms(mask=mask, seal=Seal(PEPPER))
        self.queue = SharedQueue(office.clock, self.carry_out, self.post, terms, self._tell_of)
        self.stopped = self.dead = False

    async def begin(self) -> "Gateway":
        self.post.listen_now(self.queue.hear)
        await self.queue.beat()
        self.queue.tell(TargetReady(self.pool.facts))
        return self

    def _tell_of(self, event: str, details: dict[str, Any]) -> None:
        self.told.append((event, details))

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            assert effect.ticket == self.open[effect.ticket.id], "the caller's own ticket comes back"
            if isinstance(effect, Dispatch):
                assert effect.target == self.pool.facts.id
                assert effect.ticket.id not in self.running, "dispatched twice"
                self.running[effect.ticket.id] = effect.ticket
                self._later.append(effect)
            elif isinstance(effect, Refuse):
                assert effect.ticket.id not in self.running
                self.refused[effect.reason] += 1
                del self.open[effect.ticket.id]
            else:
                assert isinstance(effect, Waits)

    def work(self) -> bool:
        """Take what was dispatched to the worker; whether there was anything."""
        later, self._later = self._later, []
        for effect in later:
            if effect.ticket.id not in self.running:
                continue  # its caller left meanwhile
            if self.pool.start(effect.ticket, effect.fence):
                self.queue.tell(Began(effect.ticket.id))
            else:
                del self.running[effect.ticket.id]
                self.queue.tell(SlotTaken(effect.ticket.id))
        return bool(later)

    def ask(self, team: str = "t", **values: Any) -> int:
        self._next += 1
        made = ticket(self._next, team, self.office.now_s(), **values)
        self.open[made.id] = made
        self.queue.tell(Arrived(made, BOUNDS))
        return made.id

    def end(self, id_: int | None = None) -> None:
        """One that the worker runs comes to its end."""
        chosen = id_ if id_ is not None else next((each for each in self.running if each in self.pool.busy), None)
        if chosen is not None:
            self._stop(chosen, whole=True)
            self.queue.tell(Ended(chosen, Served(10, 0, 5)))

    def leave(self, id_: int) -> None:
        """Its caller goes."""
        self._stop(id_, whole=False)
        self.queue.tell(Left(id_))

    def lose_target(self) -> None:
        self.queue.tell(TargetLost(self.pool.facts))

    def _stop(self, id_: int, *, whole: bool) -> None:
        made = self.open.pop(id_)
        self.running.pop(id_, None)
        if id_ in self.pool.busy:
            self.pool.end(made, 1.0, whole=whole)

    def waiting(self) -> int:
        return len(self.open) - len(self.running)


class Gateways:
    """All of them. A stopped one does nothing, a killed one is gone with its connections."""

    def __init__(self, slots: int = 2) -> None:
        self.clock = ManualClock()
        self.office = PostOffice(self.clock)
        self.pool = CountedPool(slots)
        self.all: list[Gateway] = []

    async def join(self, name: str, **values: Any) -> Gateway:
        gateway = await Gateway(self.office, self.pool, name, len(self.all) + 1, **values).begin()
        self.all.append(gateway)
        await self.settle()
        return gateway

    def going(self) -> list[Gateway]:
        return [each for each in self.all if not each.stopped]

    async def settle(self) -> None:
        """Until nothing is under way; letters due in the next tick are not."""
        for _ in range(200):
            busy = False
            for gateway in self.going():
                desk = gateway.queue._desk
                if desk is not None and desk.has_letters():
                    await gateway.queue.send()
                    busy = True
                busy = gateway.work() or busy
                if gateway.queue._beat_now.is_set():
                    gateway.queue._beat_now.clear()
                    await gateway.queue.beat()
                    busy = gateway.name not in self.office.away
            if not self.office.deliver() and not busy:
                return
        raise AssertionError("it does not settle")

    async def pass_time(self, seconds: float, step_s: float = 0.25) -> None:
        """Ticks, and a heartbeat at every second one."""
        for number in range(round(seconds / step_s)):
            self.clock.move(step_s)
            for gateway in self.going():
                if number % 2:
                    await gateway.queue.beat()
                gateway.queue.tick()
                await gateway.queue.send()
            await self.settle()

    def kill(self, gateway: Gateway) -> None:
        """SIGKILL: its connections close, to Redis and to the workers."""
        gateway.stopped = gateway.dead = True
        self.office.posts.pop(gateway.name, None)
        for id_ in list(gateway.running):
            gateway._stop(id_, whole=False)
