"""The plots of docs/admission.md, as SVG that a new run replaces."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.pool_admission.blocks import Block
from bench.pool_admission.cells import waits

BIN_S = 5.0
COLOURS = {"fifo": "#b0413e", "corral": "#2b6cb0", "light": "#2b6cb0", "flood": "#d69e2e", "prompt": "#38a169"}
STYLES = {"light": "-", "flood": "--"}
NAMES = {"fifo": "first come, first served", "corral": "Corral"}


def draw(folder: Path, cells: list[dict[str, Any]], blocks: list[Block]) -> list[Path]:
    """All plots into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("svg")
    mpl.rcParams.update(
        {"svg.hashsalt": "corral", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    return [
        _saved(folder / "predicted-and-actual.svg", predicted_and_actual(blocks)),
        _saved(folder / "goodput.svg", goodput(cells)),
        _saved(folder / "share.svg", share(blocks)),
    ]


def predicted_and_actual(blocks: list[Block]) -> Any:
    """Each wait of Corral's queue: predicted across, actual upwards, with the line of truth."""
    figure, axes = plt.subplots(figsize=(5, 4.2))
    most = 0.1
    for team in ("light", "flood"):
        found = [each for each in waits(_of(blocks, "corral")) if each.team == team and each.actual_wait_s]
        predicted, actual = [each.wait_s for each in found], [each.actual_wait_s or 0.0 for each in found]
        most = max([most, *predicted, *actual])
        axes.scatter(predicted, actual, s=7, alpha=0.5, color=COLOURS[team], label=f"{team} ({len(found)})", lw=0)
    axes.plot([0, most], [0, most], color="#888888", lw=0.8)
    axes.set(xlabel="predicted wait, s", ylabel="actual wait, s")
    axes.legend(frameon=False)
    return figure


def goodput(cells: list[dict[str, Any]]) -> Any:
    """Answers within the promise, in per cent of those asked for, against load; bars are 95 % intervals."""
    figure, axes = plt.subplots(figsize=(5, 3.6))
    for queue in ("fifo", "corral"):
        for team, style in STYLES.items():
            row = sorted((cell["load"], cell["in_time"][team]) for cell in cells if cell["queue"] == queue)
            loads, shares = [load for load, _ in row], [100 * each["value"] for _, each in row]
            low = [100 * (each["value"] - each["low"]) for _, each in row]
            high = [100 * (each["high"] - each["value"]) for _, each in row]
            axes.errorbar(
                loads, shares, (low, high), ls=style, color=COLOURS[queue], marker="o", ms=3, capsize=2,
                label=f"{NAMES[queue]}: {team}",
            )  # fmt: skip
    axes.set(xlabel="load, of measured capacity", ylabel="within the promise, % of all asked", ylim=(-2, 102))
    axes.legend(frameon=False, fontsize=8)
    return figure


def share(blocks: list[Block]) -> Any:
    """Each team's part of the slots' time over a block at the highest load, one plot for each queue."""
    most = max(block.plan.load for block in blocks)
    figure, both = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
    for axes, queue in zip(both, ("fifo", "corral"), strict=True):
        block = next(each for each in _of(blocks, queue) if each.plan.load == most)
        for team in ("light", "flood"):
            axes.plot(*_shares(block, team), color=COLOURS[team], label=team)
        axes.set(title=f"{NAMES[queue]}, load {most:g}", xlabel="s", ylim=(0, 1))
    both[0].set_ylabel("share of slot time")
    both[0].legend(frameon=False)
    return figure


def _shares(block: Block, team: str) -> tuple[list[float], list[float]]:
    """Seconds of the block and the team's part of the slot time in the five seconds around them."""
    times, parts = [], []
    for number in range(int(block.seconds / BIN_S)):
        from_s = block.from_s + number * BIN_S
        own = sum(each.slot_s(from_s, from_s + BIN_S) for each in block.stories if each.team == team)
        every = sum(each.slot_s(from_s, from_s + BIN_S) for each in block.stories)
        times.append((number + 0.5) * BIN_S)
        parts.append(own / every if every else 0.0)
    return times, parts


def _of(blocks: list[Block], queue: str) -> list[Block]:
    return [block for block in blocks if block.plan.queue == queue]


def _saved(path: Path, figure: Any) -> Path:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path
