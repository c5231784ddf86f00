"""What a viewer of the console may do with which keys. A page asks before it plans an act; the act then runs as ever.

Rules:
 (1) An admin manages every key.
 (2) An auditor manages none.
 (3) A team lead manages the keys of their own teams that hold no scope beyond `LEAD_SCOPES`. Whoever makes or rotates
     a key is shown its secret, and one with `admin` signs in as break-glass: without this, a lead would be an admin as
     soon as the team has such a key (confused deputy, CWE-441).
 (4) A key without an end is an admin's to make.
 (5) Only an admin ends what a whole person or team holds, locks down, or grants exceptions from limits.

A key's team and scopes never change after it was made, so what was judged still holds when the act is carried out.
"""

from collections.abc import Set

from policies.console.viewer import Viewer
from policies.credentials.key_record import SCOPES
from policies.errors import NotAuthorized

LEAD_SCOPES = frozenset({"inference", "models"})


def offered_scopes(viewer: Viewer) -> tuple[str, ...]:
    """The scopes that a key may be given by this viewer, in the order of a form."""
    given = {"admin": SCOPES, "team-lead": LEAD_SCOPES}.get(viewer.role, frozenset[str]())
    return tuple(sorted(given, key=lambda scope: (scope not in LEAD_SCOPES, scope)))


def may_manage(viewer: Viewer, team: str, scopes: Set[str]) -> bool:
    """Rules 1 to 3 for a key of `team` with `scopes`, one that is or one that is asked for."""
    return viewer.may_see_team(team) and scopes <= set(offered_scopes(viewer))


def require_manage(viewer: Viewer, team: str, scopes: Set[str]) -> None:
    """Raises NotAuthorized by rules 1 to 3."""
    viewer.require_team(team)
    if not may_manage(viewer, team, scopes):
        raise NotAuthorized("console_key_not_theirs")


def require_endless(viewer: Viewer) -> None:
    """Raises NotAuthorized by rule 4."""
    viewer.require_role("admin")


def may_command(viewer: Viewer) -> bool:
    """Rule 5."""
    return viewer.role == "admin"
