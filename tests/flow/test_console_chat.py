"""What the chat hands on takes the way of every client: the same steps, limits, queue and records; no other rights."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.console import handing_on
from gateway.console.handing_on import Shown, hand_on, whole_answer
from gateway.console.judge import Judge
from gateway.console.page import HandedOn, Page, Sent
from gateway.console.session_verifier import SessionVerifier
from gateway.console.sessions import Sessions
from gateway.console.sqlite_sessions import SqliteSessions
from gateway.route_tables import HANDED_ON
from policies.addresses.networks import Networks
from policies.call import Final, Text
from policies.console.roles import RoleGrant
from policies.console.session import LONGEST_S, Proof
from policies.errors import NotAuthenticated, PolicyUnavailable
from policies.policy import KeyLimits, Team
from tests.fakes import FakeIncoming, FakeReply
from tests.flow.gates import PEPPERS, TestGate, deterministic_bytes

ROLES = (
    RoleGrant(role="team-lead", subjects=("lena",), teams=("one",)),
    RoleGrant(role="auditor", groups=("audit",)),
    RoleGrant(role="admin", groups=("ops",)),
)
LENA = Proof(method="oidc", subject="lena", issuer="https://idp")
OLGA = Proof(method="oidc", subject="olga", issuer="https://idp", groups=("ops",))
ARNE = Proof(method="oidc", subject="arne", issuer="https://idp", groups=("audit",))


class Chat:
    """A gate with a console's sessions behind it."""

    def __init__(self, gate: TestGate, folder: Path) -> None:
        self.gate = gate
        self.sessions = Sessions(SqliteSessions(folder / "sessions.db"), PEPPERS, deterministic_bytes())
        judge = Judge(gate.gate, gate.store, gate.clock, "https://idp")
        gate.verify_by(sessions=SessionVerifier(lambda: (self.sessions, judge), gate.store, gate.clock))

    async def opened(self, proof: Proof) -> Shown:
        """A session of whom `proof` names, as a page of it hands on."""
        cookie, session = self.sessions.made(proof, "127.0.0.1", self.gate.clock.unix_ns() / 1e9)
        await self.sessions.keep(cookie, session)

        async def look() -> None:
            await self.sessions.find(cookie)

        return Shown(session.id, cookie, look)

    async def ask(
        self, shown: Shown, team: str = "one", *, model: str = "m:latest", stream: bool = True, **more: Any
    ) -> FakeReply:
        reply = more.pop("reply", None) or FakeReply()
        outer = more.pop("outer", None) or page_request(**more)
        await hand_on(self.gate.gate, outer, reply, shown, handed(team, model, stream=stream))
        return reply


def page_request(**facts: Any) -> FakeIncoming:
    """The browser's own request for the chat's page, with what it must not get through by."""
    headers = (
        ("Cookie", "__Host-corral=x"),
        ("Authorization", "Bearer forged"),
        ("X-Priority", "interactive"),
        ("Origin", "https://localhost"),
        ("X-Forwarded-For", "192.0.2.1"),
    )
    return FakeIncoming("POST", "/chat/stream", headers, b"team=one", listener="console", **facts)


def handed(team: str, model: str = "m:latest", *, stream: bool = True) -> HandedOn:
    body = {"model": model, "messages": [{"role": "user", "content": "Capital?"}], "stream": stream}
    return HandedOn(team=team, target=HANDED_ON, body=json.dumps(body).encode())


def error_of(reply: FakeReply) -> str:
    return str(json.loads(reply.body)["error"]["code"])


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    gate = await TestGate(tmp_path, roles=ROLES).start()
    found = Chat(gate, tmp_path)
    yield found
    await found.sessions.close()
    await gate.close()
    assert not gate.bugs


async def test_a_lead_is_answered_as_the_team_and_recorded_by_name(chat: Chat) -> None:
    reply = await chat.ask(await chat.opened(LENA))
    assert reply.status == 200
    assert reply.ended
    assert b'"content":"Par"' in reply.body
    (call,) = chat.gate.engine.calls
    assert (call.cache_scope, [each.content for each in call.messages]) == ("team:one", ["Capital?"])
    assert chat.gate.log.events() == ["request.authorized", "request.completed"]
    done = chat.gate.log.entries[-1]
    assert (done["actor"]["name"], done["actor"]["team"], done["actor"]["method"]) == ("lena", "one", "session")
    assert (done["src"]["listener"], done["src"]["ip"], done["action"]["route"]) == ("console", "127.0.0.1", HANDED_ON)


async def test_the_browsers_headers_decide_nothing(chat: Chat) -> None:
    await chat.ask(await chat.opened(LENA))
    (entry, _) = chat.gate.log.entries
    assert entry["src"]["ip"] == "127.0.0.1"
    assert "forged" not in json.dumps(chat.gate.log.entries)


async def test_behind_a_trusted_proxy_the_client_is_the_one_it_names(chat: Chat) -> None:
    chat.gate.take_policy(trusted_proxies=("127.0.0.1",), networks=Networks(allow=("0.0.0.0/0",)))
    await chat.ask(await chat.opened(LENA))
    assert chat.gate.log.entries[-1]["src"]["ip"] == "192.0.2.1"


@pytest.mark.parametrize(("proof", "team"), [(LENA, "two"), (LENA, "gone"), (ARNE, "one"), (OLGA, "gone")])
async def test_who_may_not_chat_as_the_team_is_refused_by_name(chat: Chat, proof: Proof, team: str) -> None:
    reply = await chat.ask(await chat.opened(proof), team)
    assert (reply.status, error_of(reply)) == (403, "forbidden")
    (entry,) = chat.gate.log.entries
    assert (entry["event"], entry["actor"]["name"]) == ("request.denied", proof.subject)
    assert not chat.gate.engine.calls


async def test_an_admin_chats_as_a_team_and_is_named(chat: Chat) -> None:
    assert (await chat.ask(await chat.opened(OLGA), "two", model="secret:latest")).status == 200
    actor = chat.gate.log.entries[-1]["actor"]
    assert (actor["name"], actor["team"]) == ("olga", "two")


async def test_a_model_of_another_team_looks_like_none(chat: Chat) -> None:
    shown = await chat.opened(LENA)
    foreign, missing = [await chat.ask(shown, model=name) for name in ("secret:latest", "absent:latest")]
    assert foreign.status == missing.status == 404
    assert foreign.body.replace(b"secret", b"absent") == missing.body
    assert not chat.gate.engine.calls


async def test_a_persons_sessions_share_the_limits_of_one_credential(chat: Chat) -> None:
    bounded = Team(models=("m:latest",), key_limits=KeyLimits(requests_per_minute=1, burst_requests=2))
    chat.gate.take_policy(teams=chat.gate.policy.teams | {"one": bounded})
    first, second = await chat.opened(LENA), await chat.opened(LENA)
    assert [(await chat.ask(each)).status for each in (first, second)] == [200, 200]
    third = await chat.ask(second)
    assert (third.status, error_of(third)) == (429, "rate_limit_exceeded")
    assert int(third.headers["retry-after"]) > 0
    assert len(chat.gate.engine.calls) == 2
    assert (await chat.ask(await chat.opened(OLGA))).status == 200


async def test_a_keys_session_has_the_rights_of_the_key_and_no_more(chat: Chat) -> None:
    chat.gate.add_key("boss", "two", scopes=frozenset({"admin", "inference"}))
    chat.gate.add_key("mute", "two", scopes=frozenset({"admin"}))
    boss, mute = [
        await chat.opened(Proof(method="break_glass", subject="", key_id=chat.gate.records[name].id))
        for name in ("boss", "mute")
    ]
    assert (await chat.ask(boss, "two")).status == 200
    assert chat.gate.accepted == [chat.gate.records["boss"].id]
    assert [(await chat.ask(shown, team)).status for shown, team in ((boss, "one"), (mute, "two"))] == [403, 403]
    chat.gate.revoke("boss")
    assert (await chat.ask(boss, "two")).status == 401


@pytest.mark.parametrize("how", ["ended", "too_old", "forged"])
async def test_a_session_that_is_over_asks_nothing(chat: Chat, how: str) -> None:
    shown = await chat.opened(LENA)
    if how == "ended":
        await chat.sessions.end(shown.session)
    elif how == "too_old":
        chat.gate.clock.move(LONGEST_S)
    else:
        shown = dataclasses.replace(shown, cookie="x" * 43)
    reply = await chat.ask(shown)
    assert (reply.status, error_of(reply)) == (401, "invalid_api_key")
    assert chat.gate.log.events() == ["request.unauthenticated"]
    assert not chat.gate.engine.calls


async def test_without_a_console_there_is_no_session(chat: Chat) -> None:
    shown = await chat.opened(LENA)
    chat.gate.verify_by(sessions=SessionVerifier(lambda: None, chat.gate.store, chat.gate.clock))
    assert (await chat.ask(shown)).status == 401


async def test_a_role_that_is_taken_away_counts_at_once(chat: Chat) -> None:
    shown = await chat.opened(LENA)
    chat.gate.take_policy(roles=ROLES[1:])
    assert (await chat.ask(shown)).status == 403


async def test_what_cannot_be_recorded_is_not_asked(chat: Chat) -> None:
    shown = await chat.opened(LENA)
    chat.gate.log.broken = True
    assert (await chat.ask(shown)).status == 503


@pytest.mark.parametrize(
    ("cause", "code", "reason"),
    [
        (NotAuthenticated("session_ended", presented=True), "invalid_api_key", "session_over_while_running"),
        (PolicyUnavailable("session_store_away"), None, "session_store_away"),
        (RuntimeError("a bug"), None, "session_not_watched"),
    ],
)
async def test_an_answer_ends_with_the_session(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, cause: Exception, code: str | None, reason: str
) -> None:
    monkeypatch.setattr(handing_on, "LOOK_S", 0.001)
    chat.gate.engine.hold = asyncio.Event()
    shown, begun, looks = await chat.opened(LENA), asyncio.Event(), []

    async def look() -> None:
        looks.append(1)
        if begun.is_set():
            raise cause

    reply = FakeReply(on_write=lambda _data: begun.set())
    async with asyncio.timeout(30):
        await chat.ask(dataclasses.replace(shown, look=look), reply=reply)
    assert reply.ended
    last = json.loads(reply.body.decode().strip().splitlines()[-1].removeprefix("data: "))
    assert last["error"]["code"] == code
    assert looks
    assert chat.gate.engine.cancelled == 1
    entry = chat.gate.log.entries[-1]
    assert (entry["event"], entry["decision"]["reason"]) == ("request.cut", reason)


async def test_another_sessions_answer_goes_on(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing_on, "LOOK_S", 0.001)
    hold = chat.gate.engine.hold = asyncio.Event()
    ended, other, begun = await chat.opened(LENA), await chat.opened(LENA), asyncio.Event()
    staying = asyncio.create_task(chat.ask(other))

    async def look() -> None:
        if begun.is_set():
            raise NotAuthenticated("session_ended", presented=True)

    reply = FakeReply(on_write=lambda _data: begun.set())
    async with asyncio.timeout(30):
        await chat.ask(dataclasses.replace(ended, look=look), reply=reply)
        hold.set()
        assert (await staying).body.endswith(b"data: [DONE]\n\n")
    assert b"invalid_api_key" in reply.body


async def test_who_closes_the_page_gives_the_slot_back(chat: Chat) -> None:
    await chat.ask(await chat.opened(LENA), reply=FakeReply(gone_after=1))
    await chat.gate.gate.audit.close()
    assert chat.gate.log.events() == ["request.authorized", "request.aborted"]
    assert chat.gate.engine.running == 0


async def test_a_stream_has_the_shape_of_the_team(chat: Chat) -> None:
    chat.gate.take_policy(teams={"one": Team(models=("m:latest",), stream="padded")})
    sizes: list[int] = []
    reply = FakeReply(on_write=lambda data: sizes.append(len(data)))
    await chat.ask(await chat.opened(LENA), reply=reply)
    assert reply.headers["x-padding"]
    assert set(sizes) <= {1017, 4089}


async def test_a_page_without_a_script_takes_the_answer_whole(chat: Chat) -> None:
    chat.gate.engine.script = [Text("Paris <b>"), Final("stop")]
    told: list[tuple[int, str]] = []

    def then(status: int, body: bytes) -> Sent:
        told.append((status, json.loads(body)["choices"][0]["message"]["content"]))
        return Sent(b"page", "text/html")

    shown, reply = await chat.opened(LENA), FakeReply()
    asked = structs.replace(handed("one", stream=False), then=then)
    answer = await whole_answer(chat.gate.gate, page_request(), reply, shown, asked)
    assert answer == Sent(b"page", "text/html")
    assert told == [(200, "Paris <b>")]
    assert not reply.started
    assert chat.gate.log.events() == ["request.authorized", "request.completed"]


async def test_a_page_that_is_refused_for_now_says_when_to_come_again(chat: Chat) -> None:
    bounded = Team(models=("m:latest",), key_limits=KeyLimits(requests_per_minute=1, burst_requests=1))
    chat.gate.take_policy(teams=chat.gate.policy.teams | {"one": bounded})
    shown = await chat.opened(LENA)
    asked = structs.replace(handed("one", stream=False), then=lambda status, _: Page("chat/chat.html", status=status))
    pages = [await whole_answer(chat.gate.gate, page_request(), FakeReply(), shown, asked) for _ in range(2)]
    assert [(each.status, dict(each.headers).keys()) for each in pages if isinstance(each, Page)] == [
        (200, set()),
        (429, {"Retry-After", "retry-after-ms"}),
    ]


async def test_only_what_has_a_page_is_taken_whole(chat: Chat) -> None:
    with pytest.raises(TypeError):
        await whole_answer(chat.gate.gate, page_request(), FakeReply(), await chat.opened(LENA), handed("one"))


async def test_a_question_beyond_the_bodys_bound_is_refused(chat: Chat) -> None:
    chat.gate.gate.body_limit_bytes = 10
    reply = await chat.ask(await chat.opened(LENA))
    assert (reply.status, error_of(reply)) == (413, "request_too_large")
