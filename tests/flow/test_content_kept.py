"""What the records say of prompts and answers, and what is kept of them, by the team's policy."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UpstreamFailed
from gateway import dispatcher
from gateway.audit.content_keeper import ContentKeeper
from gateway.audit.vault import Vault, opened_vault
from gateway.homes.home import Home
from gateway.request_audit import RequestAudit
from policies.auditing.content_policy import text_digest
from policies.call import Final, Text, Usage
from policies.policy import Team, TeamAudit
from tests.fakes import STAMP, FakeReply
from tests.flow.gates import TestGate

PROMPT = "  what is\nthe capital?"
CHAT = {"model": "m", "messages": [{"role": "system", "content": "be short"}, {"role": "user", "content": PROMPT}]}


class Kept:
    """A gate whose content is followed, and its vault."""

    def __init__(self, gate: TestGate, vault: Vault) -> None:
        self.gate, self.vault = gate, vault
        keeper = ContentKeeper(vault.content, vault.persons)
        gate.gate.audit = RequestAudit(gate.log, lambda: STAMP, policy_hash=lambda: "p" * 64, keeper=keeper)
        assert hasattr(gate.engine, "script")
        gate.engine.script = [Text("It is "), Text("Paris."), Final("stop", Usage(prompt_tokens=3, output_tokens=2))]

    def policy(self, content: str) -> None:
        audit = TeamAudit(content=content)  # type: ignore[arg-type]
        self.gate.take_policy(teams={"one": Team(models=("m:latest",), audit=audit)})

    def record(self, event: str) -> dict[str, Any]:
        (found,) = (entry for entry in self.gate.log.entries if entry["event"] == event)
        return found

    def digest(self, text: str) -> str:
        return text_digest(self.vault.content.digest_key("one"), text)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    gate = await TestGate(tmp_path).start()
    (tmp_path / "audit").mkdir()
    with opened_vault(Home(tmp_path)) as vault:
        yield Kept(gate, vault)
        await gate.close()


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_digests_by_default(kept: Kept, path: str) -> None:
    await kept.gate.send("POST", path, CHAT)
    begun = kept.record("request.authorized")["content"]
    assert begun["policy"] == "hmac"
    assert begun["req_digest"] == kept.digest("what is the capital?")
    assert len(begun["context_digest"]) == 64
    ended = kept.record("request.completed")["content"]
    assert ended == begun | {"resp_digest": kept.digest("It is Paris.")}
    assert kept.vault.content.has(kept.record("request.completed")["req_id"]) is False


async def test_none_is_none(kept: Kept) -> None:
    kept.policy("none")
    await kept.gate.send("POST", "/api/chat", CHAT)
    assert kept.record("request.completed")["content"] == {"policy": "none"}


async def test_full_is_kept_before_the_record(kept: Kept) -> None:
    kept.policy("full")
    await kept.gate.send("POST", "/api/chat", CHAT)
    record = kept.record("request.completed")
    assert record["content"]["blob_ref"].endswith(record["req_id"])
    document = json.loads(kept.vault.content.open(record["req_id"]) or b"")
    assert document["prompt"]["messages"][1]["content"] == PROMPT
    assert document["answer"]["text"] == "It is Paris."
    assert kept.vault.content.kept_of(kept.vault.persons.pseudonym("\n127.0.0.1")) == (record["req_id"],)


async def test_no_answer_ends_well_that_cannot_be_kept(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    kept.policy("full")
    monkeypatch.setattr(kept.vault.content, "keep", full)
    reply, _ = await kept.gate.send("POST", "/api/chat", CHAT | {"stream": False})
    assert reply.status == 503
    assert "Paris" not in reply.body.decode()
    assert kept.gate.log.events() == ["request.authorized", "request.denied"]
    assert kept.record("request.denied")["content"]["lost"] == "audit_content"


async def test_an_answer_that_went_out_before_its_record_says_what_was_lost(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    kept.policy("full")
    monkeypatch.setattr(kept.vault.content, "keep", full)
    monkeypatch.setattr(kept.gate.gate.audit, "_may_answer_early", lambda: True)
    reply, _ = await kept.gate.send("POST", "/api/chat", CHAT | {"stream": False})
    await kept.gate.gate.audit.close()
    assert reply.status == 200
    assert kept.record("request.completed")["content"]["lost"] == "audit_content"


async def test_what_failed_is_kept_as_far_as_it_came(kept: Kept) -> None:
    kept.policy("redacted")
    kept.gate.engine.fail["middle"] = UpstreamFailed("gone")  # type: ignore[union-attr]
    await kept.gate.send("POST", "/api/chat", CHAT)
    record = kept.record("request.failed")
    assert json.loads(kept.vault.content.open(record["req_id"]) or b"")["answer"]["text"] == "It is Paris."
    assert record["content"]["resp_digest"] == kept.digest("It is Paris.")


async def test_who_leaves_before_the_end_is_kept_too(kept: Kept) -> None:
    kept.policy("full")
    await kept.gate.send("POST", "/api/chat", CHAT, reply=FakeReply(gone_after=1))
    await kept.gate.gate.audit.close()
    record = kept.record("request.aborted")
    assert kept.vault.content.open(record["req_id"]) is not None


async def test_who_is_cancelled_while_it_is_kept_is_kept_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.policy("full")
    keep, calls, begun = kept.vault.content.keep, [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(*given: Any) -> str:
        calls.append(given)
        loop.call_soon_threadsafe(begun.set)
        return keep(*given)

    monkeypatch.setattr(kept.vault.content, "keep", slow)
    task = asyncio.create_task(kept.gate.send("POST", "/api/chat", CHAT))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await kept.gate.gate.audit.close()
    assert len(calls) == 1
    assert kept.record("request.aborted")["content"]["blob_ref"]


async def test_what_never_ran_leaves_digests_only(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "SILENCE_S", -119.95)  # of the two minutes that a request waits
    kept.policy("full")
    kept.gate.engine.announce(ready=False)  # type: ignore[union-attr]
    reply, _ = await kept.gate.send("POST", "/api/chat", CHAT)
    assert reply.status == 503
    content = kept.record("request.shed")["content"]
    assert (content["policy"], "blob_ref" in content, len(content["req_digest"])) == ("full", False, 64)


async def test_a_long_prompt_is_digested_aside(kept: Kept) -> None:
    words = "word " * 20_000
    await kept.gate.send("POST", "/api/generate", {"model": "m", "prompt": words})
    assert kept.record("request.completed")["content"]["req_digest"] == kept.digest(words)


async def test_the_trace_and_the_model_are_told_and_a_strange_method_is_not(kept: Kept) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    await kept.gate.send("POST", "/api/chat", CHAT, headers=(("traceparent", f"00-{trace}-b7ad6b7169203331-01"),))
    record = kept.record("request.completed")
    assert (record["trace_id"], record["action"]["resource"]) == (trace, "model:m:latest")
    await kept.gate.send("SECRETWORD", "/api/chat")
    assert "SECRETWORD" not in json.dumps(kept.gate.log.entries)
