"""The reviewer's questions on the real app: answered from the log itself, recorded first, and within one's teams."""

import asyncio
import contextlib
import io
import re
import socket
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from policies.auditing.signed_note import read_vkey
from policies.auditing.tlog_proof import read_proof, verify_proof
from policies.errors import AuditUnavailable
from tests.flow.console_visitors import Browser, Got, console_site
from tests.flow.test_console_keys import FIELD, TEAMS, Desk, make_key, send, words

RECORD = re.compile(r'href="(/audit/record/[^"]+)"')
REFUSED = "/audit?ask=refused&since=1h"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as public:
        port = public.getsockname()[1]
        async with console_site(tmp_path, more={"public": public}) as site:
            site.take_policy(teams=TEAMS)
            yield Desk(site, f"https://localhost:{port}")


@pytest.fixture
async def lived(desk: Desk) -> tuple[str, str]:
    """A key of team one that was used, revoked and used again; a key of team two that was used."""
    ada = await desk.signed_in("ada")
    mine, text = await make_key(ada, owner="batch", reason="T-1 wants it")
    theirs, other = await make_key(ada, team="two")
    assert [await desk.call(text), await desk.call(other)] == [200, 200]
    await send(ada, f"/keys/{mine}", f"/keys/revoke/{mine}", reason="left the company", sure="on")
    assert await desk.call(text) == 401
    return mine, theirs


async def download(browser: Browser, path: str):
    """An answer whose body is no text."""
    cookies = "; ".join(f"{name}={value}" for name, (value, _) in browser.cookies.items())
    headers = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}
    site = browser.site
    return await site.session.get(site.origin + path, headers=headers, ssl=site.tls)


async def post(browser: Browser, page: str, to: str, **fields: str) -> Got:
    """Send the form of `page` that goes to `to`, with all its hidden fields."""
    shown = await browser.get(page)
    form = re.search(rf'<form method="post" action="{re.escape(to)}".*?</form>', shown.text, re.DOTALL)
    assert form, f"no form to {to} on {page}: {words(shown)}"
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[0]))
    return await browser.post(to, **(hidden | fields))


async def test_who_was_refused_and_why(desk: Desk, lived: tuple[str, str]):
    audrey = await desk.signed_in("audrey")
    page = await audrey.get(REFUSED)
    assert page.status == 200
    assert lived[0] in words(page)
    assert "the key was revoked" in words(page)
    assert "127.0.0.1" in words(page)
    (searched,) = desk.site.records("audit.searched")
    assert searched["actor"]["kind"] == "subject"
    record = await audrey.get(RECORD.findall(page.text)[-1])
    assert "request.unauthenticated" in words(record)
    assert "revoked" in words(record)
    assert len(desk.site.records("audit.viewed")) == 1


async def test_what_a_key_did_and_from_where(desk: Desk, lived: tuple[str, str]):
    audrey = await desk.signed_in("audrey")
    page = words(await audrey.get(f"/audit/key/{lived[0]}?since=24h"))
    for said in ("127.0.0.1", "key.created", "key.revoked", "request.unauthenticated", "/api/tags", "left the company"):
        assert said in page, said
    assert lived[1] not in page


async def test_who_changed_what_with_before_and_after(desk: Desk, lived: tuple[str, str]):
    audrey = await desk.signed_in("audrey")
    page = words(await audrey.get("/audit?ask=changes&since=1h"))
    assert "u-ada" in page
    assert "T-1 wants it" in page
    assert "revoked_reason" in page


async def test_a_team_lead_finds_the_own_team_s_records_alone(desk: Desk, lived: tuple[str, str]):
    leo, audrey = await desk.signed_in("leo"), await desk.signed_in("audrey")
    mine = await leo.get("/audit?since=1h")
    assert lived[0] in mine.text
    assert lived[1] not in mine.text
    refused = await leo.get(REFUSED)  # the secret was a key's of the team, so its refusal is the team's
    assert lived[0] in words(refused)
    assert "the key was revoked" in words(refused)
    theirs = RECORD.findall((await audrey.get(f"/audit?key={lived[1]}")).text)[-1]
    assert (await audrey.get(theirs)).status == 200
    seen = await leo.get(theirs)
    assert seen.status == 404
    assert lived[1] not in seen.text
    assert (await leo.get(f"/audit/key/{lived[1]}")).status == 404
    assert (await leo.get("/audit/log")).status == 403


async def test_an_export_leaves_with_its_record(desk: Desk, lived: tuple[str, str]):
    audrey = await desk.signed_in("audrey")
    sent = await post(audrey, REFUSED, "/audit/export", format="csv", why="monthly review", ticket="R-1")
    assert sent.status == 200
    assert "attachment" in sent.headers["Content-Disposition"]
    assert sent.text.count("\r\n") == 2
    assert '"revoked"' in sent.text
    (exported,) = desk.site.records("audit.exported")
    assert exported["change"]["details"]["format"] == "csv"
    leo = await desk.signed_in("leo")
    token = FIELD.findall((await leo.get("/audit?since=1h")).text)
    assert (await leo.post("/audit/export", **dict(token), format="csv")).status == 403


async def test_one_record_leaves_with_a_proof_once_it_is_signed(desk: Desk, lived: tuple[str, str]):
    audrey = await desk.signed_in("audrey")
    first = RECORD.findall((await audrey.get("/audit?event=home.made")).text)[0]
    proof = re.search(r'href="(/audit/proof/[^"]+)"', (await audrey.get(first)).text)
    assert proof
    async with await download(audrey, proof[1]) as answer:
        assert (answer.status, answer.content_type) == (200, "application/zip")
        with zipfile.ZipFile(io.BytesIO(await answer.read())) as archive:
            (name,) = [each for each in archive.namelist() if each.endswith(".tlog-proof")]
            (line,) = [each for each in archive.namelist() if each.endswith("records.jsonl")]
            vkeys = archive.read("corral-audit-bundle/audit.vkey").decode().splitlines()
            keys = [read_vkey(each) for each in vkeys]
            verify_proof(read_proof(archive.read(name)), archive.read(line).removesuffix(b"\n"), keys)


async def test_an_auditor_signs_off_what_was_looked_at_and_an_admin_does_not(desk: Desk, lived: tuple[str, str]):
    audrey, ada = await desk.signed_in("audrey"), await desk.signed_in("ada")
    signed = await post(audrey, REFUSED, "/audit/review", remark="one revoked key, known", ticket="R-1")
    assert signed.status == 303
    assert signed.headers["Location"] == "/audit?event=audit.reviewed"
    (reviewed,) = desk.site.records("audit.reviewed")
    ranges = [value for name, value in reviewed["change"]["details"].items() if name.startswith("range_")]
    assert len(ranges) == 1
    page = words(await audrey.get("/audit?event=audit.reviewed"))
    assert "one revoked key, known" in page
    shown = await ada.get(REFUSED)
    assert 'action="/audit/review"' not in shown.text
    token = dict(FIELD.findall(shown.text))
    refused = await ada.post("/audit/review", **token, ranges=ranges[0], remark="mine")
    assert refused.status == 403
    assert len(desk.site.records("audit.reviewed")) == 1


async def test_the_whole_log_is_verified_in_a_process_of_its_own(desk: Desk):
    audrey = await desk.signed_in("audrey")
    assert "Not verified since" in words(await audrey.get("/audit/log"))
    assert (await post(audrey, "/audit/log", "/audit/verify")).status == 303
    page = ""
    for _ in range(900):
        page = words(await audrey.get("/audit/log"))
        if "is being verified" not in page:
            break
        await asyncio.sleep(0.1)
    assert "Whole." in page
    assert "not anchored off this host" in page


async def test_nothing_is_shown_when_the_look_cannot_be_recorded(
    desk: Desk, lived: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    audrey = await desk.signed_in("audrey")

    async def full(_entry: object) -> None:
        raise AuditUnavailable("disk_full")

    record = RECORD.findall((await audrey.get(REFUSED)).text)[-1]
    monkeypatch.setattr(desk.site.app._audit_log, "record", full)
    for path in (REFUSED, record, f"/audit/key/{lived[0]}", "/audit/addresses"):
        got = await audrey.get(path)
        assert got.status == 503, path
        assert "request.unauthenticated" not in got.text
        assert "127.0.0.1" not in got.text


async def test_markup_in_what_a_client_sent_is_text(desk: Desk):
    ada = await desk.signed_in("ada")
    made, _ = await make_key(ada, owner="<script>alert(1)</script>", purpose="<img src=x onerror=alert(1)>")
    audrey = await desk.signed_in("audrey")
    for path in (f"/audit?key={made}", f"/audit/key/{made}"):
        got = await audrey.get(path)
        assert "<script>alert" not in got.text
        assert "&lt;script&gt;alert(1)" in got.text
        assert "<img src=x" not in got.text
