"""One queue for several gateways: at any time one of them decides for all, over Redis.

This gateway's part of it: who it is by now, and what happens when that changes. `OwnRequests` is the truth about its
own requests; the desk in use knows who decides, and can be thrown away at any moment. Rules:
 (1) Whoever holds the lease (`lease.lua`, renewed every `BEAT_S`) decides, for less than the lease's time from when it
     asked for it (`MARGIN_S`); everybody else follows. Each new holder has a higher epoch, which goes with every
     dispatch: a worker refuses what an overtaken holder decided, and Redis its letters.
 (2) Whoever decides next is told by each gateway what it has, before anything new. Nothing is stored.
 (3) Without Redis for `AWAY_S`, or without a word from a decider for `LED_S`, it decides alone, for its own requests,
     on its part of every target's slots (`slot_share`), and says so. It follows again as soon as a decider is heard.
 (4) A decision for a target that we cannot reach goes no further: the request is set aside (`own_requests`).
 (5) A letter that none of ours wrote is counted and dropped.

All that changes state is synchronous; the tasks only wait, send and receive.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from msgspec import Struct, structs

from gateway.clock import Clock
from gateway.limits.redis_link import RedisAway
from gateway.scheduling.deciding_desk import DecidingDesk
from gateway.scheduling.decision_times import DecisionTimes
from gateway.scheduling.following_desk import FollowingDesk
from gateway.scheduling.own_requests import ASIDE_S, OwnRequests
from gateway.scheduling.queue_letters import Decided, Foreign, Hail, Letter, Told
from gateway.scheduling.queue_outbox import QueueOutbox
from gateway.scheduling.redis_post import LEASE_S, Lease, LeaseLost
from gateway.scheduling.scheduler import CarryOut
from gateway.scheduling.shared_terms import Post, Terms
from gateway.scheduling.slot_share import own_part
from policies.admitting.effects import Dispatch, Effect, Forecast, Refuse
from policies.admitting.events import Left, QueueEvent, Tick
from policies.admitting.queue_view import QueueView, TargetView
from policies.admitting.ticket import TargetFacts

TICK_S = 0.25
BEAT_S = 0.5
"""A quarter of the lease: three may fail."""
RETRY_S = 0.1
MARGIN_S = 0.25
"""A holder stops so long before Redis gives its lease away: what it has just decided is on its way by then."""
AWAY_S = 0.5
EXPIRED_S = 0.01
"""After the end of a lease: then it is surely over."""
LED_S = 4.0
"""A holder that dies is followed within the lease's two seconds, and needs half a second to hear everybody."""
HAIL_KNOWN_S = 1.0

Role = Literal["deciding", "following", "alone", "waiting"]
Details = dict[str, str | int | float | bool]
Tell = Callable[[str, Details], None]


class SharedState(Struct, frozen=True, kw_only=True):
    """For status and metrics. `foreign` letters were not ours, `strays` late or about another's, `talks` begun anew."""

    role: Role
    epoch: int
    gateways: int
    foreign: int
    strays: int
    talks: int
    reason: str


class SharedQueue:
    """`gateway.scheduling.scheduler.Scheduler` over Redis; see the head of the module. `tell_of` hears when alone."""

    def __init__(self, clock: Clock, carry_out: CarryOut, post: Post, terms: Terms, tell_of: Tell) -> None:
        self._clock = clock
        self._carry_out = carry_out
        self._post = post
        self._terms = terms
        self._tell_of = tell_of
        self.decision_times = DecisionTimes()
        self._own = OwnRequests(terms.mask)
        self._desk: DecidingDesk | FollowingDesk | None = None
        self._role: Role = "waiting"
        self._known_epoch = 0
        self._present: tuple[str, ...] = (post.me,)
        self._lease_until_s = 0.0
        self._led_s = self._answered_s = self._alone_since_s = self._now_s()
        self._hails: dict[tuple[str, int], float] = {}
        self._reason = ""
        self._pause_s = RETRY_S
        self._outbox = QueueOutbox(post, terms.seal)
        self._foreign = self._strays = self._talks = 0
        self._talk = 0
        self._beat_now, self._letters_due = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # ---- the protocol

    async def start(self) -> None:
        """Listen, and find out who decides; return without it when Redis is away."""
        self._led_s = self._answered_s = self._now_s()
        opened = asyncio.Event()
        self._go(self._post.listen(self.hear, opened.set))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AWAY_S):
                await opened.wait()
        await self.beat()
        for act in (self._beat_in_time, self._tick_in_time, self._send_when_due):
            self._go(self._keep(act))

    async def close(self) -> None:
        """Leave: give the lease back, or tell who decides that we go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(RedisAway, LeaseLost):
            await self._outbox.leave(self._desk)
        await self._post.close()

    def tell(self, event: QueueEvent) -> None:
        """Something happened to one of our requests, or to a target that we see."""
        noted, now_s = self._own.note(event), self._now_s()
        self._end_of_lease(now_s)
        if noted is not None and self._desk is not None:
            with self.decision_times.measured():
                self._desk.take(noted, now_s)
        self._settle()

    def forecast(self, ticket_id: int) -> Forecast:
        """As last known here."""
        return self._desk.forecast(ticket_id, self._now_s()) if self._desk is not None else Forecast()

    def waiting(self, team: str | None = None) -> int:
        """How many of this gateway's own wait, of one team or in all."""
        return self._own.waiting(team)

    def targets(self) -> tuple[TargetView, ...]:
        """The targets that this gateway sees, with what it runs there."""
        return self._own.targets()

    def view(self) -> QueueView:
        """The whole queue, as who decides knows it; what is ours alone while nobody does."""
        view = self._desk.view(self._now_s()) if self._desk is not None else None
        if view is None:
            return structs.replace(
                NOTHING, targets=self._own.targets(), waiting=self._own.waiting(), reason=self._reason
            )
        return structs.replace(self._terms.mask.plain(view), reason=self._reason)

    @property
    def keeping(self) -> bool:
        """False when one of the tasks has ended, which only a fault of ours can do."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    def state(self) -> SharedState:
        """How things stand."""
        strays = self._strays + (self._desk.strays if self._desk is not None else 0)
        return SharedState(
            role=self._role,
            epoch=self._desk.epoch if self._desk is not None else 0,
            gateways=len(self._present),
            foreign=self._foreign,
            strays=strays,
            talks=self._talks,
            reason=self._reason,
        )

    # ---- what comes in

    def hear(self, channel: str, data: bytes) -> None:
        """One letter, to us or to everybody."""
        try:
            letter = self._terms.seal.read(channel, data)
        except Foreign:
            self._foreign += 1
            return
        if letter.sender != self._post.me:
            try:
                self._hear(letter, self._now_s())
                self._settle()
            except Exception as bug:  # noqa: BLE001 (whoever listens must go on)
                self._begin_anew(bug)

    def _hear(self, letter: Letter, now_s: float) -> None:
        desk = self._desk
        if isinstance(letter, Hail):
            self._hear_hail(letter, now_s)
        elif isinstance(letter, Told) and isinstance(desk, DecidingDesk) and letter.epoch == desk.epoch:
            desk.hear(letter, now_s)
        elif isinstance(letter, Decided) and isinstance(desk, FollowingDesk) and letter.epoch == desk.epoch:
            desk.hear(letter, now_s)
            self._led_s = max(self._led_s, desk.heard_s) if desk.is_heard else self._led_s
            if desk.is_heard:
                self._restored(now_s)
        else:
            self._strays += 1

    def _hear_hail(self, hail: Hail, now_s: float) -> None:
        if hail.over:
            self._beat_now.set()
        if hail.over or hail.epoch < self._known_epoch:
            return
        self._hails = {(hail.sender, hail.epoch): now_s}
        if self._role == "alone":
            self._beat_now.set()  # it is followed when Redis hears us too
        elif self._role == "waiting" or hail.epoch > self._known_epoch:
            self._follow(hail.sender, hail.epoch, now_s)

    # ---- who decides

    async def beat(self) -> None:
        """One heartbeat, and what follows from it."""
        sent_s = self._now_s()
        try:
            lease = await self._post.beat(self._known_epoch)
        except RedisAway as fault:
            self._unanswered(fault.reason, self._now_s())
        else:
            self._answered(lease, sent_s, self._now_s())
        self._settle()

    def _answered(self, lease: Lease, sent_s: float, now_s: float) -> None:
        self._answered_s = now_s
        self._present = lease.present or self._present
        self._pause_s = min(BEAT_S, max(RETRY_S, lease.left_s + EXPIRED_S)) if lease.holder else RETRY_S
        desk = self._desk
        if lease.holder == self._post.me:
            self._lease_until_s = sent_s + LEASE_S - MARGIN_S
            if self._role != "deciding" or desk is None or desk.epoch != lease.epoch:
                self._decide(lease.epoch, now_s)
        elif not lease.holder:
            self._step_down(now_s)
        elif self._is_news(lease) or self._is_hailed(lease, now_s):
            self._follow(lease.holder, lease.epoch, now_s)

    def _is_news(self, lease: Lease) -> bool:
        """Whether somebody decides whom we do not follow yet."""
        if isinstance(self._desk, FollowingDesk):
            return self._desk.epoch < lease.epoch
        return self._role != "alone"

    def _is_hailed(self, lease: Lease, now_s: float) -> bool:
        """Whether one who is alone hears the holder: the lease by itself decides nothing."""
        heard_s = self._hails.get((lease.holder, lease.epoch))
        return self._role == "alone" and heard_s is not None and now_s - heard_s <= HAIL_KNOWN_S

    def _unanswered(self, reason: str, now_s: float) -> None:
        self._pause_s = RETRY_S
        if self._role != "alone" and now_s - self._answered_s >= AWAY_S:
            self._go_alone(reason, now_s)

    def _decide(self, epoch: int, now_s: float) -> None:
        self._known_epoch = max(self._known_epoch, epoch)
        desk = DecidingDesk(self._terms.new_queue(), self._post.me, epoch, now_s, self._present)
        self._take_desk(desk, "deciding")
        desk.announce((self._own.bands, *self._own.announcement()), now_s)
        self._restored(now_s)
        self._outbox.hail_at_once()
        self._letters_due.set()

    def _follow(self, decider: str, epoch: int, now_s: float) -> None:
        """A new talk with who decides; it begins with all we have."""
        self._known_epoch = max(self._known_epoch, epoch)
        if self._role in ("alone", "waiting"):
            self._led_s = now_s
        self._talk, self._talks = self._talk + 1, self._talks + 1
        self._take_desk(FollowingDesk(self._post.me, decider, epoch, self._talk, self._own, now_s), "following")

    def _step_down(self, now_s: float) -> None:
        """We decide no longer; who does, the next heartbeat tells."""
        if self._role == "deciding":
            self._led_s = now_s
            self._take_desk(None, "waiting")
            self._beat_now.set()

    def _end_of_lease(self, now_s: float) -> None:
        """Whatever kept us from renewing it, this process may have stood still, nothing is decided after its time."""
        if self._role == "deciding" and now_s >= self._lease_until_s:
            self._step_down(now_s)

    def _go_alone(self, reason: str, now_s: float) -> None:
        self._reason, self._alone_since_s = reason, now_s
        gateways = max(self._terms.gateways, len(self._present))
        rank = sorted({*self._present, self._post.me}).index(self._post.me)

        def part_of(facts: TargetFacts) -> TargetFacts:
            return structs.replace(facts, slots=own_part(facts.slots, gateways, rank))

        desk = DecidingDesk(self._terms.new_queue(), self._post.me, 0, now_s, part_of=part_of)
        self._take_desk(desk, "alone")
        desk.announce((self._own.bands, *self._own.announcement()), now_s)
        self._tell_of("scheduler.degraded", {"reason": reason, "gateways": gateways})

    def _restored(self, now_s: float) -> None:
        if self._reason:
            away_s = round(now_s - self._alone_since_s, 3)
            self._tell_of("scheduler.restored", {"reason": self._reason, "away_s": away_s, "decides": self._role})
            self._reason = ""

    def _take_desk(self, desk: DecidingDesk | FollowingDesk | None, role: Role) -> None:
        """What the old one had decided and not yet said is dropped with it: our own requests know nothing of it."""
        if self._desk is not None:
            self._strays += self._desk.strays
        self._desk, self._role = desk, role

    # ---- what is carried out

    def _settle(self) -> None:
        """Carry out what was decided for ours, and see that letters go."""
        while self._desk is not None and (decided := self._desk.drain()):
            effects = [effect for each in decided if (effect := self._held(each)) is not None]
            if effects:
                self._carry_out(effects)
        if self._desk is not None and self._desk.has_letters():
            self._letters_due.set()

    def _held(self, effect: Effect) -> Effect | None:
        """The effect for the caller's own ticket; None when the ticket is not where the decider thinks it is."""
        ticket_id = effect.ticket.id
        if isinstance(effect, Dispatch):
            return self._held_dispatch(effect)
        if isinstance(effect, Refuse):
            ticket = self._own.refused(ticket_id)
        else:
            ticket = self._own.let_in(ticket_id, effect.forecast)
        return None if ticket is None else structs.replace(effect, ticket=ticket)

    def _held_dispatch(self, effect: Dispatch) -> Dispatch | None:
        """Rule (4)."""
        ticket_id, now_s = effect.ticket.id, self._now_s()
        if self._own.can_reach(effect.target):
            ticket = self._own.dispatched(ticket_id, effect.target)
            target = self._terms.mask.own_target(effect.target)
            return None if ticket is None else Dispatch(ticket, target, effect.fence)
        if self._own.set_aside(ticket_id, now_s + ASIDE_S) and self._desk is not None:
            self._desk.take(Left(ticket_id), now_s)
        return None

    # ---- time

    def tick(self) -> None:
        """Time passed."""
        now_s = self._now_s()
        desk = self._desk
        self._end_of_lease(now_s)
        if isinstance(desk, FollowingDesk) and desk.is_broken(now_s):
            self._follow(desk.decider, desk.epoch, now_s)
            self._beat_now.set()
        if self._role in ("following", "waiting") and now_s - self._led_s > LED_S:
            self._go_alone("no_decider", now_s)
        if self._desk is not None:
            for event in self._own.due(now_s):
                self._desk.take(event, now_s)
            with self.decision_times.measured():
                self._desk.take(Tick(), now_s)
        self._letters_due.set()
        self._settle()

    async def send(self) -> None:
        """Send what is due by now."""
        try:
            await self._send(self._desk)
        except RedisAway:
            self._beat_now.set()
        except LeaseLost:
            self._step_down(self._now_s())

    async def _send(self, desk: DecidingDesk | FollowingDesk | None) -> None:
        if isinstance(desk, FollowingDesk):
            if not await self._outbox.tell(desk, self._now_s()):
                self._beat_now.set()
        elif desk is not None and desk.epoch:
            for gateway in await self._outbox.decide(desk, self._now_s()):
                desk.drop(gateway, self._now_s())
            self._settle()

    # ---- tasks

    def _go(self, task: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(task))

    async def _keep(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`act` again and again. A bug in it costs what the desk knew, which is announced anew, and not the queue."""
        while True:
            try:
                await act()
            except Exception as bug:  # noqa: BLE001 (without these loops nothing would be decided any more)
                self._begin_anew(bug)

    async def _beat_in_time(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await self._beat_now.wait()
        self._beat_now.clear()
        await self.beat()

    async def _tick_in_time(self) -> None:
        await asyncio.sleep(TICK_S)
        self.tick()

    async def _send_when_due(self) -> None:
        await self._letters_due.wait()
        self._letters_due.clear()
        await self.send()

    def _begin_anew(self, bug: Exception) -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "the shared queue failed", "exception": bug})
        now_s = self._now_s()
        self._step_down(now_s)
        if isinstance(self._desk, FollowingDesk):
            self._follow(self._desk.decider, self._desk.epoch, now_s)

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9


NOTHING = QueueView(
    teams=(), pools=(), targets=(), waiting=0, running=0, bookings=0, admitted=0, refused=0, refused_late=0
)
