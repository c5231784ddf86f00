"""What a visitor asks of the log: the conditions in the address or the form, bound to the teams that they may see.

The bound is part of the question itself (`Filter.teams`), so that nothing of another team is ever found and then
hidden. A kept search is everybody's: of one who sees some teams only, those that name one of these.
"""

from collections.abc import Mapping

from msgspec import Struct, structs

from gateway.audit.index.opened_records import OpenedRecords
from gateway.audit.index.saved_queries import Conditions, SavedQueries
from gateway.console.page import Turned, Visit
from gateway.homes.home import Home
from policies.auditing.conditions import Place, as_written, read_place, told_to_log
from policies.auditing.search_filter import NAMES, Filter, read_filter
from policies.console.viewer import Viewer
from policies.worded import worded


class Asked(Struct, frozen=True):
    """`typed` is what was typed, by name; `conditions` as records write them, those of a kept search below them."""

    typed: dict[str, str]
    conditions: dict[str, str]
    saved: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is no condition at all."""
        return not self.conditions


def asked_of(viewer: Viewer, given: Mapping[str, str], home: Home, now_us: int) -> Asked:
    """Blocks on the file of kept searches. Raises ValueError with a sentence for whoever typed it, QueryFault."""
    typed = {name: given[name].strip() for name in NAMES if given.get(name, "").strip()}
    saved = given.get("saved", "").strip()
    kept = kept_for(viewer, home).get(saved) if saved else {}
    if kept is None:
        raise ValueError(worded(f"no search is kept as {saved!r}", "search_not_kept", name=saved))
    written = as_written(typed)
    read_filter(kept | written, now_us)  # its faults
    return Asked(typed, kept | written, saved)


def kept_for(viewer: Viewer, home: Home) -> dict[str, Conditions]:
    """The kept searches that this viewer may use, by name. Raises QueryFault."""
    every = SavedQueries(home.path).all()
    return {name: each for name, each in sorted(every.items()) if viewer.may_see_team(each.get("team", ""))}


def filter_of(asked: Asked, viewer: Viewer, now_us: int, records: OpenedRecords) -> Filter:
    """The question, bound to the viewer's teams. Raises ValueError, AuditUnavailable."""
    found = read_filter(asked.conditions, now_us, records.pseudonyms)
    return bound_to(found, viewer)


def bound_to(asked: Filter, viewer: Viewer) -> Filter:
    """The same for the viewer's eyes."""
    teams = None if viewer.teams is None else tuple(sorted(viewer.teams))
    return structs.replace(asked, teams=teams)


def told(asked: Asked, viewer: Viewer, records: OpenedRecords) -> dict[str, str]:
    """What the log is told of the question."""
    people = records.pseudonyms(asked.conditions.get("actor", ""))
    return told_to_log(asked.conditions, people, scope_of(viewer))


def scope_of(viewer: Viewer, about: str = "") -> str:
    """What a question is about beside its conditions: the teams that whoever asked could see, unless all."""
    teams = [] if viewer.teams is None else [f"teams={','.join(sorted(viewer.teams))}"]
    return " ".join([*([about] if about else []), *teams])


def place_of(text: str) -> Place:
    """The record that an address names. Raises Turned."""
    try:
        return read_place(text)
    except ValueError:
        raise Turned(404, "audit.no_record") from None


def cursor_of(visit: Visit) -> Place | None:
    """Where the last page ended. Raises Turned."""
    text = visit.query.get("cursor", "")
    return place_of(text) if text else None
