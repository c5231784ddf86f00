"""Proofs in full size: `make prove` runs all, `make prove P=NAME` one of `bench/proofs/NAME.py`.

A proof module has `prove()`: it prints its progress, returns figures, and raises AssertionError for a bound
that did not hold. The figures go to docs/proofs/NAME.json, with the machine, the commit, and what others took
of the processor meanwhile; a proof that fails writes nothing.
"""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.machine import cpu_times, machine, steal_percent

ROOT = Path(__file__).resolve().parents[1]
PROOFS = ROOT / "bench" / "proofs"
RESULTS = ROOT / "docs" / "proofs"


def names() -> tuple[str, ...]:
    """All proofs there are."""
    return tuple(sorted(path.stem for path in PROOFS.glob("*.py") if path.stem != "__init__"))


def main(argv: list[str] | None = None) -> int:
    """Run the proofs named, all without a name. Returns 1 when one did not hold, 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="make prove")
    parser.add_argument("name", nargs="*", metavar="P=NAME")
    wanted = parser.parse_args(argv).name or names()
    if unknown := sorted(set(wanted) - set(names())):
        print(f"no proof is called {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    return max([_run(name) for name in wanted], default=0)


def _run(name: str) -> int:
    print(f"== {name}", flush=True)
    before, started_s = cpu_times(), time.monotonic()
    try:
        figures = importlib.import_module(f"bench.proofs.{name}").prove()
    except AssertionError as broken:
        print(f"{name}: does not hold: {broken}", file=sys.stderr)
        return 1
    report: dict[str, Any] = {"name": name, "figures": figures, "machine": machine()}
    report |= {"seconds": round(time.monotonic() - started_s, 1), "steal_percent": steal_percent(before, cpu_times())}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
