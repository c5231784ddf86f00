"""A day in the life of a house: served and refused requests, keys made, replaced and ended, two changes of the policy.

What the pages show of it is asserted by name elsewhere, so everything that happens here is in `Happened`.
"""

import json
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from tests.browser.console_house import HELPER, PRANKSTER, ROLES, TEAMS, ConsoleHouse
from tests.e2e.serving import until

WARD, LAB, STRANGER = "127.0.0.7", "127.0.0.11", "127.0.0.99"
"""Addresses; the last is outside of what the team research may use."""


class Happened(Struct, kw_only=True):
    """Ids of keys by what they are for, their texts, a request that was served and one refused, where the record of
    the last change of the policy stands (CHAIN:SEQ), and when the first of it happened.
    """

    ids: dict[str, str] = {}
    texts: dict[str, str] = {}
    served: str = ""
    refused: str = ""
    record: str = ""
    since: datetime


def policy_with(**changes: Any) -> dict[str, Any]:
    """The house's policy, with `changes` at its top."""
    return {"networks": {"allow": ["127.0.0.0/8"]}, "roles": ROLES, "teams": TEAMS, **changes}


def live(house: ConsoleHouse, policy: dict[str, Any]) -> Happened:
    """Let it all happen; every outcome is asserted, so that the pages' tests need not wonder."""
    happened = Happened(since=datetime.now(UTC))
    _make_keys(house, happened)
    _serve_and_refuse(house, happened)
    _change_policy(house, policy)
    _end_keys(house, happened)
    happened.record = _last_change(house)
    return happened


def _last_change(house: ConsoleHouse) -> str:
    found = house.corral.command("audit", "search", "--event", "policy.changed", "--limit", "1", "--json").stdout
    (hit,) = json.loads(found)["hits"]
    return f"{hit['chain']}:{hit['seq']}"


def _make_keys(house: ConsoleHouse, happened: Happened) -> None:
    wanted = {
        "ward": {"team": "clinic", "owner": "Dr Amara Obi", "purpose": "ward round notes"},
        "lab": {"team": "research", "owner": "Mei Lin", "purpose": "literature search"},
        "night": {"team": "nightly", "owner": "batch", "purpose": "nightly summaries", "ticket": "OPS-311"},
        "trial": {"team": "research", "owner": "Jonas Weiss", "purpose": "trial for a week", "expires": "1s"},
        "old": {"team": "clinic", "owner": "Dr Amara Obi", "purpose": "the first ward key"},
        "lost": {"team": "clinic", "owner": "Ilse Brandt", "purpose": "laptop"},
    }
    for name, terms in wanted.items():
        made = house.new_key(**terms)
        happened.ids[name], happened.texts[name] = made["id"], made["key"]


def _serve_and_refuse(house: ConsoleHouse, happened: Happened) -> None:
    keys = happened.texts
    for address in (WARD, WARD, LAB):
        served = house.chat(keys["ward"], address=address)
        assert served.status == 200, served.body
    happened.served = served.request_id
    assert house.chat(keys["lab"], address=LAB).status == 200
    assert house.chat(keys["lab"], PRANKSTER, address=LAB).status in (403, 404), "not a model of this team"
    refused = house.chat(keys["lab"], address=STRANGER)
    assert refused.status == 403, refused.body
    happened.refused = refused.request_id
    assert house.chat(keys["ward"][:-6] + "AAAAAA", address=STRANGER).status == 401
    statuses = [house.chat(keys["night"], address=LAB).status for _ in range(4)]
    assert statuses[-1] == 429, statuses
    assert until(lambda: house.chat(keys["trial"]).status == 401), "it ends after a second"


def _change_policy(house: ConsoleHouse, policy: dict[str, Any]) -> None:
    narrower = {**TEAMS, "research": {**TEAMS["research"], "models": [HELPER], "weight": 2}}
    house.change_policy({**policy, "teams": {**narrower, "guests": {"models": [HELPER]}}})
    house.change_policy({**policy, "teams": narrower})


def _end_keys(house: ConsoleHouse, happened: Happened) -> None:
    ids, texts = happened.ids, happened.texts
    made = house.act("keys.rotate", id=ids["old"], overlap="24h", reason="yearly", ticket="SEC-12")
    ids["new"], texts["new"] = made["id"], made["key"]
    assert house.chat(texts["new"], address=WARD).status == 200
    assert house.chat(texts["old"], address=WARD).status == 200, "both hold, and the old one's use is told"
    house.act("keys.revoke", id=ids["lost"], reason="laptop stolen on the train", ticket="SEC-44")
    assert house.chat(texts["lost"], address=STRANGER).status == 401
    house.act("keys.review", id=ids["ward"], reason="still needed")
