"""The queue's figures for operators and for capacity planning. Nothing here takes part in a decision."""

from collections.abc import Callable, Iterable

from policies.admitting.effects import Forecast
from policies.admitting.fading import Fading
from policies.admitting.knowledge import Knowledge
from policies.admitting.queue_view import PoolView, QueueView, TargetView, TeamView
from policies.admitting.target import Running, Target
from policies.admitting.team_account import SHARE_MEMORY_S, TeamAccount
from policies.admitting.ticket import PoolKey, Served, Ticket

PRESENT_SLOT_S = 0.01
"""A team whose charges have faded below this is not shown."""


class Spread:
    """Mean and squared coefficient of variation of what was seen lately."""

    def __init__(self) -> None:
        self._first = Fading(SHARE_MEMORY_S)
        self._second = Fading(SHARE_MEMORY_S)

    def add(self, sample: float, now_s: float) -> None:
        """Take one in."""
        self._first.add(sample, now_s)
        self._second.add(sample * sample, now_s)

    @property
    def mean(self) -> float:
        """0 before anything was seen."""
        return self._first.mean()

    @property
    def count(self) -> float:
        """How many it still remembers. A faded mean of so many is as exact as a plain one of twice as many."""
        return self._first.count

    @property
    def cv2(self) -> float:
        """Variance over the mean's square."""
        mean = self._first.mean()
        return max(0.0, self._second.mean() / mean**2 - 1) if mean > 0 else 0.0


class PoolFigures:
    """What was measured in one pool."""

    def __init__(self) -> None:
        self.service = Spread()
        self.gaps = Spread()
        self.prompt = Spread()
        self.output = Spread()
        self.arrivals = Fading(SHARE_MEMORY_S)
        self.samples = 0
        self.promise_s = 0.0
        self.last_arrival_s: float | None = None
        self.first_arrival_s: float | None = None

    def arrived(self, ticket: Ticket, now_s: float) -> None:
        """Somebody asked."""
        if self.last_arrival_s is None:
            self.first_arrival_s = now_s
        else:
            self.gaps.add(now_s - self.last_arrival_s, now_s)
        self.last_arrival_s = now_s
        self.arrivals.add(1.0, now_s)
        if ticket.promise_s is not None:
            self.promise_s = min(self.promise_s or ticket.promise_s, ticket.promise_s)

    def served(self, running: Running, served: Served, now_s: float) -> None:
        """Somebody was served."""
        self.samples += 1
        self.service.add(now_s - running.since_s, now_s)
        self.prompt.add(float(max(served.prompt_tokens - served.cached_tokens, 0)), now_s)
        self.output.add(float(served.output_tokens), now_s)

    def arrivals_per_s(self, now_s: float) -> float:
        """Over about the last ten minutes, or since the first arrival where that is less long ago."""
        if self.first_arrival_s is None or now_s <= self.first_arrival_s:
            return 0.0
        rate, since_s = self.arrivals.rate_per_s(now_s), now_s - self.first_arrival_s
        return rate if since_s > 3 * SHARE_MEMORY_S else self.arrivals.total(now_s) / _seen(since_s)


def _seen(since_s: float) -> float:
    """The weight of a steady stream of 1/s that began `since_s` ago."""
    steps = Fading(SHARE_MEMORY_S)
    steps.add(SHARE_MEMORY_S, 0.0)
    return max(SHARE_MEMORY_S - steps.total(since_s), 1e-9)


class QueueFigures:
    """Counters since the start, and what fades."""

    def __init__(self) -> None:
        self._pools: dict[PoolKey, PoolFigures] = {}
        self._admitted = 0
        self._refused = 0
        self._refused_late = 0

    def arrived(self, ticket: Ticket, now_s: float) -> None:
        """Somebody asked, whatever becomes of it."""
        self._pools.setdefault(ticket.pool, PoolFigures()).arrived(ticket, now_s)

    def dispatched(self, _ticket: Ticket) -> None:
        """Somebody got a slot."""
        self._admitted += 1

    def refused(self) -> None:
        """Somebody was turned away."""
        self._refused += 1

    def refused_late(self) -> None:
        """One that had waited is about to be turned away."""
        self._refused_late += 1

    def served(self, running: Running, served: Served, now_s: float) -> None:
        """The work of a request is over."""
        self._pools.setdefault(running.ticket.pool, PoolFigures()).served(running, served, now_s)

    def targets(self, targets: Iterable[Target], now_s: float) -> tuple[TargetView, ...]:
        """All of them."""
        return tuple(
            TargetView(
                id=each.facts.id,
                slots=each.facts.slots,
                running=len(each.running),
                ready=each.is_ready,
                utilisation=each.utilisation(now_s),
                load_s=each.load_s,
                decode_s=each.decode.rows(),
                kept=each.lone.is_kept,
                models=tuple(sorted({adapter or model for model, adapter, _ in each.facts.pools})),
            )
            for each in targets
        )

    def view(
        self,
        known: Knowledge,
        targets: Iterable[Target],
        running: Iterable[Running],
        predict: Callable[[Ticket, float], Forecast],
        now_s: float,
    ) -> QueueView:
        """All of it."""
        targets, running = list(targets), list(running)
        accounts = [each for each in known.accounts.values() if _is_present(each, now_s)]
        newcomers = _Newcomers(self._pools, predict, now_s)
        return QueueView(
            teams=tuple(_team(each, accounts, newcomers, now_s) for each in accounts),
            pools=tuple(self._pool(known, pool, targets, running, now_s) for pool in self._pools),
            targets=self.targets(targets, now_s),
            waiting=sum(each.waiting() for each in known.accounts.values()),
            running=len(running),
            bookings=sum(len(each.bookings) for each in known.accounts.values()),
            admitted=self._admitted,
            refused=self._refused,
            refused_late=self._refused_late,
        )

    def _pool(
        self, known: Knowledge, pool: PoolKey, targets: list[Target], running: list[Running], now_s: float
    ) -> PoolView:
        figures, rates = self._pools[pool], known.rates(pool)
        lines = (item for account in known.accounts.values() for item in account.lines.items())
        own = [each for each in targets if each.is_ready and pool in each.facts.pools]
        return PoolView(
            model=pool[0],
            adapter=pool[1],
            kind=pool[2],
            waiting=sum(len(line) for (of_pool, _), line in lines if of_pool == pool),
            running=sum(each.ticket.pool == pool for each in running),
            slots=sum(each.facts.slots for each in own),
            prefill_s_per_token=rates.prefill_s,
            first_token_s_per_token=rates.first_token_s,
            decode_s_per_token=rates.decode_s,
            service_s=figures.service.mean,
            service_cv2=figures.service.cv2,
            arrivals_per_s=figures.arrivals_per_s(now_s),
            arrival_cv2=figures.gaps.cv2,
            prompt_tokens=figures.prompt.mean,
            output_tokens=figures.output.mean,
            samples=min(figures.samples, round(2 * figures.service.count)),
            promise_s=figures.promise_s,
            targets=tuple(each.facts.id for each in own),
        )


class _Newcomers:
    """What a newcomer of a team would be told now: of the pool where that team is, or else of the one asked most."""

    def __init__(
        self, pools: dict[PoolKey, PoolFigures], predict: Callable[[Ticket, float], Forecast], now_s: float
    ) -> None:
        self._pools = sorted(pools, key=lambda pool: -pools[pool].arrivals.total(now_s))
        self._predict = predict
        self._now_s = now_s

    def told(self, account: TeamAccount) -> Forecast:
        """Of a request of that team."""
        own = [pool for pool, _ in (*account.lines, *account.running)] or self._pools
        if not own:
            return Forecast()
        model, adapter, kind = own[0]
        ticket = Ticket(
            id=0,
            model=model,
            adapter=adapter,
            kind=kind,
            team=account.name,
            arrived_s=self._now_s,
            weight=account.weight,
            band=account.band,
        )
        return self._predict(ticket, self._now_s)


def _is_present(account: TeamAccount, now_s: float) -> bool:
    return account.is_active() or account.served.total(now_s) > PRESENT_SLOT_S


def _team(account: TeamAccount, present: list[TeamAccount], newcomers: _Newcomers, now_s: float) -> TeamView:
    told = newcomers.told(account)
    charged = sum(max(each.served.total(now_s), 0.0) for each in present)
    return TeamView(
        name=account.name,
        band=account.band,
        weight=account.weight,
        waiting=account.waiting(),
        running=sum(account.running.values()),
        backlog_slot_s=sum(line.cost_s for line in account.lines.values()),
        share=max(account.served.total(now_s), 0.0) / charged if charged > 0 else 0.0,
        due=account.weight / sum(each.weight for each in present),
        counter=account.counter - min(each.counter for each in present),
        predicted_wait_s=told.wait_s,
        p90_wait_s=told.p90_s,
        actual_wait_s=account.actual_wait.mean(),
        coverage=account.covered.mean(),
        predicted_ratio=account.ratio.mean(),
    )
