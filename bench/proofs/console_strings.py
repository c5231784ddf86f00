"""All 515 naughty strings in records and through every field of the console: nothing of them runs, all of it is text.

A real Corral, a real Chromium. Each string is asked for as a model, and is owner, purpose, reason and ticket of a key;
every page that shows such a key or its records is looked at. Then every form of every page that takes text is sent with
every string in all of its fields. Must hold for each page: the browser tells of no dialog, no script, no refusal by the
content security policy; the page holds no element that it has not of itself.
"""

import tempfile
from pathlib import Path
from typing import Any

from tests.browser import naughty
from tests.browser.chromium import chromium
from tests.browser.console_house import open_house
from tests.browser.every_page import ADMIN, PAGES
from tests.browser.lived_in import live, policy_with
from tests.browser.signing_in import signed_in

FIELD_CHARS = 240
"""What most fields take."""


def prove() -> dict[str, Any]:
    """The figures; raises AssertionError for whatever does not hold."""
    strings = naughty.all_strings()
    policy = policy_with(address_limits={"requests_per_minute": None})  # a refusal for the rate reads no model
    with tempfile.TemporaryDirectory() as folder, open_house(Path(folder), policy) as house:
        happened = live(house, policy)
        models = naughty.as_models(house, happened.texts["ward"], strings)
        made = naughty.into_records(house, "clinic", strings)
        with chromium(*house.certificates) as browser, signed_in(house, browser, ADMIN) as (watch, page):
            looked = naughty.shown_at("clinic", made["ids"])
            for address in looked:
                page.goto(address)
                naughty.look(watch, page)
            addresses = [shown.of(happened) for shown in PAGES.values() if shown.person == ADMIN]
            fields = naughty.through_fields(watch, page, addresses, naughty.joined(strings, FIELD_CHARS))
    assert fields["forms"] >= 8, fields
    assert set(models) <= {400, 404}, models
    told = {"strings": len(strings), "as_models_by_status": dict(models), "refused_as_keys_terms": made["refused"]}
    return {**told, "pages_looked_at": len(looked), **fields}
