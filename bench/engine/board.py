"""All ways started, all rounds run. A way that cannot start, or fails later, is named with why; the others go on."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from bench.engine.rounds import another, order
from bench.engine.sample import Sample
from bench.engine.server_process import cpu_s
from bench.engine.way import CannotRun, Way
from bench.engine.workload import Load, Prompts


@dataclass(slots=True)
class Found:
    """What a run gave: samples, and for each way that did not run to its end its name and why.

    `not_offered` says which loads a way does not take.
    """

    samples: list[Sample] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    not_offered: dict[tuple[str, str], str] = field(default_factory=dict)
    rounds_s: list[float] = field(default_factory=list)


class Board:
    """`ways` beside each other on `loads`; a way takes the loads with as many threads as it has."""

    def __init__(self, ways: Sequence[Way], loads: Sequence[Load], prompts: Prompts) -> None:
        self._ways = ways
        self._loads = loads
        self._prompts = prompts
        self.found = Found()

    def run(self, limit_s: float, rounds: int | None = None) -> Found:
        """Rounds until `limit_s` is over, or exactly `rounds`."""
        with ExitStack() as stack:
            started = [way for way in self._ways if self._start(stack, way)]
            self._warm_up(started)
            while (len(self.found.rounds_s) < rounds) if rounds else another(self.found.rounds_s, limit_s):
                began_s = time.monotonic()
                self._round(started, len(self.found.rounds_s))
                self.found.rounds_s.append(time.monotonic() - began_s)
        return self.found

    def _start(self, stack: ExitStack, way: Way) -> bool:
        _say(f"starting {label(way)}")
        try:
            stack.enter_context(way)
        except CannotRun as why:
            self._give_up(way, str(why))
            return False
        return True

    def _warm_up(self, ways: Sequence[Way]) -> None:
        """First requests pay for what is made once."""
        for way in ways:
            load = Load(name="warm-up", streams=2, requests=2, prompt_tokens=48, output_tokens=4)
            self._once(way, load, -1)

    def _round(self, ways: Sequence[Way], number: int) -> None:
        pairs = [(load, [way for way in ways if self._takes(way, load)]) for load in self._loads]
        for load, way in order(pairs, number):
            if (sample := self._once(way, load, number)) is not None:
                self.found.samples.append(sample)
                rate = f"{sample.tokens_per_s:7.1f} tok/s"
                _say(f"round {number + 1}: {load.name}, {load.streams}: {rate}  {label(way)}")

    def _takes(self, way: Way, load: Load) -> bool:
        if way.setting.threads != load.threads or label(way) in self.found.missing:
            return False
        why = way.offers(load)
        if why:
            self.found.not_offered[way.name, load.name] = why
        return not why

    def _once(self, way: Way, load: Load, number: int) -> Sample | None:
        if label(way) in self.found.missing:
            return None
        try:
            prompts = self._prompts.of(load, number)
            before_s = cpu_s(way.pids())
            sample = way.run(load, prompts, number)
            return replace(sample, cpu_s=cpu_s(way.pids()) - before_s) if way.pids() else sample
        except Exception as fault:  # noqa: BLE001 - another program's fault is a figure that is missing, with its reason
            cause = first_cause(fault)
            self._give_up(way, f"failed on {load.name}, {load.streams}: {type(cause).__name__}: {cause}")
            return None

    def _give_up(self, way: Way, why: str) -> None:
        self.found.missing[label(way)] = why
        _say(f"{label(way)}: {why}")


def first_cause(fault: BaseException) -> BaseException:
    """What a group of faults is about: the first of them that is no group."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault


def label(way: Way) -> str:
    """A way's name with its threads where they are not one."""
    return way.name if way.setting.threads == 1 else f"{way.name}, {way.setting.threads} threads"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
