"""The desk of the gateway that decides for all: one queue, and for every gateway what it told and what it is told.

Decides what of the gateways' letters reaches the queue, and in which order. No I/O, no clock. Rules:
 (1) Nothing is given out before every gateway present has announced what it has, or `GATHER_S` passed: slots are in
     use that only their gateways know of. Then the queue learns, in this order, of targets (not yet ready), of what
     runs, of what waits, that the targets are ready, and of all that happened meanwhile.
 (2) A ticket belongs to the gateway that told of it. What another says about it is counted in `strays` and forgotten.
 (3) Letters of a talk are taken in their order. After a gap the gateway is asked to announce everything `again`; what
     is then announced replaces what was known: what is missing has left, what waits there and runs here never began.
 (4) A gateway that was silent for `SILENT_S`, left, or cannot be reached, is gone: what it had waiting and running
     leaves the queue. Should it live after all, it announces itself again.
 (5) What a target is, and who tells of its steps, several gateways decide together (`seen_targets`).
 (6) While nobody waits, every other gateway may give a part of the free slots to newcomers unasked; what it began is
     charged when it tells. The moment somebody waits that ends. It lends nothing where a band keeps slots for itself.

A desk of a gateway that is `alone` is the same with epoch 0 and nobody else; `part_of` is then its part of a target.
"""

from collections.abc import Callable, Iterable

from msgspec import structs

from gateway.scheduling.conversation import UNANSWERED, Conversation, Place, decision_of, stage_of
from gateway.scheduling.queue_letters import Decided, Decision, No, Stay, Told
from gateway.scheduling.seen_targets import SeenTargets
from gateway.scheduling.ticket_mask import received
from policies.admission import Queue
from policies.admitting.effects import Dispatch, Effect, Forecast, Refuse
from policies.admitting.events import (
    Arrived,
    BandsChanged,
    Began,
    Ended,
    Grew,
    Left,
    QueueEvent,
    Resumed,
    SlotTaken,
    Stepped,
    TargetLost,
    TargetReady,
    Tick,
)
from policies.admitting.queue_view import QueueView
from policies.admitting.ticket import TargetFacts

GATHER_S = 0.5
"""A gateway that hears of a new decider announces within milliseconds; a busy machine adds some."""
SILENT_S = 2.0
"""Eight letters missed."""
VIEW_EVERY_S = 1.0
UPSTREAM = "upstream:"
"""An upstream reports each request of a gateway's own as a step: all of them are news."""


class DecidingDesk:
    """See the head of the module. `expected`: the gateways present; `drain` gives the effects for our own tickets."""

    def __init__(
        self,
        queue: Queue,
        me: str,
        epoch: int,
        now_s: float,
        expected: Iterable[str] = (),
        part_of: Callable[[TargetFacts], TargetFacts] = lambda facts: facts,
    ) -> None:
        self.queue = queue
        self.epoch = epoch
        self.strays = 0
        self._me = me
        self._part_of = part_of
        self._expected = set(expected) - {me}
        self._gather_until_s = now_s + GATHER_S if self._expected else now_s
        self._meanwhile: list[tuple[str, QueueEvent]] | None = []
        self._talks: dict[str, Conversation] = {}
        self._unknown: dict[str, int] = {}
        self._places: dict[int, Place] = {}
        self._seen = SeenTargets(me)
        self._lends = True
        self._mine: list[Effect] = []
        self._view: QueueView | None = None
        self._view_s = now_s - VIEW_EVERY_S

    # ---- what happens here

    def announce(self, events: Iterable[QueueEvent], now_s: float) -> None:
        """What this gateway itself has; decides at once when nobody else is expected."""
        for event in events:
            self._hold_or_take(self._me, event, now_s)
        self._begin_when_whole(now_s)

    def take(self, event: QueueEvent, now_s: float) -> None:
        """One event of our own, masked."""
        if isinstance(event, Tick):
            self._pass_time(now_s)
        else:
            self._hold_or_take(self._me, event, now_s)

    def drain(self) -> list[Effect]:
        """What was decided for our own tickets since the last call."""
        effects, self._mine = self._mine, []
        return effects

    def forecast(self, ticket_id: int, now_s: float) -> Forecast:
        """Of one of our own."""
        return self.queue.forecast(ticket_id, now_s)

    def view(self, now_s: float) -> QueueView:
        """The queue, by its decider's name."""
        decider = self._me if self.epoch else ""
        return structs.replace(self.queue.view(now_s), decided_by=decider, epoch=self.epoch)

    # ---- what others tell

    def hear(self, told: Told, now_s: float) -> None:
        """One letter to us of this epoch."""
        talk = self._talks.get(told.sender)
        if talk is None or told.talk > talk.talk:
            if told.seq:
                self._unknown[told.sender] = told.talk
                return
            talk = self._open(told, now_s)
        if told.talk < talk.talk or told.seq < talk.heard:
            self.strays += 1
            return
        talk.heard_s = now_s
        if told.leaving:
            self.drop(told.sender, now_s)
        elif told.seq > talk.heard:
            talk.lost = talk.due = True
        elif not talk.lost:
            self._read(talk, told, now_s)

    def drop(self, gateway: str, now_s: float) -> None:
        """That gateway is gone, and with it all that it had."""
        if gateway not in self._talks:
            return
        self._expected.discard(gateway)
        if self._meanwhile is not None:
            self._meanwhile = [(each, event) for each, event in self._meanwhile if each != gateway]
        self._seen.forget(gateway)
        self._tell_targets(self._seen.names(), now_s)
        had = {id_: place.target for id_, place in self._places.items() if place.gateway == gateway}
        for ticket_id in sorted(had, key=lambda id_: bool(had[id_])):  # first what waits: no slot is for them
            self._forget(ticket_id, now_s)
        del self._talks[gateway]
        self._begin_when_whole(now_s)

    def gateways(self) -> tuple[str, ...]:
        """Those that we decide for, ourselves first."""
        return (self._me, *sorted(self._talks))

    # ---- what they are told

    def letters(self, now_s: float) -> list[tuple[str, Decided]]:
        """What is to be sent by now, by gateway."""
        letters = [
            (gateway, self._letter_to(gateway, talk, now_s)) for gateway, talk in self._talks.items() if talk.due
        ]
        for gateway, number in self._unknown.items():
            letters.append((gateway, Decided(sender=self._me, epoch=self.epoch, talk=number, seq=0, again=True)))
        self._unknown.clear()
        return letters

    def has_letters(self) -> bool:
        """Whether `letters` would give any."""
        return bool(self._unknown) or any(talk.due for talk in self._talks.values())

    def _letter_to(self, gateway: str, talk: Conversation, now_s: float) -> Decided:
        talk.lent = self._lent_to(gateway)
        letter = Decided(
            sender=self._me,
            epoch=self.epoch,
            talk=talk.talk,
            seq=talk.sent,
            heard=talk.heard,
            decisions=tuple(talk.decisions),
            again=talk.lost,
            lent=talk.lent,
            steps_of=self._seen.reported_by(gateway),
            view=self._newest_view(now_s),
        )
        talk.sent, talk.decisions, talk.due = talk.sent + 1, [], False
        return letter

    def _newest_view(self, now_s: float) -> QueueView | None:
        """Once a second: it goes to everybody in the same round."""
        if now_s - self._view_s >= VIEW_EVERY_S:
            self._view, self._view_s = self.view(now_s), now_s
            for talk in self._talks.values():
                talk.due = True
        return self._view if now_s == self._view_s else None

    def _lent_to(self, gateway: str) -> dict[str, int]:
        """Rule (6): the free slots of each target it sees, in equal parts for all, ours among them."""
        if not self._lends or self._meanwhile is not None or self.queue.waiting():
            return {}
        lent = {}
        for target in self.queue.targets():
            can_use = target.ready and not target.kept and self._seen.is_ready_for(gateway, target.id)
            part = (target.slots - target.running) // (len(self._talks) + 1) if can_use else 0
            if part > 0:
                lent[target.id] = part
        return lent

    def _call_back(self) -> None:
        """Somebody waits: whatever was lent ends now."""
        for talk in self._talks.values():
            talk.due = talk.due or bool(talk.lent)

    # ---- letters, one by one

    def _open(self, told: Told, now_s: float) -> Conversation:
        """A new talk; what the gateway had is kept until it has announced what it has."""
        self._seen.forget(told.sender)
        before = {id_: place.target for id_, place in self._places.items() if place.gateway == told.sender}
        self._talks[told.sender] = talk = Conversation(told.talk, now_s, before)
        return talk

    def _read(self, talk: Conversation, told: Told, now_s: float) -> None:
        talk.heard += 1
        talk.due = talk.due or bool(told.asks) or not all(isinstance(event, UNANSWERED) for event in told.events)
        events = [received(event, now_s) for event in told.events]
        if talk.announced:
            for event in events:
                self._hold_or_take(told.sender, event, now_s)
            talk.decisions += [Stay(each, self.queue.forecast(each, now_s)) for each in told.asks]
            return
        talk.told += events
        if told.announced:
            talk.announced = True
            self._take_announcement(told.sender, talk, now_s)
            self._begin_when_whole(now_s)

    def _take_announcement(self, gateway: str, talk: Conversation, now_s: float) -> None:
        """Rule (3). What was decided since the talk began holds: the gateway will hear of it in this talk."""
        events, before = talk.told, talk.before
        talk.told, talk.before = [], {}
        claims = {each.ticket.id: getattr(each, "target", "") for each in events if isinstance(each, Arrived | Resumed)}
        decided = {id_ for id_ in before if id_ not in self._places}
        wrong = {id_: target for id_, target in before.items() if claims.get(id_) != target and id_ not in decided}
        for ticket_id in [id_ for id_, target in wrong.items() if not target]:
            self._forget(ticket_id, now_s)
        news = [each for each in events if not (isinstance(each, Arrived | Resumed) and each.ticket.id in decided)]
        if self._meanwhile is not None:
            self._meanwhile += [(gateway, event) for event in news]
        else:
            self._take_in([(gateway, event) for event in news], [id_ for id_, target in wrong.items() if target], now_s)

    # ---- to the queue

    def _begin_when_whole(self, now_s: float) -> None:
        if self._meanwhile is None:
            return
        missing = [each for each in self._expected if each not in self._talks or not self._talks[each].announced]
        if not missing or now_s >= self._gather_until_s:
            self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        """Rule (1)."""
        held, self._meanwhile = self._meanwhile or [], None
        self._take_in(held, [], now_s)
        for talk in self._talks.values():
            talk.due = True

    def _take_in(self, told: list[tuple[str, QueueEvent]], gone: list[int], now_s: float) -> None:
        """In the order of rule (1); the slots of those `gone` are free once it is known what else runs."""
        for gateway, event in told:
            if isinstance(event, TargetReady | TargetLost):
                self._seen.note(gateway, event)
        for seen in self._seen.untold():
            self._handle(TargetLost(self._part_of(seen.facts)), now_s)
        running, waiting, rest = ([each for each in told if stage_of(each[1]) == stage] for stage in range(3))
        for each in running:
            self._take(*each, now_s)
        for ticket_id in gone:
            self._forget(ticket_id, now_s)
        for each in waiting:
            self._take(*each, now_s)
        self._tell_targets(self._seen.names(), now_s)
        for each in rest:
            self._take(*each, now_s)

    def _hold_or_take(self, gateway: str, event: QueueEvent, now_s: float) -> None:
        if self._meanwhile is None:
            self._take(gateway, event, now_s)
        else:
            self._meanwhile.append((gateway, event))

    def _take(self, gateway: str, event: QueueEvent, now_s: float) -> None:
        """Rule (2): what may be told by that gateway, to the queue."""
        match event:
            case Arrived() | Resumed():
                self._take_ticket(gateway, event, now_s)
            case Began() | Grew() | SlotTaken() | Ended() | Left():
                self._take_change(gateway, event, now_s)
            case Stepped():
                if event.target.startswith(UPSTREAM) or event.target in self._seen.reported_by(gateway):
                    self._handle(event, now_s)
            case TargetReady() | TargetLost():
                self._seen.note(gateway, event)
                self._tell_targets([event.facts.id], now_s)
            case BandsChanged() if gateway == self._me:
                self._lends = all(each.lends for each in event.bands)
                self._handle(event, now_s)
            case _:
                self.strays += 1

    def _take_ticket(self, gateway: str, event: Arrived | Resumed, now_s: float) -> None:
        ticket = event.ticket
        place = self._places.get(ticket.id)
        if ticket.owner != gateway:
            self.strays += 1
        elif place is not None and place.gateway != gateway:
            self._refuse_twin(gateway, ticket.id)
        elif place is None:
            self._places[ticket.id] = Place(gateway, event.target if isinstance(event, Resumed) else "")
            self._handle(event, now_s)
        elif isinstance(event, Arrived) and not place.target and gateway != self._me:
            # It was let in by us, and our answer was lost.
            self._decide_for(gateway, Stay(ticket.id, self.queue.forecast(ticket.id, now_s)))

    def _refuse_twin(self, gateway: str, ticket_id: int) -> None:
        """Two processes drew the same numbers for their tickets, once in four million: the later one is turned away."""
        self.strays += 1
        if gateway != self._me:
            self._decide_for(gateway, No(ticket_id, "no_capacity", VIEW_EVERY_S, Forecast()))

    def _take_change(self, gateway: str, event: Began | Grew | SlotTaken | Ended | Left, now_s: float) -> None:
        place = self._places.get(event.id)
        if place is None or place.gateway != gateway:
            self.strays += 1
            return
        if isinstance(event, Ended | Left):
            del self._places[event.id]
        elif isinstance(event, SlotTaken):
            place.target = ""
        self._handle(event, now_s)

    def _forget(self, ticket_id: int, now_s: float) -> None:
        del self._places[ticket_id]
        self._handle(Left(ticket_id), now_s)

    def _handle(self, event: QueueEvent, now_s: float) -> None:
        waited = self.queue.waiting()
        for effect in self.queue.handle(event, now_s):
            self._route(effect)
        if not waited and self.queue.waiting():
            self._call_back()

    def _route(self, effect: Effect) -> None:
        ticket_id = effect.ticket.id
        place = self._places[ticket_id]
        if isinstance(effect, Dispatch):
            place.target = effect.target
            effect = structs.replace(effect, fence=self.epoch)
        elif isinstance(effect, Refuse):
            del self._places[ticket_id]
        if place.gateway == self._me:
            self._mine.append(effect)
        else:
            self._decide_for(place.gateway, decision_of(effect))

    def _decide_for(self, gateway: str, decision: Decision) -> None:
        talk = self._talks[gateway]
        talk.decisions.append(decision)
        talk.due = True

    # ---- targets

    def _tell_targets(self, names: Iterable[str], now_s: float) -> None:
        """What the gateways see of these, where it is news."""
        if self._meanwhile is None:
            for event in self._seen.news(names):
                self._handle(self._own_part(event), now_s)

    def _own_part(self, event: TargetReady | TargetLost) -> TargetReady | TargetLost:
        return structs.replace(event, facts=self._part_of(event.facts))

    # ---- time

    def _pass_time(self, now_s: float) -> None:
        for gateway in [name for name, talk in self._talks.items() if now_s - talk.heard_s > SILENT_S]:
            self.drop(gateway, now_s)
        self._begin_when_whole(now_s)
        if self._meanwhile is None:
            self._handle(Tick(), now_s)
        for talk in self._talks.values():
            talk.due = True
