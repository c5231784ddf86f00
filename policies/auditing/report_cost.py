"""What each team's requests cost in a week or month, at the operator's own prices, from the lines of the log alone.

Rules:
 (1) A request counts once, by its end, in the period of that end (policies/auditing/ended_requests.py), also one that
     was cut short or failed: its tokens and its time in a slot were used.
 (2) Rows are by team and model; what nobody proved who it was used nothing, and has no row.
 (3) A record of an older version has no slot time: those requests are counted, and told on top.
 (4) The same lines and the same prices give the same bytes.
"""

from typing import Any

import msgspec
from msgspec import Struct

from policies.auditing.ended_requests import EndedRequests
from policies.auditing.report import MISREAD
from policies.auditing.report_line import read_report_line
from policies.auditing.report_period import Period
from policies.auditing.report_prices import Prices, amount_text
from policies.auditing.report_text import cell, table

FORMAT = "corral cost report v1"
COLUMNS = ("team", "model", "requests", "prompt_tokens", "cached_tokens", "output_tokens", "slot_s", "amount")


class _Used(Struct):
    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    slot_us: int = 0


class Cost:
    """Fed chain by chain (`begin`, `take`, `end`), each in its order; then `told`."""

    def __init__(self, period: Period) -> None:
        self.period = period
        self._used: dict[tuple[str, str], _Used] = {}
        self._ended = EndedRequests()
        self._goes_on = False
        self._begins: dict[str, tuple[int, str]] = {}
        self._last_ts = self._chain = ""
        self._first_seq = 0
        self._unreadable = self._untimed = 0

    def begin(self, chain: str, first_seq: int) -> None:
        """The lines of `chain` follow, from `first_seq` on."""
        self._ended = EndedRequests()
        self._chain, self._first_seq = chain, first_seq

    def take(self, data: bytes) -> None:
        """The next line."""
        try:
            line = read_report_line(data)
        except MISREAD:
            self._unreadable += 1
            return
        self._begins.setdefault(self._chain, (self._first_seq, line.ts))
        self._last_ts = max(self._last_ts, line.ts)
        self._goes_on = self._goes_on or line.ts >= self.period.until
        if not self._ended.is_end(line) or not self.period.holds(line.ts) or not line.result.target:
            return
        used = self._used.setdefault((line.actor.team, line.action.model), _Used())
        used.requests += 1
        used.prompt_tokens += line.result.prompt_tokens
        used.cached_tokens += line.result.cached_tokens
        used.output_tokens += line.result.output_tokens
        used.slot_us += line.result.slot_us or 0
        self._untimed += line.result.slot_us is None

    def end(self) -> None:
        """The lines of the chain are over."""

    def told(self, prices: Prices, complaints: list[str], deployment: str) -> dict[str, Any]:
        """The report as plain data; amounts are texts, so that no reader rounds them."""
        amounts = {key: self._amount(key, prices) for key in sorted(self._used)}
        teams: dict[str, list[int]] = {}
        for (team, _), amount in amounts.items():
            teams.setdefault(team, []).append(amount)
        return {
            "notices": self._notices(complaints),
            "report": FORMAT,
            "deployment": deployment,
            "period": msgspec.to_builtins(self.period),
            "currency": prices.currency,
            "rows": [self._row(key, amount) for key, amount in amounts.items()],
            "teams": [{"team": team, "amount": amount_text(sum(each))} for team, each in teams.items()],
            "total": amount_text(sum(amounts.values())),
        }

    def _amount(self, key: tuple[str, str], prices: Prices) -> int:
        used = self._used[key]
        return prices.of(key[1]).cost(used.prompt_tokens, used.cached_tokens, used.output_tokens, used.slot_us)

    def _row(self, key: tuple[str, str], amount: int) -> dict[str, Any]:
        used = self._used[key]
        seconds = f"{used.slot_us // 1_000_000}.{used.slot_us % 1_000_000:06d}"
        facts = {name: getattr(used, name) for name in COLUMNS[2:6]}
        return {"team": key[0], "model": key[1], **facts, "slot_s": seconds, "amount": amount_text(amount)}

    def _notices(self, complaints: list[str]) -> list[str]:
        notices = [f"TAMPERED: {each}" for each in complaints]
        if not self._goes_on:
            last = self._last_ts or "no record at all"
            notices.append(f"the log does not reach the end of the period: its last record is of {last}")
        for chain, (first_seq, ts) in sorted(self._begins.items()):
            if first_seq > 0 and ts > self.period.since:
                notices.append(f"{chain}: pruned before seq {first_seq} of {ts}: what was used before is not counted")
        if self._unreadable:
            notices.append(f"{self._unreadable} lines could not be read")
        if self._untimed:
            notices.append(f"{self._untimed} requests have no slot time: an older version of Corral recorded them")
        return notices


def cost_text(data: dict[str, Any]) -> str:
    """The report for people, as Markdown."""
    period = data["period"]
    lines = [f"# Cost report {period['name']}", ""]
    lines += [f"Period: {period['since']} to {period['until']} (the last moment not in it), UTC.", ""]
    lines += [
        f"Log: {cell(data['deployment'])}. Amounts in {cell(data['currency'])}, at the operator's own prices.",
        "",
    ]
    lines += [*(f"- **{cell(each)}**" for each in data["notices"]), ""] if data["notices"] else []
    lines += ["## By team", "", *table(("team", "amount"), data["teams"])]
    lines += ["## By team and model", "", *table(COLUMNS, data["rows"])]
    return "\n".join([*lines, f"Total: {data['total']} {data['currency']}"]) + "\n"
