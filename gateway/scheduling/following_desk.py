"""The desk of a gateway for which another decides: what it tells that one, and which of its letters it takes.

No I/O, no clock. Rules:
 (1) First it announces everything it has, then it tells what happens, in order: one talk, its letters numbered.
 (2) Only letters of this talk count, in their order. After a gap, when asked to, or when nothing came for `SILENT_S`,
     the talk is broken: another one begins with an announcement. What the lost letters said is in what is announced.
 (3) It writes at least every tick, so that a lost letter is noticed by the next. How long answers are, and steps,
     wait for a tick, or for what must be told at once.
 (4) What was lent to it (free slots, while nobody waits) it gives to newcomers at once and tells so, for as long as it
     hears the decider at least every `LENT_S`; but not where one of several targets may have cached their prefix, and
     not to one that must run alone. What it used and the decider had not heard of is not lent twice.
"""

from collections import Counter, deque

from gateway.scheduling.deciding_desk import UPSTREAM
from gateway.scheduling.own_requests import OwnRequests
from gateway.scheduling.queue_letters import MAX_EVENTS, Decided, Go, No, Stay, Told
from gateway.scheduling.ticket_mask import sent
from policies.admitting.effects import Dispatch, Effect, Forecast, Refuse, Waits
from policies.admitting.events import Arrived, BandsChanged, Grew, QueueEvent, Resumed, Stepped, Tick
from policies.admitting.queue_view import QueueView
from policies.admitting.ticket import Ticket

SILENT_S = 1.0
"""Four letters missed."""
PATIENT = (Grew, Stepped)
LENT_S = 0.5
"""Two letters missed; well below the lease."""


class FollowingDesk:
    """See the head of the module."""

    def __init__(self, me: str, decider: str, epoch: int, talk: int, own: OwnRequests, now_s: float) -> None:
        self.decider = decider
        self.epoch = epoch
        self.talk = talk
        self.strays = 0
        self.is_heard = False
        self.heard_s = now_s
        self.last_view: QueueView | None = None
        self._me = me
        self._own = own
        self._out: list[QueueEvent] = own.announcement()
        self._announced = False
        self._sent = self._read = 0
        self._due = self._is_urgent = True
        self._is_broken = False
        self._asks: dict[int, None] = {}
        self._steps_of: frozenset[str] = frozenset()
        self._lent: dict[str, int] = {}
        self._used: deque[tuple[int, str]] = deque()
        self._mine: list[Effect] = []

    def is_broken(self, now_s: float) -> bool:
        """Whether another talk must begin."""
        return self._is_broken or now_s - self.heard_s > SILENT_S

    # ---- what happens here

    def take(self, event: QueueEvent, now_s: float) -> None:
        """One event of our own, masked."""
        match event:
            case Tick():
                self._due = True
                return
            case BandsChanged():
                return
            case Stepped() if event.target not in self._steps_of and not event.target.startswith(UPSTREAM):
                return
            case Arrived() if target := self._lent_slot(event.ticket, now_s):
                # The letter that will carry it, counted from where the queue of letters stands.
                self._used.append((self._sent + len(self._out) // MAX_EVENTS, target))
                self._mine.append(Dispatch(event.ticket, target, self.epoch))
                event = Resumed(event.ticket, target)
        self._out.append(event)
        self._is_urgent = self._is_urgent or not isinstance(event, PATIENT) or len(self._out) >= MAX_EVENTS

    def drain(self) -> list[Effect]:
        """What was decided for our own tickets since the last call."""
        effects, self._mine = self._mine, []
        return effects

    def forecast(self, ticket_id: int, now_s: float) -> Forecast:  # noqa: ARG002 (as the deciding desk)
        """What was last heard; it is asked for anew."""
        if len(self._asks) < MAX_EVENTS:
            self._asks[ticket_id] = None
        return self._own.forecast(ticket_id)

    def view(self, now_s: float) -> QueueView | None:  # noqa: ARG002
        """The queue as its decider told it last."""
        return self.last_view

    def _lent_slot(self, ticket: Ticket, now_s: float) -> str:
        """A target for it at once, "" when it has to be asked for. The newcomer is the one of ours that may wait."""
        if ticket.alone or not self._lent or now_s - self.heard_s > LENT_S or self._own.waiting() > 1:
            return ""
        targets = self._own.serving(ticket.pool)
        if len(targets) > 1 and ticket.blocks:
            return ""  # who decides knows which of them has cached its prefix: worth more than the way there
        used = Counter(target for _, target in self._used)
        left = {name: self._lent.get(name, 0) - used[name] for name in targets}
        best = max(left, key=lambda name: left[name], default="")
        return best if best and left[best] > 0 else ""

    # ---- letters

    def letters(self, now_s: float) -> list[tuple[str, Told]]:
        """What is to be sent by now."""
        letters = []
        while self.has_letters():
            batch, self._out = self._out[:MAX_EVENTS], self._out[MAX_EVENTS:]
            asks, self._asks = tuple(self._asks), {}
            told = Told(
                sender=self._me,
                epoch=self.epoch,
                talk=self.talk,
                seq=self._sent,
                events=tuple(sent(event, now_s) for event in batch),
                announced=not self._announced and not self._out,
                asks=asks if self._announced else (),
            )
            self._announced = self._announced or told.announced
            self._sent, self._due, self._is_urgent = self._sent + 1, False, bool(self._out)
            letters.append((self.decider, told))
        return letters

    def has_letters(self) -> bool:
        """Whether `letters` would give any."""
        return self._is_urgent or self._due

    def farewell(self) -> tuple[str, Told]:
        """The last letter: we leave."""
        return self.decider, Told(sender=self._me, epoch=self.epoch, talk=self.talk, seq=self._sent, leaving=True)

    def hear(self, decided: Decided, now_s: float) -> None:
        """One letter to us of this epoch."""
        if decided.talk != self.talk or decided.sender != self.decider:
            self.strays += 1
            return
        if decided.again:
            self._is_broken = True
        if self._is_broken or decided.seq < self._read:
            return
        if decided.seq > self._read:
            self._is_broken = True
            return
        self._read += 1
        self.is_heard, self.heard_s = True, now_s
        while self._used and self._used[0][0] < decided.heard:
            self._used.popleft()
        self._lent, self._steps_of = decided.lent, frozenset(decided.steps_of)
        self.last_view = decided.view or self.last_view
        self._mine += [effect for each in decided.decisions if (effect := self._effect(each)) is not None]

    def _effect(self, decision: Go | Stay | No) -> Effect | None:
        """The decision for our ticket; None for one that is gone."""
        ticket = self._own.masked(decision.id)
        if ticket is None:
            return None
        if isinstance(decision, Go):
            return Dispatch(ticket, decision.target, self.epoch)
        if isinstance(decision, No):
            return Refuse(ticket, decision.reason, decision.retry_after_s, decision.forecast)
        return Waits(ticket, decision.forecast)
