"""All pages of the console by name, with an address that has something to show, and who is to see them."""

from msgspec import Struct

from tests.browser.lived_in import Happened

ADMIN, AUDITOR, LEAD = "ada", "audrey", "leo"


class Shown(Struct, frozen=True):
    """One page: its address with the names of `Happened` in braces, and who looks at it."""

    address: str
    person: str = ADMIN

    def of(self, happened: Happened) -> str:
        """The address in a house where all of it happened."""
        return self.address.format(**happened.ids, served=happened.served, record=happened.record)


PAGES = {
    "overview": Shown("/"),
    "audit": Shown("/audit"),
    "audit_refused": Shown("/audit?outcome=deny&since=24h", AUDITOR),
    "audit_nothing_found": Shown("/audit?reason=no_such_reason"),
    "audit_bad_condition": Shown("/audit?since=soon"),
    "audit_record": Shown("/audit/record/{record}", AUDITOR),
    "audit_request": Shown("/audit/request/{served}", AUDITOR),
    "audit_key": Shown("/audit/key/{ward}", AUDITOR),
    "audit_addresses": Shown("/audit/addresses", AUDITOR),
    "audit_log": Shown("/audit/log", AUDITOR),
    "keys": Shown("/keys"),
    "key_active": Shown("/keys/{ward}"),
    "key_replaced": Shown("/keys/{old}"),
    "key_revoked": Shown("/keys/{lost}"),
    "key_new": Shown("/keys/new"),
    "teams": Shown("/teams"),
    "team": Shown("/teams/nightly"),
    "access": Shown("/access"),
    "models": Shown("/models"),
    "policy": Shown("/policy"),
    "policy_history": Shown("/policy/history"),
    "policy_explain": Shown("/policy/explain?team=research&address=127.0.0.99&model=helper:1b"),
    "policy_patch": Shown("/policy/patch"),
    "chat": Shown("/chat", LEAD),
    "lead_overview": Shown("/", LEAD),
    "lead_keys": Shown("/keys", LEAD),
    "lead_audit": Shown("/audit", LEAD),
    "sessions": Shown("/sessions"),
    "not_found": Shown("/nothing-here"),
}
REFUSED = {"not_found": 404, "audit_bad_condition": 400}
"""Pages that are answered with another status than 200."""
