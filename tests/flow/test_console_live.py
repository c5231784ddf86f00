"""The overview, models and chat pages of a whole gateway over TLS, as each role sees them."""

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import app
from gateway.console import handing_on
from policies.audit_record import Actor
from policies.call import Final, Text, Usage
from policies.console.last_hour import STEP_S
from policies.policy import Team
from tests.fakes import FakeEngine
from tests.flow.console_visitors import Browser, ConsoleSite, Got, console_site

ADMIN, AUDITOR, LEAD = "ada", "audrey", "leo"
TEAMS = {"one": Team(models=("*",)), "two": Team(models=("*",))}
TOKEN = re.compile(r'name="csrf" value="([0-9a-f]+)"')


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Takes the place of all engines; its model is `m:latest`."""
    engine = FakeEngine(script=[Text("<b>Par"), Text("is</b>"), Final("stop", Usage(prompt_tokens=3, output_tokens=2))])
    monkeypatch.setattr(app, "open_engines", lambda *_: (engine,))
    return engine


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[ConsoleSite]:
    async with console_site(tmp_path) as site:
        site.take_policy(teams=TEAMS)
        yield site


async def visitor(site: ConsoleSite, person: str) -> Browser:
    browser = site.browser()
    assert (await browser.sign_in(person)).status == 200
    return browser


async def asked(site: ConsoleSite, person: str, path: str, **form: str) -> Got:
    browser = await visitor(site, person)
    token = TOKEN.search((await browser.get("/sessions")).text)
    assert token is not None
    return await browser.post(path, csrf=token[1], **form)


@pytest.mark.parametrize("person", [ADMIN, AUDITOR, LEAD])
@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_the_overview_and_models_are_shown_to_every_role(site: ConsoleSite, person: str, lang: str) -> None:
    browser = await visitor(site, person)
    for path, words in (
        ("/", {"en": "Queue by team", "zh": "各团队的队列"}),
        ("/models", {"en": "Models", "zh": "模型"}),
    ):
        page = await browser.get(f"{path}?lang={lang}")
        assert page.status == 200, page.text
        assert words[lang] in page.text
        assert f'<html lang="{lang}">' in page.text


async def test_a_lead_is_shown_nothing_of_the_whole(site: ConsoleSite) -> None:
    lead, admin = await visitor(site, LEAD), await visitor(site, ADMIN)
    for words in ("Targets", "Policy and trust", "not anchored off this host", "Certificate of the listeners"):
        assert words in (await admin.get("/?lang=en")).text
        assert words not in (await lead.get("/?lang=en")).text


async def test_the_live_document_follows_the_clock_and_the_viewer(site: ConsoleSite) -> None:
    lead, admin = await visitor(site, LEAD), await visitor(site, ADMIN)
    for browser, running in ((lead, "0"), (admin, "0 / 0")):
        got = await browser.get("/overview/live")
        assert got.headers["Content-Type"] == "application/json; charset=utf-8"
        document = json.loads(got.text)
        assert document["figures"]["running"] == running
        assert len({len(column) for column in document["hour"].values() if isinstance(column, list)}) == 1


async def test_an_auditor_does_not_chat(site: ConsoleSite) -> None:
    page = await (await visitor(site, AUDITOR)).get("/chat")
    assert page.status == 403
    assert (await asked(site, AUDITOR, "/chat/stream", team="one", model="m", question="Hi")).status == 403
    reasons = [each["decision"]["reason"] for each in site.records("request.denied")]
    assert reasons == ["console_role_missing"] * 2


async def test_without_a_model_the_chat_says_so(site: ConsoleSite) -> None:
    lead, admin = await visitor(site, LEAD), await visitor(site, ADMIN)
    assert "The team one may use no model that chats." in (await lead.get("/chat?lang=en")).text
    page = (await admin.get("/chat?lang=en&team=two")).text
    assert "The team two may use no model that chats." in page
    assert '<option value="two" selected>' in page
    assert "The team one may" in (await lead.get("/chat?lang=en&team=two")).text


async def test_a_question_takes_the_way_of_every_client(site: ConsoleSite) -> None:
    got = await asked(site, LEAD, "/chat/stream", team="one", model="absent", question="Hi")
    assert (got.status, json.loads(got.text)["error"]["code"]) == (404, "model_not_found")
    assert got.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert got.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    (record,) = site.records("request.denied")
    assert record["action"]["route"] == "/v1/chat/completions"
    assert (record["actor"]["team"], record["actor"]["method"]) == ("one", "session")
    assert (record["src"]["listener"], record["decision"]["reason"]) == ("console", "model_not_in_catalogue")


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
async def test_another_team_is_refused_in_both_ways(site: ConsoleSite, path: str) -> None:
    got = await asked(site, LEAD, path, team="two", model="m", question="Hi <b>", turns="")
    assert got.status == 403
    assert "forbidden" in got.text
    (record,) = site.records("request.denied")
    assert record["decision"]["reason"] == "console_chat_not_theirs"


async def test_what_the_form_holds_is_read_strictly(site: ConsoleSite) -> None:
    for form in ({"team": "one"}, {"team": "one", "model": "m", "question": "q", "turns": "{"}):
        assert (await asked(site, LEAD, "/chat/stream", **form)).status == 400


async def test_a_question_without_the_sessions_token_is_not_asked(site: ConsoleSite) -> None:
    browser = await visitor(site, LEAD)
    got = await browser.post("/chat/stream", team="one", model="m", question="Hi", csrf="0" * 64)
    assert got.status == 400
    assert not [each for each in site.records("request.denied") if each["action"]["route"] != "/chat/stream"]


async def test_who_is_not_signed_in_is_shown_nothing(site: ConsoleSite) -> None:
    for path in ("/", "/overview/live", "/models", "/chat"):
        got = await site.browser().get(path)
        assert (got.status, got.headers["Location"]) == (303, "/sign-in")


async def test_a_lockdown_is_told_to_those_it_concerns(site: ConsoleSite) -> None:
    lead, admin = await visitor(site, LEAD), await visitor(site, ADMIN)
    await site.app._act("lockdown", {"team": "two", "reason": "drill"}, Actor(kind="operator", name="ops"))
    assert "Locked down" in (await admin.get("/?lang=en")).text
    assert "Locked down" not in (await lead.get("/?lang=en")).text


async def test_a_request_is_counted_as_it_ends(site: ConsoleSite) -> None:
    await asked(site, LEAD, "/chat/stream", team="one", model="absent", question="Hi")
    hour = site.app._hour._hour.shown(frozenset({"one"}), site.app._clock.mono_ns() / 1e9 + STEP_S)
    assert hour.refused == {"model_not_in_catalogue": 1}


async def test_a_reason_leads_to_its_records(site: ConsoleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    await asked(site, LEAD, "/chat/stream", team="one", model="absent", question="Hi")
    clock = site.app._clock.mono_ns() + STEP_S * 10**9
    monkeypatch.setattr(site.app._hour, "_now_s", lambda: clock / 1e9)
    browser = await visitor(site, LEAD)
    link = re.search(r'href="(/audit[?]reason=model_not_in_catalogue[^"]+)"', (await browser.get("/")).text)
    assert link is not None
    assert (await browser.get(html.unescape(link[1]))).status == 200


async def test_an_answer_streams_with_our_headers(engine: FakeEngine, site: ConsoleSite) -> None:
    got = await asked(site, LEAD, "/chat/stream", team="one", model="m", question="Capital?")
    assert (got.status, got.headers["Content-Type"]) == (200, "text/event-stream")
    assert got.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert [line[:6] for line in got.text.splitlines() if line] == ["data: "] * 5
    assert got.text.endswith("data: [DONE]\n\n")
    (call,) = engine.calls
    assert (call.cache_scope, call.messages[0].content) == ("team:one", "Capital?")
    (record,) = site.records("request.completed")
    assert (record["src"]["listener"], record["actor"]["method"]) == ("console", "session")


async def test_without_a_script_the_page_has_the_answer_as_text_and_goes_on(
    engine: FakeEngine, site: ConsoleSite
) -> None:
    page = await asked(site, LEAD, "/chat", team="one", model="m:latest", question="Capital?", lang="en")
    assert page.status == 200
    assert "&lt;b&gt;Paris&lt;/b&gt;" in page.text
    assert "<b>Par" not in page.text
    turns = html.unescape(re.search(r'name="turns" value="([^"]*)"', page.text)[1])  # type: ignore[index]
    await asked(site, LEAD, "/chat", team="one", model="m:latest", question="And?", turns=turns)
    assert [each.content for each in engine.calls[1].messages] == ["Capital?", "<b>Paris</b>", "And?"]


async def test_a_role_taken_away_ends_the_answer_and_the_session(
    engine: FakeEngine, site: ConsoleSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_on, "LOOK_S", 0.01)
    engine.hold = asyncio.Event()
    asking = asyncio.create_task(asked(site, LEAD, "/chat/stream", team="one", model="m", question="Capital?"))
    async with asyncio.timeout(60):
        while not engine.calls:  # noqa: ASYNC110 (the fake tells nobody)
            await asyncio.sleep(0.01)
        site.take_policy(roles=())
        got = await asking
    assert '"code":"invalid_api_key"' in got.text
    assert "[DONE]" not in got.text
    (cut,) = site.records("request.cut")
    assert cut["decision"]["reason"] == "session_over_while_running"
    assert [each["decision"]["reason"] for each in site.records("session.closed")] == ["console_role_none"]
    assert engine.running == 0


async def test_the_models_page_shows_what_serves_a_model(engine: FakeEngine, site: ConsoleSite) -> None:
    browser = await visitor(site, LEAD)
    page = (await browser.get("/models?lang=en")).text
    assert "m:latest" in page
    assert "served by 1" in page
    engine.announce(ready=False)
    page = (await browser.get("/models?lang=en")).text
    assert "NOT SERVED NOW" in page
    assert "AWAY:" in page
    site.take_policy(teams={"one": Team(), "two": TEAMS["two"]})
    assert "No model is offered to your teams." in (await browser.get("/models?lang=en")).text


@pytest.mark.parametrize(
    ("scopes", "words"),
    [
        (["admin"], "There is no team that you may chat as."),
        (["admin", "inference"], 'name="team" value="one"'),
    ],
)
async def test_who_came_in_by_a_key_chats_as_far_as_the_key(
    engine: FakeEngine, site: ConsoleSite, scopes: list[str], words: str
) -> None:
    made = await site.app._act("keys.create", {"team": "one", "scopes": scopes}, Actor(kind="operator", name="ops"))
    browser = site.browser()
    assert (await browser.post("/sign-in/key", key=made["key"])).status == 303
    page = (await browser.get("/chat?lang=en")).text
    assert words in page
    assert '<option value="two"' not in page
