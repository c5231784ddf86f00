"""A key's whole life in the console, on the real app: made, used, rotated, reviewed, revoked; and who may not."""

import contextlib
import html
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from policies.console.roles import RoleGrant
from policies.credentials.public_key import BLOB_HEAD, PublicKeyRecord, fingerprint, public_key_id
from policies.errors import AuditUnavailable, PolicyUnavailable
from policies.policy import KeyLimits, Limits, Team
from tests.flow.console_visitors import Browser, ConsoleSite, Got, console_site

BOTH = frozenset({"inference", "models"})
AUDITOR_OF_ONE = RoleGrant(role="auditor", groups=("/corral-auditors",), teams=("one",))
KEY = re.compile(r"corral_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
MADE_WITH_HOME = 1
"""The first key of a home, with a record of its own."""
FIELD = re.compile(r'<input type="hidden" name="(csrf|form_id)" value="([^"]*)">')
# One a minute, so that a use can still be seen a good while later.
TEAMS = {
    "one": Team(models=("*",), limits=Limits(tokens_per_day=1000), key_limits=KeyLimits(requests_per_minute=1)),
    "two": Team(models=("*",)),
}


@dataclass
class Desk:
    """The site and its public listener."""

    site: ConsoleSite
    public: str

    async def signed_in(self, person: str) -> Browser:
        browser = self.site.browser()
        landed = await browser.sign_in(person)
        assert landed.status == 200, landed.text
        if landed.onward:
            assert (await browser.get(landed.onward)).status in (200, 303)
        return browser

    async def call(self, key: str) -> int:
        """A client's request with this key."""
        asked = self.site.session.get(
            f"{self.public}/api/tags", headers={"Authorization": f"Bearer {key}"}, ssl=self.site.tls
        )
        async with asked as answer:
            return answer.status


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as public:
        port = public.getsockname()[1]
        async with console_site(tmp_path, more={"public": public}) as site:
            site.take_policy(teams=TEAMS)
            yield Desk(site, f"https://localhost:{port}")


async def send(browser: Browser, page: str, to: str, **fields: str) -> Got:
    """Fill the form of `page` that goes to `to`, as a person would: hidden fields are those of that form."""
    shown = await browser.get(page)
    assert shown.status == 200, shown.text
    form = re.search(rf'<form method="post" action="{re.escape(to)}".*?</form>', shown.text, re.DOTALL)
    assert form, f"no form to {to} on {page}: {shown.text}"
    return await browser.post(to, **dict(FIELD.findall(form[0])), **fields)


async def make_key(browser: Browser, team: str = "one", **fields: str) -> tuple[str, str]:
    """A new key's id and text."""
    terms = {"team": team, "expires": "90d", "scope_inference": "on", "scope_models": "on", "purpose": "nightly"}
    made = await send(browser, "/keys/new", "/keys/new", **(terms | fields))
    assert made.status == 200, made.text
    (text,) = set(KEY.findall(made.text))
    return text.split("_")[1], text


def words(got: Got) -> str:
    """The page as it is read."""
    bare = re.sub(r"<[^>]+>", " ", got.text.partition("<main")[2])
    return " ".join(html.unescape(bare).split())


async def test_the_whole_life_of_a_key(desk: Desk):
    ada = await desk.signed_in("ada")
    key_id, text = await make_key(ada, owner="team one's batch", reason="T-1 wants it")
    page = words(await ada.get(f"/keys/{key_id}"))
    assert "not used yet" in page
    assert "team one's batch" in page

    assert await desk.call(text) == 200
    page = words(await ada.get(f"/keys/{key_id}"))
    assert "not used yet" not in page
    assert "127.0.0.1" in page
    assert "1 of 60" in page  # the burst of its own limit
    assert "0 of 1 000" in page.replace("\N{NARROW NO-BREAK SPACE}", " ")  # its team's day

    rotated = await send(ada, f"/keys/{key_id}", f"/keys/rotate/{key_id}", overlap="12h", reason="quarter")
    (successor,) = set(KEY.findall(rotated.text))
    assert successor != text
    assert [await desk.call(each) for each in (text, successor)] == [200, 200]  # both hold for the overlap
    assert "being replaced" in words(await ada.get(f"/keys/{key_id}"))

    new_id = successor.split("_")[1]
    reviewed = await send(ada, f"/keys/{new_id}", f"/keys/review/{new_id}", next="30d")
    assert reviewed.status == 303
    revoked = await send(ada, f"/keys/{new_id}", f"/keys/revoke/{new_id}", sure="on", reason="laptop lost")
    assert (revoked.status, revoked.headers["Location"]) == (303, f"/keys/{new_id}")
    assert [await desk.call(each) for each in (text, successor)] == [200, 401]
    assert "laptop lost" in words(await ada.get(f"/keys/{new_id}"))

    events = ("key.created", "key.rotated", "key.reviewed", "key.revoked")
    assert [len(desk.site.records(each)) for each in events] == [MADE_WITH_HOME + 2, 1, 1, 1]
    (record,) = desk.site.records("key.revoked")
    assert record["change"]["object"] == f"key:{new_id}"
    assert record["change"]["reason"].startswith("enc:")  # an operator's words may name people


async def test_the_secret_is_shown_once_and_nowhere_else(desk: Desk):
    ada = await desk.signed_in("ada")
    terms = {"team": "one", "expires": "90d", "scope_inference": "on"}
    shown = await ada.get("/keys/new")
    hidden = dict(FIELD.findall(shown.text))
    made = await ada.post("/keys/new", **hidden, **terms)
    (text,) = set(KEY.findall(made.text))
    assert made.headers["Cache-Control"] == "no-store"
    assert text not in str(made.headers)

    again = await ada.post("/keys/new", **hidden, **terms)  # the page is loaded again
    assert again.status == 409
    assert not KEY.findall(again.text)
    assert len(desk.site.records("key.created")) == MADE_WITH_HOME + 1

    key_id = text.split("_")[1]
    secret = text.rpartition("_")[2]
    for path in ("/keys", f"/keys/{key_id}", "/teams/one", "/access", f"/policy/explain?key={key_id}"):
        assert secret not in (await ada.get(path)).text
    for file in desk.site.audit.parent.rglob("*"):
        assert not file.is_file() or file.is_socket() or secret.encode() not in file.read_bytes(), file


async def test_what_the_act_refuses_is_one_line_beside_the_form(desk: Desk):
    ada = await desk.signed_in("ada")
    form = {"team": "one", "scope_inference": "on", "owner": "ann <b>", "networks": "10.0.0.0/99"}
    refused = await send(ada, "/keys/new", "/keys/new", expires="soon", **form)
    assert refused.status == 400
    assert "is not a duration such as 90d" in words(refused)
    assert 'value="ann &lt;b&gt;"' in refused.text
    refused = await send(ada, "/keys/new", "/keys/new", expires="90d", **form)
    assert "10.0.0.0/99" in words(refused)
    assert len(desk.site.records("key.created")) == MADE_WITH_HOME
    assert len(desk.site.records("key.act_refused")) == 2

    key_id, text = await make_key(ada)
    unsure = await send(ada, f"/keys/{key_id}", f"/keys/revoke/{key_id}", reason="x")
    assert (unsure.status, await desk.call(text)) == (400, 200)
    pasted = await send(ada, f"/keys/{key_id}", f"/keys/review/{key_id}", next="30d", reason=f"is {text} ours?")
    assert pasted.status == 400
    assert text not in pasted.text
    long = await send(ada, f"/keys/{key_id}", f"/keys/rotate/{key_id}", overlap="900d")
    assert "overlap must be" in words(long)


async def test_a_lead_manages_the_keys_of_their_team_and_no_others(desk: Desk):
    ada, leo = await desk.signed_in("ada"), await desk.signed_in("leo")
    own, _ = await make_key(leo)
    other, _ = await make_key(ada, "two")
    strong, _ = await make_key(ada, "one", scope_admin="on")
    hidden = dict(FIELD.findall((await leo.get(f"/keys/{own}")).text))

    shown = words(await leo.get("/keys"))
    assert own in shown
    assert other not in shown
    assert "two" not in words(await leo.get("/teams"))
    missing = await leo.get("/keys/000000000000")
    for path in (f"/keys/{other}", "/teams/two", "/keys?team=two"):
        refused = await leo.get(path)
        assert (refused.status, words(refused).partition("To ask")[0]) == (
            missing.status,
            words(missing).partition("To ask")[0],
        )
    forbidden = [
        ("/keys/new", {"team": "two", "scope_inference": "on", "expires": "9d"}),
        ("/keys/new", {"team": "one", "scope_admin": "on", "expires": "9d"}),
        ("/keys/new", {"team": "one", "scope_inference": "on", "endless": "on"}),
        (f"/keys/rotate/{strong}", {"overlap": "1h"}),  # it would hand a lead an admin's key
        (f"/keys/revoke/{strong}", {"sure": "on"}),
        (f"/keys/rotate/{other}", {"overlap": "1h"}),
        (f"/keys/review/{other}", {"next": "9d"}),
        ("/access/lock", {"team": "one", "sure": "on"}),
        ("/access/grant", {"team": "one", "limit": "tokens_per_day", "value": "9999", "until": "1h"}),
    ]
    for path, fields in forbidden:
        answer = await leo.post(path, **hidden, **fields)
        assert answer.status in (403, 404), (path, answer.text)
        assert not KEY.findall(answer.text)
    assert len(desk.site.records("key.created")) == MADE_WITH_HOME + 3
    assert not desk.site.records("key.rotated")
    assert "/keys/rotate/" not in (await leo.get(f"/keys/{strong}")).text
    assert (await send(leo, f"/keys/{own}", f"/keys/revoke/{own}", sure="on")).status == 303


async def test_an_auditor_changes_nothing(desk: Desk):
    ada, audrey = await desk.signed_in("ada"), await desk.signed_in("audrey")
    key_id, _ = await make_key(ada)
    page = await audrey.get(f"/keys/{key_id}")
    assert page.status == 200
    assert "/keys/rotate/" not in page.text
    assert "/keys/new" not in (await audrey.get("/keys")).text
    hidden = dict(FIELD.findall((await audrey.get("/sessions")).text))
    for path in (f"/keys/rotate/{key_id}", f"/keys/revoke/{key_id}", "/access/revoke"):
        assert (await audrey.post(path, **hidden, sure="on", overlap="1h")).status in (403, 404)
    assert (await audrey.get("/keys/new")).status in (403, 404)
    assert not desk.site.records("key.revoked")


async def test_the_list_is_searched(desk: Desk):
    ada = await desk.signed_in("ada")
    nightly, _ = await make_key(ada, purpose="nightly batch")
    chat, _ = await make_key(ada, "two", purpose="chat", endless="on")
    shown = words(await ada.get("/keys?q=nightly"))
    assert nightly in shown
    assert chat not in shown
    shown = words(await ada.get("/keys?state=attention"))
    assert "never ends" in shown
    assert nightly not in shown
    assert "Keys found: 0" in words(await ada.get("/keys?q=%27%3B+drop+table"))


async def test_a_team_is_locked_down_and_let_in_again(desk: Desk):
    ada = await desk.signed_in("ada")
    key_id, text = await make_key(ada, "two")
    assert (await send(ada, "/access", "/access/lock", team="two")).status == 400
    assert await desk.call(text) == 200
    assert (await send(ada, "/access", "/access/lock", team="two", sure="on", reason="odd")).status == 303
    assert await desk.call(text) == 403
    assert "lockdown_team" in words(await ada.get(f"/keys/{key_id}"))
    assert "odd" in words(await ada.get("/teams/two"))
    assert (await send(ada, "/access", "/access/lift", team="two")).status == 303
    assert await desk.call(text) == 200
    assert [len(desk.site.records(f"lockdown.{each}")) for each in ("begun", "lifted")] == [1, 1]


async def test_a_limit_is_raised_for_a_while(desk: Desk):
    ada = await desk.signed_in("ada")
    grant = {"team": "one", "limit": "tokens_per_day", "value": "5000", "until": "12h"}
    assert "would raise nothing" in words(await send(ada, "/access", "/access/grant", **(grant | {"value": "10"})))
    assert (await send(ada, "/access", "/access/grant", **grant)).status == 303
    assert "5 000" in words(await ada.get("/teams/one")).replace("\N{NARROW NO-BREAK SPACE}", " ")
    ended = re.search(r'name="id" value="([0-9a-f]+)"', (await ada.get("/access")).text)
    assert ended
    assert (await send(ada, "/access", "/access/end", id=ended[1])).status == 303
    assert "ended" in words(await ada.get("/access?ended=1"))


async def test_a_person_is_revoked_and_leads_see_nothing_of_it(desk: Desk):
    ada, leo = await desk.signed_in("ada"), await desk.signed_in("leo")
    key_id, text = await make_key(ada, owner="mallory")
    assert "name one of" in words(await send(ada, "/access", "/access/revoke", kind="?", subject="x", sure="on"))
    done = await send(ada, "/access", "/access/revoke", kind="actor", subject="mallory", sure="on", reason="left")
    assert done.status == 303
    assert await desk.call(text) == 401
    assert "mallory" in words(await ada.get("/access"))
    assert "mallory" not in words(await leo.get("/access"))
    assert "revoked" in words(await leo.get(f"/keys/{key_id}"))


async def test_what_cannot_be_recorded_is_not_done(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    ada = await desk.signed_in("ada")
    shown = await ada.get("/keys/new")
    hidden = dict(FIELD.findall(shown.text))

    async def refuse(_entry: object) -> None:
        raise AuditUnavailable("audit_enospc")

    before = len(desk.site.app._keys.records())
    monkeypatch.setattr(desk.site.app._audit_log, "record", refuse)
    made = await ada.post("/keys/new", **hidden, team="one", scope_inference="on", expires="9d")
    monkeypatch.undo()
    assert made.status == 503
    assert not KEY.findall(made.text)
    assert len(desk.site.app._keys.records()) == before


async def test_both_languages_and_hostile_words(desk: Desk):
    ada = await desk.signed_in("ada")
    hostile = '"><img src=x onerror=alert(1)>{{1111*1111}}'
    key_id, _ = await make_key(ada, purpose=hostile, owner="</code><b>")
    for lang in ("en", "zh"):
        for path in ("/keys", f"/keys/{key_id}", "/teams", "/teams/one", "/access", "/keys/new"):
            got = await ada.get(f"{path}?lang={lang}")
            assert got.status == 200, (path, got.text)
            assert f'lang="{lang}"' in got.text
            assert "<img" not in got.text
            assert "1234321" not in got.text
    assert "密钥" in (await ada.get("/keys")).text


async def test_a_registered_public_key_is_shown_and_revoked_but_not_rotated(desk: Desk):
    ada = await desk.signed_in("ada")
    blob = BLOB_HEAD + bytes(range(32))
    public = PublicKeyRecord(id=public_key_id(blob), blob=blob, team="one", scopes=BOTH, created_s=1.0, expires_s=None)
    desk.site.app._keys.public_keys.save(public)
    page = await ada.get(f"/keys/{public.id}")
    assert fingerprint(blob) in words(page)
    assert "in the audit log only" in words(page)
    assert "/keys/rotate/" not in page.text
    hidden = dict(FIELD.findall((await ada.get("/keys/new")).text))
    refused = await ada.post(f"/keys/rotate/{public.id}", **hidden, overlap="1h")
    assert (refused.status, "is a registered public key" in words(refused)) == (400, True)
    assert (await send(ada, f"/keys/{public.id}", f"/keys/revoke/{public.id}", sure="on")).status == 303
    assert "revoked" in words(await ada.get(f"/keys/{public.id}"))


async def test_an_auditor_of_some_teams_sees_those(desk: Desk):
    ada = await desk.signed_in("ada")
    own, _ = await make_key(ada, "one")
    other, _ = await make_key(ada, "two")
    await send(ada, "/access", "/access/lock", team="two", sure="on", reason="secret matter")
    roles = (RoleGrant(role="admin", groups=("/corral-admins",)), AUDITOR_OF_ONE)
    desk.site.take_policy(roles=roles)
    audrey = await desk.signed_in("audrey")
    listed = words(await audrey.get("/keys"))
    assert own in listed
    assert other not in listed
    assert (await audrey.get(f"/keys/{other}")).status in (403, 404)
    assert "secret matter" not in words(await audrey.get("/access"))
    assert (await audrey.get("/policy/history")).status in (403, 404)
    assert (await audrey.get("/policy/explain?team=two")).status in (403, 404)
    assert (await audrey.get(f"/policy/explain?key={other}")).status == 400
    assert (await audrey.get("/policy/explain?team=one")).status == 200
    assert "teams.two" not in (await audrey.get("/policy")).text


async def test_a_key_whose_team_is_gone_or_time_is_over_says_so(desk: Desk):
    ada = await desk.signed_in("ada")
    gone, _ = await make_key(ada, "two")
    old, text = await make_key(ada)
    record = desk.site.app._keys.get(old)
    assert record is not None
    desk.site.app._keys.save(replace(record, expires_s=record.created_s))
    desk.site.take_policy(teams={"one": TEAMS["one"]})
    assert "no longer names this team" in words(await ada.get(f"/keys/{gone}"))
    page = await ada.get(f"/keys/{old}")
    assert "expired" in words(page)
    assert "/keys/rotate/" not in page.text
    assert await desk.call(text) == 401
    hidden = dict(FIELD.findall((await ada.get("/keys/new")).text))
    assert "create a new one instead" in words(await ada.post(f"/keys/rotate/{old}", **hidden, overlap="1h"))


async def test_while_the_counting_store_is_away_the_page_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    ada = await desk.signed_in("ada")
    key_id, _ = await make_key(ada)

    async def away(_claims: object) -> None:
        raise PolicyUnavailable("limits_away")

    monkeypatch.setattr(desk.site.app.gate.store, "use", away)
    page = await ada.get(f"/keys/{key_id}")
    assert page.status == 200
    assert "the use is not known" in words(page)


async def test_a_whole_key_in_an_address_is_led_to_its_id(desk: Desk):
    ada = await desk.signed_in("ada")
    key_id, text = await make_key(ada)
    for path, clean in (("/keys?q=", f"/keys?q={key_id}"), ("/policy/explain?key=", f"/policy/explain?key={key_id}")):
        led = await ada.get(path + text)
        assert (led.status, led.headers["Location"]) == (303, clean)
        assert text not in led.text
        assert key_id in (await ada.get(clean)).text
