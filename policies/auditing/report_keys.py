"""The API keys as the log knows them at the end of a report's period, and the addresses that each came from.

Rules:
 (1) What is known of a key is what was told of it last before the period's end: by `inventory.keys`, which gateways
     write at their start, when a key changed and every day, or by the act that made or changed it.
 (2) An owner is a pseudonym, as the inventory has it; of one that only an act told, no more is said than that there
     is one, for the act's record has the name enciphered.
 (3) A key is unused when nothing in the log used it within `UNUSED_DAYS` before the period's end, and the key store
     knew of no use either.
 (4) `key.seen_from` tells that a key was used from an address, once a day; the address is a pseudonym. One that the
     log first tells of within the period is new to its key. The first address that a key ever had is told apart.
 (5) Keys that had ended before the period are left out. At most `MAX_PAIRS` addresses are told apart.
"""

from collections import Counter
from typing import Any

from policies.auditing.report_line import ReportLine, number, shown
from policies.auditing.report_period import Period, as_ts

INVENTORY = "inventory.keys"
SEEN_FROM = "key.seen_from"
UNUSED_DAYS = 90
MAX_PAIRS = 1 << 20
DAY_S = 86_400.0
TOLD = ("team", "scopes", "created_s", "expires_s", "review_s", "revoked_s", "not_before_s", "overlap_ends_s")
_KEY = "key:"


class Keys:
    """Fed with every record before the period's end, whichever chain it is of, in any order of chains."""

    def __init__(self, period: Period, most_pairs: int = MAX_PAIRS) -> None:
        self._period = period
        self._most_pairs = most_pairs
        self._facts: dict[str, dict[str, tuple[str, Any]]] = {}
        self._uses: Counter[str] = Counter()
        self._last_use: dict[str, str] = {}
        self._addresses: dict[str, dict[str, str]] = {}
        self._pairs = 0
        self.too_many = False
        """Whether there were more addresses than are told apart."""

    def used(self, line: ReportLine, *, is_end: bool) -> None:
        """A record of a request that the key's holder was let in with; it counts once, at its end."""
        key = line.actor.key_id
        self._last_use[key] = max(self._last_use.get(key, ""), line.ts)
        if is_end and self._period.holds(line.ts):
            self._uses[key] += 1

    def inventory(self, line: ReportLine) -> None:
        """What the key store held. Raises msgspec.MsgspecError."""
        for each in line.told().get("keys", ()):
            if isinstance(each, dict) and isinstance(each.get("id"), str):
                facts = {name: each.get(name) for name in (*TOLD, "owner", "last_used_s")}
                self._learn(each["id"], line.ts, facts)

    def act(self, line: ReportLine) -> None:
        """An act on a key. Raises msgspec.MsgspecError."""
        change = line.changed()
        if not change.object.startswith(_KEY) or line.decision.effect != "allow":
            return
        facts = {name: change.details[name] for name in TOLD if name in change.details}
        if change.details.get("owner"):
            facts["owner"] = shown(change.details["owner"])
        self._learn(change.object.removeprefix(_KEY), line.ts, facts)

    def seen_from(self, line: ReportLine) -> None:
        """A key was used from an address. Raises msgspec.MsgspecError."""
        told = line.told()
        key, address = shown(told.get("key_id")), shown(told.get("address"))
        addresses = self._addresses.setdefault(key, {})
        if address not in addresses:
            if self._pairs >= self._most_pairs:
                self.too_many = True
                return
            self._pairs += 1
        addresses[address] = min(addresses.get(address, line.ts), line.ts)

    def told(self) -> dict[str, Any]:
        """The sections `keys` and `new_addresses`."""
        rows = [self._row(key) for key in sorted(self._facts)]
        return {"keys": [row for row in rows if row], "new_addresses": list(self._new_addresses())}

    def _learn(self, key: str, ts: str, facts: dict[str, Any]) -> None:
        known = self._facts.setdefault(key, {})
        for name, value in facts.items():
            if name not in known or known[name][0] <= ts:
                known[name] = (ts, value)

    def _row(self, key: str) -> dict[str, Any]:
        facts = {name: value for name, (_, value) in self._facts[key].items()}
        at_s, ends_s = self._period.until_s, _earliest(facts, "expires_s", "overlap_ends_s", "revoked_s")
        if ends_s is not None and ends_s < self._period.since_s:
            return {}
        created_s, review_s = number(facts.get("created_s")), number(facts.get("review_s"))
        last = max(self._last_use.get(key, ""), _ts_of(facts.get("last_used_s")))
        return {
            "key": key,
            "team": shown(facts.get("team")),
            "owner": shown(facts.get("owner")),
            "scopes": shown(facts.get("scopes")),
            "state": _state(facts, at_s),
            "age_days": None if created_s is None else int((at_s - created_s) // DAY_S),
            "ends": _ts_of(ends_s),
            "never_ends": ends_s is None and "expires_s" in facts,
            "review": "unknown" if review_s is None else "overdue" if review_s < at_s else "in time",
            "review_due": _ts_of(review_s),
            "requests": self._uses[key],
            "last_used": last,
            "unused": last < as_ts(max(0.0, at_s - UNUSED_DAYS * DAY_S)),
        }

    def _new_addresses(self) -> Any:
        for key, addresses in sorted(self._addresses.items()):
            first = min(addresses.values())
            for address, ts in sorted(addresses.items(), key=lambda each: (each[1], each[0])):
                if self._period.holds(ts):
                    yield {"key": key, "address": address, "first_seen": ts, "first_of_the_key": ts == first}


def _earliest(facts: dict[str, Any], *names: str) -> float | None:
    return min((at for name in names if (at := number(facts.get(name))) is not None), default=None)


def _state(facts: dict[str, Any], at_s: float) -> str:
    """As `policies.credentials.key_record` decides it, at the end of the period."""
    revoked_s, begins_s = number(facts.get("revoked_s")), number(facts.get("not_before_s"))
    if revoked_s is not None and revoked_s < at_s:
        return "revoked"
    if begins_s is not None and at_s < begins_s:
        return "not_yet_valid"
    ends_s = _earliest(facts, "expires_s", "overlap_ends_s")
    return "expired" if ends_s is not None and ends_s <= at_s else "active"


def _ts_of(at_s: Any) -> str:
    """A time of a key as records tell times; empty for none, or one that is no time."""
    seconds = number(at_s)
    return as_ts(seconds) if seconds is not None and 0 <= seconds < 253_402_300_800 else ""
