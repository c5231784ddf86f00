"""Tokens per second and time to first token at 1, 4 and 8 streams, by three ways to the same model.

    python -m bench.streams [--rounds N]

Ways and numbers of streams are interleaved in every round; figures are medians over the rounds, and the
ratio of each way to the loop in process is taken within a round. Worker and gateway have one thread each;
on two cores each has its own core as far as the kernel pleases (nothing is pinned). Writes
docs/proofs/streams.json.
"""

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from bench.machine import cpu_times, machine, steal_percent
from bench.ways import Gateway, InProcess, Way, WorkerSocket
from bench.workload import OUTPUT_TOKENS, STREAMS, Cell, prompt

ROOT = Path(__file__).resolve().parents[1]
MODEL_FILE = ROOT / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"
RESULT = ROOT / "docs" / "proofs" / "streams.json"

Cells = dict[tuple[str, int], list[Cell]]


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    before = cpu_times()
    with tempfile.TemporaryDirectory(prefix="corral-") as folder:
        cells = _measure(MODEL_FILE.resolve(), Path(folder), arguments.rounds)
    report = _report(cells, arguments.rounds) | {"steal_percent": steal_percent(before, cpu_times())}
    print(_table(report))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _measure(model_file: Path, folder: Path, rounds: int) -> Cells:
    cells: Cells = {}
    with ExitStack() as stack:
        (folder / "serve").mkdir()
        ways: list[Way] = [
            InProcess(model_file),
            WorkerSocket(model_file, folder),
            Gateway(model_file, folder / "serve"),
        ]
        for way in ways:
            stack.enter_context(way)
            way.run([prompt(0, -1)])  # first tokens pay for what is made once
        for number in range(rounds):
            for streams in STREAMS:
                for way in ways:
                    cell = way.run([prompt(stream, number) for stream in range(streams)])
                    cells.setdefault((way.name, streams), []).append(cell)
                    print(f"round {number + 1}/{rounds}: {streams} streams, {way.name}", file=sys.stderr, flush=True)
    return cells


def _report(cells: Cells, rounds: int) -> dict[str, Any]:
    rows = []
    for (way, streams), measured in cells.items():
        beside = cells[InProcess.name, streams]
        ratios = [cell.tokens_per_s / other.tokens_per_s for cell, other in zip(measured, beside, strict=True)]
        summaries = [cell.summary() for cell in measured]
        figures = {name: median(each[name] for each in summaries) for name in summaries[0]}
        rows.append({"way": way, "streams": streams, "ratio_to_in_process": round(median(ratios), 3), **figures})
    return {"name": "streams", "rounds": rounds, "output_tokens": OUTPUT_TOKENS, "machine": machine(), "rows": rows}


def _table(report: dict[str, Any]) -> str:
    head = f"{'streams':>7}  {'way':<14} {'tok/s':>7} {'of in process':>14} {'TTFT ms':>8}"
    lines = [
        f"{row['streams']:>7}  {row['way']:<14} {row['tokens_per_s']:>7.1f} {row['ratio_to_in_process']:>14.2f} "
        f"{row['ttft_ms']:>8.0f}"
        for row in sorted(report["rows"], key=lambda row: row["streams"])
    ]
    facts = report["machine"]
    return "\n".join([head, *lines, f"{facts['cpu']}, {facts['cores']} cores, CPU steal {report['steal_percent']} %"])


if __name__ == "__main__":
    sys.exit(main())
