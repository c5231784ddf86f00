"""The queue: who waits, who runs where, who is turned away and when to come back. Decides; carries nothing out.

Theory of operation. Events come in, each with `now_s`; effects go out; one dispatcher carries them out. The machine
holds tickets and targets and no I/O:

    waiting --dispatch--> running --ended--> gone
       |  ^                  |
       |  +---slot_taken-----+
       +--left / refused--> gone

Rules.
 (1) A pool is all targets that serve one model for one kind of call. Pools that share a target compete for it:
     together they are a domain, and a free slot goes to the fairest of all that wait for it.
 (2) Order: the band (`bands`), in it the team with the least counter (`standings`), in the team the earliest
     deadline. What a request costs is slot-seconds (`rates`), charged at dispatch, settled at the end.
 (3) A request is refused at its arrival when the calibrated quantile of its predicted wait, and its time to first
     token, exceed its promise (`prediction`, `wait_quantiles`); again when it is about to run or overdue,
     if by then the promise cannot be kept. With a slot free and nobody waiting no wait is predicted; a domain in
     which nothing runs takes anything, so that no estimate can shut the door for good.
 (4) Whoever is refused gets a booking (`bookings`): the first moment at which its team's share has room. With a
     booking the median decides at its return instead of the quantile, and it stands in line by when it first asked.
 (5) A target never gets more than its slots. Its worker has the last word: `SlotTaken` puts the ticket back at its
     place, and the target gets nothing until it reports a free slot or a second passed.
 (6) What waits is bounded, in all and for each team.
 (7) A pool without a living target keeps its waiters for `RETURN_GRACE_S`, then refuses them; one that never was, or
     that failed, is refused at once. A target that is loaded on demand counts as living.
 (8) On a target that loads what it serves (an upstream with many models), requests for what is loaded go first for
     as long as a load takes, never beyond the deadline of the one passed over (`turns`).
 (9) A ticket that must run alone has its turn as any other, and then one target for itself (`lone_row`).
 (10) Where a target has to be renewed for another tenant, the team whose ticket causes it is charged for all of the
     target's slots for as long as that takes, and gets nothing of it back: else two tenants in turn would hold the
     machine for the price of their tokens.
 (11) A refusal at arrival leaves nothing behind but its booking and its mark in the figures for operators.

Times are seconds of one monotonic clock; a clock set back stands still here until it catches up.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import structs

from policies.admitting import events as happened
from policies.admitting.bands import Bands
from policies.admitting.effects import Dispatch, Effect, Forecast, Refuse, Waits
from policies.admitting.events import QueueEvent
from policies.admitting.knowledge import Knowledge
from policies.admitting.outlook import Outlook
from policies.admitting.queue_figures import QueueFigures
from policies.admitting.queue_view import QueueView, TargetView
from policies.admitting.target import TAKEN_PAUSE_S, Domain, Running, Target, domains
from policies.admitting.team_account import TeamAccount, Waiting
from policies.admitting.ticket import NO_GUARANTEE, Bounds, PoolKey, RefusalReason, Served, Ticket
from policies.admitting.tuning import Tuning
from policies.admitting.turns import next_turn

RESTART_S = 1.0
"""When to come back to a pool without targets: a worker restarts in about a second."""


class Queue:
    """The machine. `handle` takes one event and returns the effects it causes, in order."""

    def __init__(self, *, tuning: Tuning | None = None) -> None:
        self._known = Knowledge(tuning or Tuning())
        self._figures = QueueFigures()
        self._targets: dict[str, Target] = {}
        self._domains: dict[PoolKey, Domain] = {}
        self._waiting: dict[int, Waiting] = {}
        self._running: dict[int, Running] = {}
        self._aside: dict[int, Target] = {}  # of those that wait, whose turn it was and who wait for an empty target
        self._now_s = 0.0
        self._handlers: dict[type, Callable[[Any, float], list[Effect]]] = {
            happened.Arrived: self._arrived,
            happened.Resumed: self._resumed,
            happened.Left: self._left,
            happened.Began: self._began,
            happened.Grew: self._grew,
            happened.Ended: self._ended,
            happened.SlotTaken: self._slot_taken,
            happened.Stepped: self._stepped,
            happened.TargetReady: self._target_ready,
            happened.TargetLost: self._target_lost,
            happened.BandsChanged: self._bands_changed,
            happened.Tick: self._tick,
        }

    def handle(self, event: QueueEvent, now_s: float) -> list[Effect]:
        """Take in what happened; the effects are to be carried out in order."""
        self._now_s = self._moment(now_s)
        return self._handlers[type(event)](event, self._now_s)

    # ---- questions

    def predict(self, ticket: Ticket, now_s: float) -> Forecast:
        """What `ticket` would be told if it came now. Changes nothing."""
        domain = self._domains.get(ticket.pool)
        return Forecast() if domain is None else Outlook(self._known, domain, ticket, self._moment(now_s)).forecast()

    def forecast(self, ticket_id: int, now_s: float) -> Forecast:
        """What is left of a waiting ticket's wait; an empty forecast for one that does not wait."""
        waiting = self._waiting.get(ticket_id)
        domain = self._domains.get(waiting.ticket.pool) if waiting else None
        if waiting is None or domain is None:
            return Forecast()
        return Outlook(self._known, domain, waiting.ticket, self._moment(now_s)).forecast(waiting)

    def waiting(self, team: str | None = None) -> int:
        """How many tickets wait, of one team or in all."""
        if team is None:
            return len(self._waiting)
        account = self._known.accounts.get(team)
        return account.waiting() if account else 0

    def position(self, ticket_id: int) -> int:
        """The ticket's place among its own team's waiters of its line, 1 first; 0 when it does not wait."""
        if ticket_id in self._aside:
            return 1
        waiting = self._waiting.get(ticket_id)
        line = self._known.account(waiting.ticket).line_of(waiting.ticket) if waiting else None
        return line.before(waiting.order)[0] + 1 if waiting and line else 0

    def targets(self) -> tuple[TargetView, ...]:
        """All targets ever announced, in order of announcement."""
        return self._figures.targets(self._targets.values(), self._now_s)

    def view(self, now_s: float) -> QueueView:
        """All of it, for operators."""
        running = self._running.values()
        return self._figures.view(self._known, self._targets.values(), running, self.predict, self._moment(now_s))

    def _moment(self, now_s: float) -> float:
        """The later of now and what came before; what is no moment (a NaN, infinity) is left out."""
        return now_s if self._now_s < now_s < math.inf else self._now_s

    # ---- a request comes and goes

    def _arrived(self, event: happened.Arrived, now_s: float) -> list[Effect]:
        ticket, bounds = event.ticket, event.bounds
        if self._is_known(ticket):
            return []
        domain = self._domains.get(ticket.pool)
        if domain is not None:  # figures are kept of pools that there are
            self._figures.arrived(ticket, now_s)
        if domain is None or not self._may_run(ticket.pool, now_s):
            return [self._refused(ticket, "no_capacity", RESTART_S, Forecast())]
        outlook = Outlook(self._known, domain, ticket, now_s)
        outlook.account.bookings.forget_lapsed(now_s)
        forecast = outlook.forecast()
        reason = self._reason_against(outlook, bounds, forecast)
        if reason is not None:
            return [self._refused(ticket, reason, outlook.book(), forecast)]
        if not ticket.enforced and outlook.breaks_promise(forecast):
            forecast = structs.replace(forecast, would_refuse=True)
        asked_s = outlook.account.bookings.asked_s(ticket.identity, now_s)
        waiting = Waiting(ticket, outlook.price.cost_s, outlook.price.uncached_tokens, forecast, asked_s)
        waiting.since_s = now_s
        self._let_in(waiting, domain, now_s)
        effects = self._dispatch(domain, now_s)
        return [*effects, Waits(ticket, forecast)] if ticket.id in self._waiting else effects

    def _resumed(self, event: happened.Resumed, now_s: float) -> list[Effect]:
        """Another gateway's queue let it in: no promise is judged again before its turn."""
        ticket = event.ticket
        if self._is_known(ticket):
            return []
        domain = self._domains.get(ticket.pool)
        if domain is None:
            return [self._refused(ticket, "no_capacity", RESTART_S, Forecast())]
        price = self._known.price(ticket, domain)
        waiting = Waiting(ticket, price.cost_s, price.uncached_tokens, Forecast())
        target = self._targets.get(event.target)
        self._let_in(waiting, domain, now_s)
        if target is not None:
            self._start(waiting, target, domain, now_s)
            self._running[ticket.id].output_tokens = event.output_tokens
        return self._dispatch(domain, now_s)

    def _left(self, event: happened.Left, now_s: float) -> list[Effect]:
        waiting = self._waiting.pop(event.id, None)
        if waiting is not None:
            kept = self._withdraw(waiting)
            return [] if kept is None else self._dispatch_all(kept.facts.pools, now_s)
        running = self._running.get(event.id)
        if running is None:
            return []
        return self._release(running, now_s - running.since_s, now_s)  # it cost the time that it held the slot

    def _began(self, event: happened.Began, now_s: float) -> list[Effect]:
        running = self._running.get(event.id)
        if running is not None and running.began_s is None:
            running.began_s = now_s
            running.began_full = self._domain_of(running).room(now_s) == 0
            if not running.target.facts.swaps:
                self._learn_first_token(running, now_s)
        return []

    def _grew(self, event: happened.Grew, now_s: float) -> list[Effect]:  # noqa: ARG002 (as all handlers)
        running = self._running.get(event.id)
        if running is not None:
            running.output_tokens = max(event.output_tokens, running.output_tokens)
        return []

    def _ended(self, event: happened.Ended, now_s: float) -> list[Effect]:
        """Its time, tokens and load are learnt from, and its team is charged what it cost."""
        running, served = self._running.get(event.id), _believable(event.served)
        if running is None:
            return []
        ticket, rates = running.ticket, self._known.rates_to_learn(running.ticket.pool)
        is_full = self._domain_of(running).room(now_s) <= 1
        if running.began_s is not None:
            if running.target.facts.swaps:  # its end tells how much of the time before was a load
                self._learn_first_token(running, running.began_s - served.load_s)
            rates.ended(served.output_tokens, now_s - running.began_s, full=is_full)
        if ticket.kind != "embedding":
            self._known.lengths.add(ticket, served.output_tokens)
        running.target.swapped(served.load_s)
        self._figures.served(running, served, now_s)
        uncached_tokens = max(served.prompt_tokens - served.cached_tokens, 0)
        return self._release(running, rates.cost_s(uncached_tokens, served.output_tokens), now_s)

    def _slot_taken(self, event: happened.SlotTaken, now_s: float) -> list[Effect]:
        """Back to its place, and what was charged is given back."""
        running = self._running.get(event.id)
        if running is None:
            return []
        running.target.free_again_s = now_s + TAKEN_PAUSE_S
        domain = self._domain_of(running)
        waiting = Waiting(running.ticket, running.charged_s, running.uncached_tokens, running.forecast, running.asked_s)
        self._stop(running, 0.0, now_s)
        self._let_in(waiting, domain, now_s, again=True)
        return self._dispatch(domain, now_s)

    # ---- targets

    def _stepped(self, event: happened.Stepped, now_s: float) -> list[Effect]:
        """A step also tells when a target that had no slot has one again."""
        target = self._targets.get(event.target)
        if target is None:
            return []
        target.stepped(event.step)
        if target.free_again_s <= now_s or event.step.busy_slots >= target.facts.slots:
            return []
        target.free_again_s = now_s
        return self._dispatch_all(target.facts.pools, now_s)

    def _target_ready(self, event: happened.TargetReady, now_s: float) -> list[Effect]:
        target = self._targets.setdefault(event.facts.id, Target(event.facts))
        target.announced(event.facts, now_s)
        self._back_in_line(target)
        self._join()
        return self._dispatch_all(event.facts.pools, now_s)

    def _target_lost(self, event: happened.TargetLost, now_s: float) -> list[Effect]:
        target = self._targets.setdefault(event.facts.id, Target(event.facts))
        target.lost(event.facts, now_s)
        self._back_in_line(target)
        self._join()
        return self._dispatch_all(target.facts.pools, now_s)  # with fewer slots, fewer of the free ones are kept

    def _bands_changed(self, event: happened.BandsChanged, now_s: float) -> list[Effect]:
        self._known.bands = Bands(event.bands)
        return self._dispatch_all(self._domains, now_s)

    def _tick(self, _event: happened.Tick, now_s: float) -> list[Effect]:
        """Time passed: refuse what cannot be kept any more or waits in vain, and try targets that were left alone."""
        effects: list[Effect] = [self._drop(each, "expired_in_queue", now_s) for each in self._overdue(now_s)]
        for target in {id(each): each for each in self._aside.values() if each.lone.waits_in_vain(now_s)}.values():
            effects += [self._drop(each, "expired_in_queue", now_s) for each in list(target.lone.waiting)]
        lost = {pool for pool in self._pools_waited_for() if not self._may_run(pool, now_s)}
        vain = [each for each in self._waiting.values() if each.ticket.pool in lost] if lost else []
        effects += [self._drop(each, "no_capacity", now_s) for each in vain]
        return effects + self._dispatch_all(self._domains, now_s)

    # ---- decisions

    def _reason_against(self, outlook: Outlook, bounds: Bounds, forecast: Forecast) -> RefusalReason | None:
        """Why a newcomer is turned away; None when it is let in."""
        ticket = outlook.ticket
        if ticket.expires_s is not None and ticket.expires_s <= self._now_s:
            return "deadline_unreachable"
        if forecast.position and len(self._waiting) >= bounds.total:
            return "queue_full"
        if forecast.position and self.waiting(ticket.team) >= bounds.team:
            return "team_queue_full"
        return "deadline_unreachable" if ticket.enforced and outlook.breaks_promise(forecast) else None

    def _is_hopeless(self, waiting: Waiting, now_s: float) -> bool:
        """Whether the promise cannot be kept any more even if it ran now."""
        ticket = waiting.ticket
        if ticket.expires_s is not None and ticket.expires_s <= now_s:
            return True
        if (
            ticket.promise_s is None
            or not ticket.enforced
            or not self._known.tuning.checks_again
            or now_s <= waiting.since_s  # just let in: judged as a newcomer, who may run where nothing runs
        ):
            return False
        first_token_s = self._known.rates(ticket.pool).until_first_token_s(waiting.uncached_tokens)
        return now_s - ticket.arrived_s + first_token_s > ticket.promise_s

    def _overdue(self, now_s: float) -> list[Waiting]:
        """Those whose deadline has passed."""
        return [each for each in self._waiting.values() if each.deadline_s <= now_s]

    def _is_known(self, ticket: Ticket) -> bool:
        """Whether it waits or runs already: told of twice it would stand in two places."""
        return ticket.id in self._waiting or ticket.id in self._running

    def _pools_waited_for(self) -> set[PoolKey]:
        return {pool for each in self._known.accounts.values() for pool, _ in each.lines}

    def _may_run(self, pool: PoolKey, now_s: float) -> bool:
        domain = self._domains.get(pool)
        return domain is not None and any(each.may_return(now_s) for each in domain.of(pool))

    # ---- moves

    def _let_in(self, waiting: Waiting, domain: Domain, now_s: float, *, again: bool = False) -> None:
        """Into its line; a team that comes back is brought up to the others first."""
        ticket = waiting.ticket
        account = self._known.accounts.setdefault(ticket.team, self._known.account(ticket))
        if not again and not account.waits_in(ticket.band, domain.pools):
            reach = self._known.reach(account, ticket, domain, waiting.cost_s)
            domain.standings.join(account, ticket.band, self._known.rivals(ticket, domain), *reach)
        account.weight, account.band = ticket.weight, ticket.own_band or ticket.band
        account.bookings.drop(ticket.identity)
        if not again:
            account.asked(ticket.pool, waiting.cost_s, now_s)
        account.add(waiting)
        self._waiting[ticket.id] = waiting

    def _dispatch_all(self, pools: Iterable[PoolKey], now_s: float) -> list[Effect]:
        found = {id(self._domains[pool]): self._domains[pool] for pool in pools if pool in self._domains}
        return [effect for domain in found.values() for effect in self._dispatch(domain, now_s)]

    def _dispatch(self, domain: Domain, now_s: float) -> list[Effect]:
        """Give out free slots while somebody may have one."""
        effects: list[Effect] = []
        while (turn := next_turn(self._known, domain, now_s)) is not None:
            waiting, target = turn
            if self._is_hopeless(waiting, now_s):
                effects.append(self._drop(waiting, "expired_in_queue", now_s))
            elif waiting.ticket.alone:
                self._set_aside(waiting, target, now_s)
            else:
                effects.append(self._start(waiting, target, domain, now_s))
        return effects + self._start_alone(domain, now_s) if self._aside else effects

    def _set_aside(self, waiting: Waiting, target: Target, now_s: float) -> None:
        """It has its turn: that target is its own as soon as nothing else runs there."""
        self._known.accounts[waiting.ticket.team].remove(waiting)
        self._aside[waiting.ticket.id] = target
        target.lone.add(waiting, now_s)

    def _start_alone(self, domain: Domain, now_s: float) -> list[Effect]:
        found = [(target, target.next_alone(now_s)) for target in domain.targets]
        return [self._start(waiting, target, domain, now_s) for target, waiting in found if waiting is not None]

    def _withdraw(self, waiting: Waiting) -> Target | None:
        """Out of its line, or of the row of the target that is returned."""
        target = self._aside.pop(waiting.ticket.id, None)
        if target is None:
            self._known.account(waiting.ticket).remove(waiting)
        else:
            kept_s = target.lone.to_charge_s(self._now_s) if target.is_ready else 0.0
            self._charge(Running(waiting.ticket, target, self._now_s, 0.0), kept_s, self._now_s)
            target.lone.remove(waiting)
        return target

    def _back_in_line(self, target: Target) -> None:
        """Those that cannot run alone on that target any more need another turn."""
        for waiting in list(target.lone.waiting):
            if not target.is_ready or waiting.ticket.pool not in target.facts.pools:
                self._withdraw(waiting)
                self._known.account(waiting.ticket).add(waiting)

    def _start(self, waiting: Waiting, target: Target, domain: Domain, now_s: float) -> Dispatch:
        ticket, account = waiting.ticket, self._known.accounts[waiting.ticket.team]
        del self._waiting[ticket.id]
        self._withdraw(waiting)
        self._learn_wait(account, waiting, domain, now_s)
        target.account(now_s)
        if ticket.alone:
            target.lone.started()
        price = self._known.price(ticket, domain)  # anew: what was measured while it waited counts
        running = Running(ticket, target, now_s, price.cost_s)
        running.uncached_tokens = float(max(ticket.prompt_tokens - target.prefixes.matched_tokens(ticket.blocks), 1))
        running.forecast, running.asked_s = waiting.forecast, waiting.asked_s
        self._running[ticket.id] = target.running[ticket.id] = running
        account.started(ticket)
        self._charge(running, price.cost_s, now_s)
        if renewal_s := target.renewal_s(ticket):
            self._charge_slots(running, renewal_s * max(target.facts.slots, 1), now_s)
        target.prefixes.remember(ticket.blocks)
        target.resident, target.tenant = ticket.pool, ticket.tenant
        self._figures.dispatched(ticket)
        return Dispatch(ticket, target.facts.id, forecast=waiting.forecast)

    def _learn_wait(self, account: TeamAccount, waiting: Waiting, domain: Domain, now_s: float) -> None:
        account.learn_wait(waiting, now_s - waiting.ticket.arrived_s, self._known.quantile(domain), now_s)

    def _learn_first_token(self, running: Running, began_s: float) -> None:
        rates = self._known.rates_to_learn(running.ticket.pool)
        rates.began(running.uncached_tokens, began_s - running.since_s, full=running.began_full)

    def _charge(self, running: Running, slot_seconds: float, now_s: float) -> None:
        """For its slot, or for all of its target's where it runs alone."""
        slots = max(running.target.facts.slots, 1) if running.ticket.alone else 1
        self._charge_slots(running, slot_seconds * slots, now_s)

    def _charge_slots(self, running: Running, slot_seconds: float, now_s: float) -> None:
        """To the team's counter, and between the bands that wait."""
        domain, ticket = self._domain_of(running), running.ticket
        weighted = slot_seconds * running.target.facts.slot_weight
        self._known.accounts[ticket.team].charge(weighted, now_s)
        lines = (item for each in self._known.accounts.values() for item in each.lines.items())
        bands = {line.head().guaranteed_band for (pool, _), line in lines if pool in domain.pools}
        bands -= {NO_GUARANTEE}
        self._known.bands.charge(ticket.guaranteed_band, weighted, bands, domain.standings.deficits)

    def _release(self, running: Running, cost_s: float, now_s: float) -> list[Effect]:
        """It runs no more; settle, and give its slot to the next."""
        self._stop(running, cost_s, now_s)
        return self._dispatch_all(running.target.facts.pools, now_s)

    def _stop(self, running: Running, cost_s: float, now_s: float) -> None:
        running.target.account(now_s)
        if running.ticket.alone:
            running.target.lone.stopped(now_s)
        del self._running[running.ticket.id], running.target.running[running.ticket.id]
        self._known.accounts[running.ticket.team].stopped(running.ticket)
        self._charge(running, cost_s - running.charged_s, now_s)

    def _drop(self, waiting: Waiting, reason: RefusalReason, now_s: float) -> Refuse:
        """Refuse one that waits."""
        ticket, account = waiting.ticket, self._known.accounts[waiting.ticket.team]
        del self._waiting[ticket.id]
        self._withdraw(waiting)
        domain = self._domains.get(ticket.pool)
        if domain is None or reason == "no_capacity":
            return self._refused(ticket, reason, RESTART_S, waiting.forecast)
        self._learn_wait(account, waiting, domain, now_s)
        self._figures.refused_late()
        return self._refused(ticket, reason, Outlook(self._known, domain, ticket, now_s).book(), waiting.forecast)

    def _refused(
        self, ticket: Ticket, reason: RefusalReason, retry_after_s: float | None, forecast: Forecast
    ) -> Refuse:
        self._figures.refused()
        return Refuse(ticket, reason, retry_after_s, structs.replace(forecast, position=0))

    def _domain_of(self, running: Running) -> Domain:
        """Where it competes; its own target alone once that serves its model no more."""
        return self._domains.get(running.ticket.pool) or Domain([running.target])

    def _join(self) -> None:
        """Find out anew which targets compete for the same work; who was how far there is kept."""
        before, self._domains = self._domains, {}
        taken: set[int] = set()
        for domain in domains(self._targets.values()):
            known = {id(before[pool].standings): before[pool].standings for pool in domain.pools if pool in before}
            if len(known) == 1 and known.keys().isdisjoint(taken):
                taken |= known.keys()
                domain.standings = next(iter(known.values()))
            else:  # new, joined of several, or split off
                lines = [key for each in self._known.accounts.values() for key in (*each.lines, *each.running)]
                domain.standings.begin_anew(self._known.accounts.values(), {band for _, band in lines})
            self._domains.update(dict.fromkeys(domain.pools, domain))


def _believable(served: Served) -> Served:
    """An upstream's count below zero is taken as none: it would give its team credit."""
    return structs.replace(
        served,
        prompt_tokens=max(served.prompt_tokens, 0),
        cached_tokens=max(served.cached_tokens, 0),
        output_tokens=max(served.output_tokens, 0),
    )
