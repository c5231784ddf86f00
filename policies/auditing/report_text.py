"""A report for people, as Markdown: the same data give the same bytes.

Decides the order and the words, not what is counted (report.py). Rules:
 (1) What the period does not cover stands first. A section without rows says so in a word, and is never left out.
 (2) Values come from the log, and some of them were a client's. A cell holds one line; what is not made of plain
     letters, digits and a few marks stands in a code span, so that no reader takes it for markup.
 (3) At most `MAX_SHOWN` rows of a table are written; how many more there are is said, and --json has them.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

MAX_SHOWN = 500
_PLAIN = re.compile(r"[A-Za-z0-9(](?:[A-Za-z0-9 .,:;()/+%@-]|(?<=[A-Za-z0-9])_(?=[A-Za-z0-9]))*\Z")
_TICKS = re.compile(r"`+")
Rows = Sequence[dict[str, Any]]

SUMS = (
    "requests", "served", "refused", "failed", "cut_short", "prompt_tokens", "cached_tokens", "output_tokens", "slot_s",
)  # fmt: skip


def report_text(data: dict[str, Any]) -> str:
    """The report of `policies.auditing.report.Report.told`."""
    return "\n".join([*_head(data), *_body(data)]) + "\n"


def table(columns: Sequence[str], rows: Rows) -> list[str]:
    """A table of these fields of the rows; a word where there are none."""
    if not rows:
        return ["None.", ""]
    lines = [f"| {' | '.join(name.replace('_', ' ') for name in columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell(row.get(name)) for name in columns)} |" for row in rows[:MAX_SHOWN]]
    if len(rows) > MAX_SHOWN:
        lines += ["", f"... and {len(rows) - MAX_SHOWN} more (see --json)."]
    return [*lines, ""]


def cell(value: Any) -> str:
    """One value for a table, by rule (2)."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(cell, value))
    text = " ".join(str(value if value is not None else "").split())
    if not text or _PLAIN.match(text):
        return text
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    fence, pad = "`" * (longest + 1), " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _head(data: dict[str, Any]) -> list[str]:
    period = data["period"]
    lines = [f"# Audit report {period['name']}", ""]
    lines += [f"Period: {period['since']} to {period['until']} (the last moment not in it). All times are UTC.", ""]
    lines += [
        f"Log: {cell(data['deployment']) or 'of a deployment without a name'}. Persons stand under pseudonyms.",
        "",
    ]
    if not data["notices"]:
        return [*lines, "The period is wholly covered: whole, signed, anchored, and the counts fit.", ""]
    lines += ["**The period is not wholly covered:**", ""]
    return [*lines, *(f"- {cell(each)}" for each in data["notices"]), ""]


def _body(data: dict[str, Any]) -> Iterable[str]:
    yield from _section("Completeness and anchors", *_completeness(data))
    yield from _section("Denials", *_denials(data))
    yield from _section(
        "New addresses of keys", *table(("key", "address", "first_seen", "first_of_the_key"), data["new_addresses"])
    )
    yield from _section("Keys", *_keys(data["keys"]))
    yield from _section("Privileged acts", *_acts(data))
    yield from _section("Unsafe switches in force", *_standing(("name",), data["unsafe_switches"]))
    yield from _section("Exceptions", *_exceptions(data))
    yield from _section("Egress", *_egress(data))
    yield from _section("Models", *_models(data))
    yield from _section("Readers of the log", *table(("who", "event", "opened", "count"), data["log_readers"]))
    yield from _section("Clocks", *_clocks(data))
    yield from _section("Pruning and restores", *_pruning(data))
    yield from _section("Worth a look", *table(("event", "code", "count"), data["warnings"]))
    yield from _section("Use by team", *table(("team", *SUMS), _in_seconds(data["teams"])))
    yield from _section("Use by person", *table(("team", "pseudonym", *SUMS), _in_seconds(data["persons"])))


def _section(title: str, *lines: str) -> list[str]:
    return [f"## {title}", "", *lines]


def _completeness(data: dict[str, Any]) -> Iterable[str]:
    columns = ("chain", "records", "first_seq", "last_seq", "signed_size", "signed_root", "anchored_by", "fault")
    yield from table(columns, data["chains"])
    counted = data["completeness"]
    last = counted["last_count"] or "none"
    yield f"Records against counts: {counted['differences_in_all']} differences; the last count is {last}."
    yield f"Requests still open at the end: {counted['open_at_the_end']}."
    yield ""
    if counted["differences"]:
        yield from table(("target", "who", "count", "since", "until", "text", "request_id"), counted["differences"])
    yield "Times without a gateway:"
    yield ""
    yield from table(("chain", "since", "until", "died"), data["away"])


def _denials(data: dict[str, Any]) -> Iterable[str]:
    yield from table(("event", "reason", "team", "count"), data["denials"])
    yield "Of floods, beside those, only counted:"
    yield ""
    yield from table(("reason", "network", "count"), data["denials_counted_only"])


def _keys(keys: Rows) -> Iterable[str]:
    overdue = sum(row["review"] == "overdue" and row["state"] == "active" for row in keys)
    unused = sum(row["unused"] and row["state"] == "active" for row in keys)
    yield f"Active keys with a review overdue: {overdue}; unused for 90 days: {unused}."
    yield ""
    columns = (
        "key", "team", "owner", "scopes", "state", "age_days", "ends", "never_ends", "review", "review_due",
        "requests", "last_used", "unused",
    )  # fmt: skip
    yield from table(columns, keys)


def _acts(data: dict[str, Any]) -> Iterable[str]:
    rows = data["privileged_acts"]
    if data["privileged_acts_in_all"] > len(rows):
        yield f"{data['privileged_acts_in_all']} acts, of which {len(rows)} are listed."
        yield ""
    columns = ("at", "event", "object", "outcome", "reason_code", "by", "second_person", "reason", "ticket")
    yield from table(columns, rows)


def _standing(names: tuple[str, ...], rows: Rows) -> list[str]:
    return table((*names, "first_told", "last_told", "chains"), rows)


def _exceptions(data: dict[str, Any]) -> Iterable[str]:
    yield "Grants in force:"
    yield ""
    yield from table(("grant", "team", "limit", "value", "made", "until", "withdrawn", "by"), data["grants"])
    yield "Limits and promises that only report:"
    yield ""
    yield from _standing(("name",), data["report_only"])
    yield "What they would have refused:"
    yield ""
    yield from table(("limit", "team", "count"), data["would_have_been_refused"])


def _egress(data: dict[str, Any]) -> Iterable[str]:
    yield "Hosts that Corral itself may call:"
    yield ""
    yield from _standing(("what", "host"), data["egress"])
    yield "Upstreams that took requests:"
    yield ""
    yield from table(("target", "requests"), data["egress_used"])


def _models(data: dict[str, Any]) -> Iterable[str]:
    approval = ("approved_by", "approved_at", "approved_with_ticket")
    yield "Offered:"
    yield ""
    yield from table(("name", "digest", "parent", *approval, "first_told", "last_told"), data["models_offered"])
    yield "Used:"
    yield ""
    yield from table(("model", "digest", "requests", *approval), data["models_used"])


def _clocks(data: dict[str, Any]) -> Iterable[str]:
    yield from table(("chain", "tellings", "not_synchronised", "worst_error_ms"), data["clocks"])
    yield "Clocks that were set, or machines that slept:"
    yield ""
    yield from table(("chain", "at", "seq", "moved_s"), data["clock_moved"])


def _pruning(data: dict[str, Any]) -> Iterable[str]:
    yield from table(("chain", "at", "first_seq", "last_seq"), data["pruned"])
    restored = data["last_restore"]
    yield f"Last restore: {restored['at'] + ' (' + cell(restored['chain']) + ')' if restored else 'none in the log'}."
    yield ""
    yield "The log recovered from a crash:"
    yield ""
    yield from table(("chain", "at", "torn_bytes"), data["recovered"])


def _in_seconds(rows: Rows) -> Rows:
    """Slot time in seconds with six digits, exactly."""
    return [row | {"slot_s": f"{row['slot_us'] // 1_000_000}.{row['slot_us'] % 1_000_000:06d}"} for row in rows]
