"""What docs/admission.md says under "Measured on a real pool", between marks, so that a new run replaces it."""

from pathlib import Path
from typing import Any

MEASURED, RETURNED = "measured", "returned"
"""The marks of the two sections: what a run of `real_queue` and of `real_returns` writes."""
FIGURES = "admission-figures"


def write(document: Path, section: str, mark: str) -> None:
    """Put `section` between two such marks of `document`; at its end where there are none yet."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    text = document.read_text() if document.exists() else ""
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    head = f"{before.rstrip()}\n\n" if before.strip() else ""
    tail = f"\n{after.lstrip()}" if after.strip() else ""
    document.write_text(f"{head}{begin}\n{section.strip()}\n{end}\n{tail}")


def section(report: dict[str, Any], machine: dict[str, Any]) -> str:
    """The text of one run."""
    return "\n\n".join(
        [
            _setting(report, machine),
            _cells(report["cells"]),
            _bounds(report["bounds"]),
            _waits(report["cells"]),
            _third(report["third_team"]),
            "\n\n".join(
                f"![{text}]({FIGURES}/{name}.svg)"
                for name, text in (
                    ("predicted-and-actual", "Predicted against actual waits"),
                    ("goodput", "Answers within the promise against load"),
                    ("share", "Share of slot time against time"),
                )
            ),
        ]
    )


def percent(figure: dict[str, Any]) -> str:
    """A share with its interval: `96 % (93-98, n=216)`."""
    if not figure["n"]:
        return "none"
    value, low, high = (100 * figure[each] for each in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.0f} to {high:.0f}, n={figure['n']})"


def _setting(report: dict[str, Any], machine: dict[str, Any]) -> str:
    capacity = ", ".join(f"{team} {rate:.2f}/s" for team, rate in report["capacity_per_s"].items())
    return (
        f"`make prove P=real_queue` {'(small size)' if report['small'] else '(full size)'} on {machine['cpu']}, "
        f"{machine['cores']} cores, CPU steal {report['steal_percent']} %: one worker with one thread and "
        f"{report['slots']} slots on a core of its own, the gateway and the load generator on the other; "
        f"{report['model']}. Short streamed requests without shared prefixes; a light team (Poisson, "
        f"{report['light_load']:g} of the capacity) and a flooding one (gamma arrivals, CV 3, the rest of the load). "
        f"Capacity of each team's requests alone: {capacity}, measured again before each block, when it was "
        f"{min(report['capacity_drift']):.2f} to {max(report['capacity_drift']):.2f} of that. The promise is "
        f"{report['promise_s']:g} s to the first token: {report['releases']:g} slot releases, as many as fit into the "
        f"10 s of the simulation. Intervals are 95 % (Wilson for shares, bootstrap for ratios of sums)."
    )


def _cells(cells: list[dict[str, Any]]) -> str:
    rows = [
        "| load | queue | light in time | flood in time | wasted slot time | late refusals | slots busy |",
        "|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {cell['load']:g} | {cell['queue']} | {percent(cell['in_time']['light'])} | "
        f"{percent(cell['in_time']['flood'])} | {percent(cell['wasted'])} | {percent(cell['refusals']['late'])} | "
        f"{100 * cell['utilisation']:.0f} % |"
        for cell in cells
    ]
    return "In time are all that were asked for, refused ones too.\n\n" + "\n".join(rows)


def _bounds(bounds: list[dict[str, Any]]) -> str:
    rows = ["| bound | load | measured | holds |", "|---|---|---|---|"]
    rows += [
        f"| {each['bound']} | {each['where']} | {percent(each['figure'])} | {'yes' if each['holds'] else 'no'} |"
        for each in bounds
    ]
    return "A bound counts as missed only where the whole interval lies outside.\n\n" + "\n".join(rows)


def _waits(cells: list[dict[str, Any]]) -> str:
    rows = [
        "| load | waits | served: told, s | waited, s | bias | bias of all | in judged quantile | in 90 % one |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {cell['load']:g} | {every['n']} | {_number(every['mean_predicted_s'])} | "
        f"{_number(every['mean_actual_s'])} | {percent(every['bias_of_served'])} | "
        f"{percent(every['bias'])} | "
        f"{percent(every['coverage'])} | {percent(every['p90_coverage'])} |"
        for cell in cells
        if cell["queue"] == "corral"
        for every in [cell["waits"]["all"]]
    ]
    decisions = [cell["decisions_us"] for cell in cells if cell["queue"] == "corral"]
    slowest = max(each["p99"] for each in decisions)
    cpu = max(cell["cpu_share"]["gateway"] for cell in cells)
    tail = f"A decision took at most {slowest:.0f} µs (p99), the gateway at most {100 * cpu:.0f} % of its core."
    return "\n".join(rows) + "\n\n" + tail


def _third(third: list[dict[str, Any]]) -> str:
    rows = [
        "| its band lends | in time | after its slot p50 / p95, s | waited | refused |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| {'yes' if each['lends'] else 'no'} | {percent(each['in_time']['prompt'])} | "
        f"{_number(each['first_token_after_slot_s']['prompt']['p50'])} / "
        f"{_number(each['first_token_after_slot_s']['prompt']['p95'])} | {each['waits']['prompt']['n']} | "
        f"{100 * each['refusals']['share_of_asked']['prompt']:.1f} % |"
        for each in third
    ]
    head = (
        "A third team with a promise of 500 ms, prompts of at most 128 tokens and answers of at most 16, within its "
        "band's share, at a load of 1.2:\n\n"
    )
    return head + "\n".join(rows)


def returns_section(returns: dict[str, Any], machine: dict[str, Any]) -> str:
    """The text of one run of those that come back."""
    return (
        f"`make prove P=real_returns` on {machine['cpu']}, {machine['cores']} cores, the pool as above. "
        f"Of callers turned away with a time, {percent(returns['first_try_then'])} were served at their first try "
        f"then, with the official `openai` client and its own retries at loads {', '.join(map(str, returns['loads']))}."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
