"""The pages of the part "audit" of the console.

Everybody signed in may search: the bound to their teams is in the question (`gateway.console.auditing.asking`). Records
leave with admins and auditors only; a review is signed by an auditor, never by an admin (NIST 800-53 AC-5).
"""

from gateway.console.auditing.handing_out import HandingOut
from gateway.console.auditing.log_reading import LogReading
from gateway.console.auditing.proof_state import Verifier
from gateway.console.auditing.record_pages import RecordPages
from gateway.console.auditing.review_pages import ReviewPages
from gateway.console.auditing.search_pages import SearchPages
from gateway.console.page import ConsoleRoute
from gateway.console.world import World
from policies.console.viewer import EVERY_ROLE, Role

KEEPERS: frozenset[Role] = frozenset({"admin", "auditor"})
SIGNERS: frozenset[Role] = frozenset({"auditor"})


def routes(world: World) -> tuple[ConsoleRoute, ...]:
    """The part's pages."""
    reading, verifier = LogReading(world.home, settle=world.settle), Verifier(world.home)
    search = SearchPages(world, reading)
    record = RecordPages(world, reading, verifier)
    review = ReviewPages(world, reading, search, verifier)
    out = HandingOut(world, reading, search)
    return (
        ConsoleRoute(method="GET", path="/audit", roles=EVERY_ROLE, answer=search.show, menu="audit.menu"),
        ConsoleRoute(method="POST", path="/audit/searches", roles=KEEPERS, answer=search.keep),
        ConsoleRoute(method="POST", path="/audit/searches/remove", roles=KEEPERS, answer=search.forget),
        ConsoleRoute(method="GET", path="/audit/record/{item}", roles=EVERY_ROLE, answer=record.record),
        ConsoleRoute(method="GET", path="/audit/request/{item}", roles=EVERY_ROLE, answer=record.request),
        ConsoleRoute(method="GET", path="/audit/key/{item}", roles=EVERY_ROLE, answer=record.key),
        ConsoleRoute(method="GET", path="/audit/addresses", roles=EVERY_ROLE, answer=record.new_addresses),
        ConsoleRoute(method="GET", path="/audit/proof/{item}", roles=EVERY_ROLE, answer=out.proof),
        ConsoleRoute(method="POST", path="/audit/export", roles=KEEPERS, answer=out.export),
        ConsoleRoute(method="POST", path="/audit/review", roles=SIGNERS, answer=review.sign),
        ConsoleRoute(method="GET", path="/audit/log", roles=KEEPERS, answer=review.log),
        ConsoleRoute(method="POST", path="/audit/verify", roles=KEEPERS, answer=review.verify),
    )
