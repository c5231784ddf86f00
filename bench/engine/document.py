"""The table that is printed, and the section of docs/engine-bench.md that holds it, made of one report. Pure."""

from typing import Any

Report = dict[str, Any]


def section(report: Report, machine: dict[str, Any]) -> str:
    """The text of one run."""
    parts = [head(report, machine), table(report), bounds(report["bounds"]), memory(report["memory"]), missing(report)]
    return "\n\n".join(part for part in parts if part)


def head(report: Report, machine: dict[str, Any]) -> str:
    """What was measured, how, on what."""
    size = "small size" if report["small"] else "full size"
    return (
        f"`make bench-engine` ({size}) on {machine['cpu']}, {machine['cores']} cores, commit {machine['commit']}, CPU "
        f"steal {report['steal_percent']} %, load average {report['load_average'][0]:.1f} before and "
        f"{report['load_average'][1]:.1f} after; {report['rounds']} rounds, a seed each, loads and ways in random "
        f"order, the ways of one load right after each other. {report['model']}; {report['slots']} slots of "
        f"{report['context_tokens']} tokens in one memory, batches of {report['batch_tokens']}, prompts of 128 tokens, "
        f"answers of 64 up to 4 streams and 32 beyond. Loads of one thread: what computes has the last core to itself "
        f"(llama-server's main thread, the worker, the loop, raw C), the client, the gateway and llama-server's "
        f"HTTP threads the first; llama_cpp.server runs on both. Loads of 2 threads: nothing is pinned. Ratios are "
        f"of the same rounds, with 95 % bootstrap intervals over the rounds. Rates are output tokens over the whole "
        f"time, prompts included; raw C reads all prompts first, knows no requests and does not sample. CPU is what a "
        f"way's own processes took, the client's aside: other load on the machine moves it least."
    )


def table(report: Report) -> str:
    """One row for each load and way."""
    head = (
        "| load | streams | way | tok/s (least to most) | of llama-server | of raw C | first token, ms | "
        "between tokens p50 / p99, ms | CPU ms a token | CPU of llama-server's | decoding | Python | work |"
    )
    return "\n".join([head, "|---" * 13 + "|", *(_row(each) for each in report["rows"])])


def bounds(found: list[dict[str, Any]]) -> str:
    """Every bound with its figure."""
    rows = ["| bound | load | asked | measured | holds |", "|---|---|---|---|---|"]
    rows += [
        f"| {each['bound']} | {each['where']} | {each['asked']} | {figure(each['figure'])} | {each['holds']} |"
        for each in found
    ]
    return "A bound counts as missed only where the whole interval lies outside.\n\n" + "\n".join(rows)


def memory(found: list[dict[str, Any]]) -> str:
    """Sizes of the formats."""
    if not found:
        return ""
    rows = [
        "| format | file, MB | loaded, MB | of it pages of files, MB | whole process RSS / PSS, MB |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| {each['format']} | {_mb(each['file_bytes'])} | {_mb(each['loaded_bytes'])} | "
        f"{_mb(each['mapped_bytes'])} | "
        f"{_mb(each['rss_bytes'])} / {_mb(each['pss_bytes'])} |"
        for each in found
    ]
    text = (
        "The same weights in other formats, all requantised from the small model's own 4 bits; one slot of 256 tokens. "
        "Loaded is what a process's proportional set size grew by. Q4_0 is repacked as it is loaded: what the kernels "
        "read is a copy, and the file's own pages stay beside it until the kernel wants them back.\n\n"
    )
    return text + "\n".join(rows)


def missing(report: Report) -> str:
    """Which ways did not run, or not all loads, and why."""
    said = [f"- {way}: {why}" for way, why in report["missing"].items()]
    said += [f"- {each['way']} has no {each['load']}: {each['why']}" for each in report["not_offered"]]
    return "Not measured:\n\n" + "\n".join(said) if said else ""


def figure(told: dict[str, Any] | None) -> str:
    """A figure with its interval: `1.08 (1.02 to 1.11)`."""
    if told is None or not told["n"] or told["value"] is None:
        return "-"
    if told["low"] == told["high"]:
        return f"{told['value']:.3f}"
    return f"{told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f})"


def _row(row: dict[str, Any]) -> str:
    rates = row["tokens_per_s"]
    work = f"{row['tokens']}" if row["same_work"] else f"{row['tokens']} of {row['expected_tokens']}"
    cells = [
        row["load"],
        str(row["streams"]),
        row["way"],
        f"{rates['median']:.1f} ({rates['low']:.1f} to {rates['high']:.1f})",
        figure(row["of_server"]),
        figure(row["of_raw"]),
        _number(row["first_token_ms"], 0),
        f"{_number(row['gap_p50_ms'], 1)} / {_number(row['gap_p99_ms'], 1)}",
        _number(row["cpu_ms_per_token"], 2),
        figure(row["cpu_of_server"]),
        _percent(row["decode_share"]),
        _percent(row["python_share"]),
        work,
    ]
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _mb(count: float) -> str:
    return f"{count / 1e6:.0f}"
