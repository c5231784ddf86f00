"""Admission under simulated load: the table, and every bound with what was measured.

    python -m bench.admission [--minutes M] [--seeds N]

Two processes, no network, no clock: the same figures on every machine. In full size it writes
docs/proofs/admission.json and the tables of docs/admission.md. Exits 1 when a bound does not hold, after all is
printed and written.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.admission.baselines import BASELINES
from bench.admission.bounds import judge
from bench.admission.cells import (
    AZURE,
    CORRAL,
    CROWDED,
    LOADS,
    POLICIES,
    POOL,
    RETRIES,
    SLOWED,
    SMALL,
    TWO_TEAMS,
    UNTOLD,
    Cell,
    Played,
    play,
)
from bench.admission.report import as_figures, line, put_between, sections
from bench.admission.shares import Shares, shares
from bench.admission.workload import TRACES, Sampler, flood
from bench.admission.workload import light as chats
from bench.machine import cpu_times, machine, steal_percent

DOCS = Path(__file__).resolve().parents[2] / "docs"
RESULT, DOCUMENT = DOCS / "proofs" / "admission.json", DOCS / "admission.md"
MARKS = ("<!-- simulated -->", "<!-- /simulated -->")
MINUTES, SEEDS = 120.0, 3
PROCESSES = 2
WEIGHTED: dict[str, dict[str, tuple[float, Sampler]]] = {
    "1:1": {"a": (1.0, flood), "b": (1.0, flood)},
    "3:1": {"a": (3.0, flood), "b": (1.0, flood)},
    "1:1 chats and heavy tails": {"a": (1.0, chats), "b": (1.0, flood)},
}


def main(argv: list[str] | None = None) -> int:
    """Play all, print and write it. Returns 1 when a bound does not hold, 2 without the traces."""
    parser = argparse.ArgumentParser(prog="python -m bench.admission")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"of traffic in each run ({MINUTES:g})")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"runs of each cell ({SEEDS})")
    wanted = parser.parse_args(argv)
    if not TRACES.is_dir():
        print("the recorded traces are not there: ../shared/traces", file=sys.stderr)
        return 2
    before, started_s = cpu_times(), time.monotonic()
    played, shared = _play_all(list(_cells(wanted.minutes, tuple(range(1, wanted.seeds + 1)))), wanted.minutes * 0.75)
    bounds = judge(played, shared)
    text = "\n\n".join(sections(played, shared, bounds))
    print(f"\n{text}\n")
    missed = sum(not bound.holds for bound in bounds)
    print(f"{len(bounds) - missed} of {len(bounds)} bounds hold; {time.monotonic() - started_s:.0f} s")
    if (wanted.minutes, wanted.seeds) == (MINUTES, SEEDS):
        measured = {"seconds": round(time.monotonic() - started_s, 1), "machine": machine()}
        measured["steal_percent"] = steal_percent(before, cpu_times())
        figures = as_figures(played, shared, bounds)
        RESULT.write_text(json.dumps({"name": "admission", "figures": figures} | measured, indent=2) + "\n")
        put_between(DOCUMENT, MARKS, text)
    return 1 if missed else 0


def _cells(minutes: float, seeds: tuple[int, ...]) -> Iterator[Cell]:
    """The longest first, so that both processes end together."""
    every = [(RETRIES, policy, load) for policy in (CORRAL, UNTOLD) for load in reversed(CROWDED)]
    every += [(TWO_TEAMS, CORRAL, load) for load in reversed(LOADS)]
    every += [(SMALL, policy, load) for policy in (CORRAL, "round robin + TTL 10 s") for load in CROWDED]
    every += [(SLOWED, CORRAL, 1.0)]
    every += [(TWO_TEAMS, policy, load) for policy in POLICIES if policy.startswith("Corral, p") for load in CROWDED]
    every += [(TWO_TEAMS, policy, load) for policy in BASELINES for load in LOADS]
    every += [(RETRIES, policy, load) for policy in list(BASELINES)[2:] for load in CROWDED]
    for scenario, policy, load in every:
        yield Cell(scenario=scenario, policy=policy, load=load, seeds=seeds, minutes=minutes)
    for policy in [CORRAL, *BASELINES]:
        for load in (0.8, 1.2):
            yield Cell(scenario=AZURE, policy=policy, load=load, seeds=(1,))


def _play_all(cells: Sequence[Cell], minutes: float) -> tuple[list[Played], list[tuple[str, Shares]]]:
    played: list[Played] = []
    with ProcessPoolExecutor(PROCESSES) as processes:
        pending = [(name, processes.submit(shares, teams, POOL, minutes=minutes)) for name, teams in WEIGHTED.items()]
        for number, one in enumerate(processes.map(play, cells), start=1):
            played.append(one)
            print(f"{number:3}/{len(cells)} {line(one)}", flush=True)
        return played, [(name, each.result()) for name, each in pending]


if __name__ == "__main__":
    sys.exit(main())
