"""The policy pages on the real app: the text in force and not the file's, its history, what it decides, patches."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from policies.credentials.revocation import Lockdown
from tests.flow.console_visitors import ConsoleSite, console_site
from tests.flow.test_console_keys import Desk, make_key, words

TEXT = """\
# who may call
teams:
  one:
    models: ["*"]
    limits:
      tokens_per_day: 1000   # T-1
  two:
    models: ["m"]
    networks:
      allow: [10.1.0.0/16]
networks:
  allow: [127.0.0.0/8, 10.0.0.0/8]
roles:
  - {role: admin, groups: [/corral-admins]}
  - {role: auditor, groups: [/corral-auditors]}
  - {role: team-lead, groups: [/corral-leads], teams: [one]}
"""


async def take(site: ConsoleSite, text: str) -> None:
    """Put the file in its place, as an editor would, and wait until the gateway has judged it."""
    watch = site.app._policy_watch
    before = (watch.in_force.hash, watch.refusal)
    fresh = watch.path.with_name("fresh.yaml")
    fresh.write_text(text)
    fresh.rename(watch.path)
    for _ in range(1500):
        if (watch.in_force.hash, watch.refusal) != before:
            break
        await asyncio.sleep(0.02)
    assert (watch.in_force.hash, watch.refusal) != before


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with console_site(tmp_path) as site:
        await take(site, TEXT)
        yield Desk(site, "")


async def test_the_text_in_force_is_shown_while_the_file_is_another(desk: Desk):
    ada = await desk.signed_in("ada")
    live = await ada.get("/policy")
    assert live.status == 200
    assert "tokens_per_day: 1000   # T-1" in live.text
    assert '<li id="line-6">' in live.text
    assert desk.site.app.gate.in_force.hash in live.text
    await take(desk.site, TEXT.replace("models", "modls"))
    live = await ada.get("/policy")
    assert "models: [&#34;*&#34;]" in live.text
    assert "which is not taken" in words(live)
    assert "modls" in words(live)  # why, with its line


async def test_the_history_says_who_changed_what_and_that_somebody_looked(desk: Desk):
    ada = await desk.signed_in("ada")
    await take(desk.site, TEXT.replace("1000", "2000"))
    await take(desk.site, "teams: [")
    history = words(await ada.get("/policy/history"))
    assert "teams.one.limits.tokens_per_day: 1000 -> 2000" in history
    assert "author unknown" in history
    refused = words(await ada.get("/policy/history?show=refused"))
    assert "policy_faulty" in refused
    assert "not valid YAML" in refused
    searched = desk.site.records("audit.searched")
    assert len(searched) == 2
    assert all(each["change"]["details"]["filter"].startswith("enc:") for each in searched)


async def test_leads_see_their_team_of_the_policy_and_no_more(desk: Desk):
    leo = await desk.signed_in("leo")
    live = await leo.get("/policy")
    assert "teams.one.limits.tokens_per_day" in live.text
    for other in ("teams.two", "10.1.0.0", "corral-admins", "# who may call"):
        assert other not in live.text
    for path in ("/policy/history", "/policy/explain?team=one", "/policy/patch?setting=max_queued&value=5"):
        assert (await leo.get(path)).status in (403, 404)


async def test_explain_answers_for_a_team_a_key_an_address_and_a_model(desk: Desk):
    ada = await desk.signed_in("ada")
    passed = words(await ada.get("/policy/explain?team=one&route=GET+/api/tags"))
    assert "It would be let through." in passed
    refused = await ada.get("/policy/explain?team=two&address=10.2.0.1&route=GET+/api/tags")
    assert "It would be refused with 403." in words(refused)
    assert "teams.two.networks" in words(refused)
    assert 'href="/policy#line-9"' in refused.text
    unknown = words(await ada.get("/policy/explain?team=one&model=nothing"))
    assert "model_not_in_catalogue" in unknown
    key_id, _ = await make_key(ada, "two")
    assert "of team two" in words(await ada.get(f"/policy/explain?key={key_id}&address=10.1.2.3&route=GET+/api/tags"))
    desk.site.app._keys.revocations.lock(_lockdown("two"))
    locked = words(await ada.get(f"/policy/explain?key={key_id}&address=10.1.2.3&route=GET+/api/tags"))
    assert "lockdown_team" in locked


def _lockdown(team: str) -> Lockdown:
    return Lockdown(team=team, since_s=time.time())


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("key=nobody", "No key of yours has this id"),
        ("team=one&address=here", "such as 192.0.2.7"),
        ("team=one&route=everything", "Write the method and the path"),
        ("team=one&listener=backdoor", "Choose one of the listeners"),
        ("team=one&scopes=root", "Choose a kind of credential"),
    ],
)
async def test_a_question_without_an_answer_is_one_line(desk: Desk, query: str, told: str):
    ada = await desk.signed_in("ada")
    page = await ada.get(f"/policy/explain?{query}")
    assert page.status == 400
    assert told in words(page)


async def test_a_patch_is_printed_and_is_one(desk: Desk, tmp_path: Path):
    ada = await desk.signed_in("ada")
    query = "setting=teams.one.limits.tokens_per_day&value=5000"
    page = words(await ada.get(f"/policy/patch?{query}"))
    assert "teams.one.limits.tokens_per_day: 1000 -> 5000" in page
    assert "+ tokens_per_day: 5000 # T-1" in page
    sent = await ada.get(f"/policy/patch?{query}&download=1")
    assert "attachment" in sent.headers["Content-Disposition"]
    (tmp_path / "policy.yaml").write_text(TEXT)
    (tmp_path / "policy.patch").write_text(sent.text)
    done = await asyncio.create_subprocess_exec("git", "apply", "policy.patch", cwd=tmp_path)
    assert await done.wait() == 0
    assert (tmp_path / "policy.yaml").read_text() == TEXT.replace("1000", "5000")
    assert "is not taken" not in words(await ada.get("/policy"))  # nothing was changed
    assert desk.site.app.gate.in_force.policy.teams["one"].limits.tokens_per_day == 1000
    for bad in ("setting=a b&value=1", "setting=max_queued&value=0", "setting=max_queued&value="):
        assert (await ada.get(f"/policy/patch?{bad}")).status == 400


async def test_hostile_questions_are_text(desk: Desk):
    ada = await desk.signed_in("ada")
    hostile = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
    for path in (
        f"/policy/explain?team=one&model={hostile}",
        f"/policy/explain?key={hostile}",
        f"/policy/explain?team=one&route=GET+/{hostile}",
        f"/policy/patch?setting={hostile}&value={hostile}",
        f"/policy/history?show={hostile}",
        f"/policy/history?cursor={hostile}",
    ):
        got = await ada.get(path)
        assert got.status in (200, 400, 404), got.text
        assert "<script>" not in got.text
