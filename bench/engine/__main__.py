"""`make bench-engine`: one table of the same work by every way in. `--small` tries it in about a minute.

    python -m bench.engine [--small] [--minutes N] [--rounds N] [--out FOLDER] [--only LOAD ...]

Ways: raw C, llama-server, the loop in process, a worker through its socket, the gateway with everything on, and
llama_cpp.server. One that is not built or does not start is named with the reason (`make peers` builds the C++ ones).
The full size takes at most `--minutes` (25) and writes docs/proofs/engine.json and the section of docs/engine-bench.md;
the small one, or one with `--out`, writes both into that folder (build/engine). Returns 1 when a bound was missed.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.engine import document, workload
from bench.engine.board import Board, Found
from bench.engine.gateway_way import Gateway
from bench.engine.in_process import InProcess
from bench.engine.llama_server import LlamaServer
from bench.engine.memory import formats
from bench.engine.python_server import PythonServer
from bench.engine.raw_c import RawC
from bench.engine.report import report
from bench.engine.way import Setting, Way
from bench.engine.worker_socket import WorkerSocket
from bench.machine import cpu_times, machine, steal_percent
from bench.peers.places import BATCHED_BENCH, PYTHON_SERVER, SERVER
from bench.pool_admission import document as marked
from bench.pool_admission.faster_model import requantised
from engine.llama import load_vocabulary
from setup.model import MODEL
from tests.e2e.serving import REPOSITORY

ASIDE = REPOSITORY / "build" / "engine"
DOCUMENT, PROOF = REPOSITORY / "docs" / "engine-bench.md", REPOSITORY / "docs" / "proofs" / "engine.json"
SETTING_UP_S = 90.0
"""Of the time given, for starting everything and for the formats."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print, write. Returns the exit status."""
    options = _options(argv)
    if not MODEL.is_file():
        print(f"bench-engine: {MODEL} is missing: make install-dev", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):  # so that what was started is ended, however this is
        signal.signal(number, signal.default_int_handler)
    size = size_of(options)
    try:
        with tempfile.TemporaryDirectory(prefix="corral-") as folder:
            made = measure(MODEL.resolve(), Path(folder), size)
    except KeyboardInterrupt:
        print("bench-engine: interrupted; nothing was written", file=sys.stderr)
        return 130
    aside = options.out or (ASIDE if options.small or options.only else None)
    places = (aside / DOCUMENT.name, aside / PROOF.name) if aside is not None else (DOCUMENT, PROOF)
    write(made, *places)
    missed = [each for each in made["bounds"] if each["holds"] == "no"]
    for each in missed:
        print(f"missed: {each['bound']}, {each['where']}: {document.figure(each['figure'])}, {each['asked']}")
    return 1 if missed and not options.small else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What is run: loads, ways (with two threads too or not), formats; rounds, or so many as fit into `minutes`."""

    small: bool
    loads: list[workload.Load]
    slots: int
    formats: tuple[str, ...]
    minutes: float = 25.0
    rounds: int | None = None


SMALL = Size(small=True, loads=workload.small(), slots=4, formats=("F16", "Q4_0"), rounds=1)
FULL = Size(small=False, loads=workload.full(), slots=16, formats=("F16", "Q8_0", "Q4_K_M", "Q4_0"))


def size_of(options: argparse.Namespace) -> Size:
    """What the command line asks for. Exits with status 2 for a load that there is not."""
    if options.small:
        return SMALL
    names = {f"{load.name},{load.streams}": load for load in FULL.loads}
    if unknown := sorted(set(options.only or ()) - set(names)):
        print(f"bench-engine: no load is called {', '.join(unknown)}; there are: {'; '.join(names)}", file=sys.stderr)
        raise SystemExit(2)
    loads = [names[name] for name in options.only or names]
    return replace(FULL, loads=loads, minutes=options.minutes, rounds=options.rounds)


def measure(model_file: Path, folder: Path, size: Size) -> dict[str, Any]:
    """One run; the report with what the machine says of itself."""
    before, load_before = cpu_times(), os.getloadavg()[0]
    fast = requantised(model_file, folder)
    setting = Setting(model_file=fast, folder=folder, slots=size.slots)
    vocabulary = load_vocabulary(fast)
    prompts = workload.Prompts(
        lambda text: vocabulary.tokenize(text, special=False, bos=False).tolist(),
        [vocabulary.bos_id] if vocabulary.adds_bos else [],
    )
    began_s = time.monotonic()
    own_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, setting.other_cores)  # this process is the client
    try:
        board = Board(ways(setting, size.loads), size.loads, prompts)
        found: Found = board.run(60 * size.minutes - SETTING_UP_S, size.rounds)
    finally:
        os.sched_setaffinity(0, own_cores)
    own = folder / "formats"
    own.mkdir()
    made = report(found, setting, formats(model_file, own, size.formats), small=size.small)
    made |= {"steal_percent": steal_percent(before, cpu_times()), "load_average": [load_before, os.getloadavg()[0]]}
    return made | {"seconds": round(time.monotonic() - began_s, 1)}


def ways(setting: Setting, loads: Sequence[workload.Load]) -> list[Way]:
    """All ways with one thread; three of them with two as well, if a load asks for it."""
    one: list[Way] = [
        RawC(setting, BATCHED_BENCH),
        LlamaServer(setting, SERVER),
        InProcess(setting),
        WorkerSocket(setting),
        Gateway(setting),
        PythonServer(setting, PYTHON_SERVER),
    ]
    if all(load.threads == 1 for load in loads):
        return one
    two = Setting(model_file=setting.model_file, folder=setting.folder, slots=setting.slots, threads=2)
    return [*one, RawC(two, BATCHED_BENCH), LlamaServer(two, SERVER), InProcess(two)]


def write(made: dict[str, Any], text: Path, figures: Path) -> None:
    """The section and the JSON, and the section on the terminal."""
    section = document.section(made, machine())
    text.parent.mkdir(parents=True, exist_ok=True)
    figures.parent.mkdir(parents=True, exist_ok=True)
    marked.write(text, section, marked.MEASURED)
    figures.write_text(json.dumps({"name": "engine", "figures": made, "machine": machine()}, indent=2) + "\n")
    print(section)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-engine", description=__doc__)
    parser.add_argument("--small", action="store_true", help="two loads, one round")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--rounds", type=int, help="exactly so many, however long they take")
    parser.add_argument("--only", nargs="+", metavar="LOAD", help="only these loads, as 'greedy,1'; written aside")
    parser.add_argument("--out", type=Path, help="write into this folder instead of docs/")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
