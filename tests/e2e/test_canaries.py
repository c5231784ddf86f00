"""Nothing that a caller says is on disk or in a log, but where the policy says `full`, and not there once erased.

Real processes, the real model, real sockets: a canary is planted in every field, header and name that a request has,
in every dialect, and every file of the home and all that the processes wrote is searched for it in many forms.
"""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.audit.vault import opened_vault
from gateway.homes.home import Home
from policies.auditing.content_policy import text_digest
from tests.canaries import places_of
from tests.e2e.serving import MODEL, Corral

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

QUIET = "KANARIE-5d21 \u00e9tude/7f"
LOUD = "KANARIE-9c44 \u00fcber/3a"
OWNER = "owner-kanarie@corp.example"
SHORT = {"num_predict": 4, "temperature": 0}
TEAMS = {
    "default": {"models": ["*"]},
    "loud": {"models": ["*"], "audit": {"content": "full"}},
    "masked": {"models": ["*"], "audit": {"content": "redacted"}},
    "none": {"models": ["*"], "audit": {"content": "none"}},
}


@pytest.fixture(scope="module")
def corral(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[Corral]:
    corral = Corral(tmp_path_factory.mktemp("canaries")).make(model_file)
    policy = {"networks": {"allow": ["127.0.0.0/8"]}, "teams": TEAMS}
    (corral.home / "policy.yaml").write_text(yaml.safe_dump(policy))
    corral.start()
    try:
        yield corral
    finally:
        if corral.process is not None:
            corral.stop()


def plant(corral: Corral, key: str, canary: str) -> list[tuple[str, int]]:
    """Requests with the canary in every place; each one's path and status."""
    named = canary.encode("ascii", "ignore").decode().replace(" ", "_").replace("/", "_")
    tool = {"type": "function", "function": {"name": "look", "description": canary, "parameters": {"x": canary}}}
    chat = [{"role": "system", "content": canary}, {"role": "user", "content": f"say {canary}", "name": named}]
    field = {canary: canary, "user": canary, "metadata": {canary: canary}}
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/api/chat", {"messages": chat, "tools": [tool], "options": SHORT, "stream": True}),
        ("POST", "/api/chat", {"messages": chat, "options": SHORT, "stream": True}),
        ("POST", "/v1/completions", {"prompt": canary, "max_tokens": 4}),
        ("POST", "/api/generate", {"prompt": canary, "system": canary, "options": SHORT, "stream": False}),
        ("POST", "/api/embed", {"input": [canary, canary]}),
        ("POST", "/v1/chat/completions", {"messages": chat, "max_tokens": 4, "stream": True, "stop": [canary]}),
        ("POST", "/v1/completions", {"prompt": canary, "suffix": canary, "max_tokens": 4}),
        ("POST", "/v1/embeddings", {"input": canary}),
        ("POST", "/v1/responses", {"input": canary, "instructions": canary}),
        ("POST", "/api/show", {"verbose": canary}),
        ("POST", "/api/chat", {"messages": canary}),
        ("POST", "/api/chat", {"messages": chat, "format": {"type": canary}}),
        ("GET", f"/v1/models/{named}", None),
        ("GET", f"/{named}/{named}?{named}={named}", None),
        (named[:20], "/api/chat", None),
    ]
    answers = []
    for method, path, body in asked:
        told = None if body is None else {"model": MODEL, **field, **body}
        answers.append((path, send(corral, method, path, told, headers(key, canary))))
    answers.append(("other model", send(corral, "POST", "/api/chat", {"model": named}, headers(key, canary))))
    wrong = headers(named, canary)
    answers.append(("wrong key", send(corral, "POST", "/api/chat", {"model": MODEL}, wrong)))
    answers.append(("no json", send(corral, "POST", "/api/chat", canary, headers(key, canary))))
    answers.append(("host", send(corral, "GET", "/api/tags", None, headers(key, canary) | {"Host": named})))
    return answers


def headers(key: str, canary: str) -> dict[str, str]:
    text = canary.encode("ascii", "ignore").decode()
    names = (
        "User-Agent",
        "Referer",
        "Cookie",
        "X-Request-Id",
        "X-Forwarded-For",
        "Traceparent",
        "Tracestate",
        "Accept",
    )
    return {"Authorization": f"Bearer {key}"} | dict.fromkeys((*names, f"X-{text.split()[0]}"), text)


def send(corral: Corral, method: str, path: str, body: Any, sent: dict[str, str]) -> int:
    """The status, after the whole answer was read."""
    with closing(corral.connect()) as connection:
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            response.read()
        except (http.client.HTTPException, ConnectionError):
            return 0
        return response.status


def searched(corral: Corral, canary: str) -> list[str]:
    """Where the canary is: the folder holds the home, and what all processes wrote."""
    assert corral.home.is_relative_to(corral._log.parent)
    return places_of(canary, corral._log.parent)


def key_of(corral: Corral, team: str, *words: str) -> dict[str, str]:
    made = corral.command("keys", "create", "--team", team, "--json", *words)
    return dict(json.loads(made.stdout))


def request_ids(corral: Corral, team: str) -> list[str]:
    """The requests of a team of which a text is kept."""
    lines = corral.command("audit", "tail", "-n", "500", "--json").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    kept = [each for each in records if each.get("content", {}).get("blob_ref") and each["actor"]["team"] == team]
    return [each["req_id"] for each in kept]


def test_a_quiet_team_leaves_nothing_of_what_it_said(corral: Corral) -> None:
    answers = plant(corral, corral.key, QUIET)
    answers += plant(corral, key_of(corral, "none")["key"], QUIET)
    assert sum(status == 200 for _, status in answers) >= 10, answers
    corral.command("audit", "search", "--json")
    assert searched(corral, QUIET) == []
    records = corral.command("audit", "tail", "-n", "500", "--json").stdout
    assert records.count('"req_digest"') >= 4
    assert corral.key not in records
    assert corral.command("audit", "verify").returncode == 0


def test_a_quiet_teams_text_is_found_by_who_has_it(corral: Corral) -> None:
    assert (
        send(
            corral,
            "POST",
            "/api/generate",
            {"model": MODEL, "prompt": "find me  later", "options": SHORT},
            {"Authorization": f"Bearer {corral.key}"},
        )
        == 200
    )
    told = corral.command("audit", "hash", "--team", "default", "--text", "find me\n later").stdout.strip()
    assert told in corral.command("audit", "tail", "-n", "5", "--json").stdout


def test_a_loud_team_is_kept_enciphered_and_goes_when_it_is_erased(corral: Corral) -> None:
    made = key_of(corral, "loud", "--owner", OWNER, "--purpose", f"for {OWNER}")
    answers = plant(corral, made["key"], LOUD)
    assert sum(status == 200 for _, status in answers) >= 5, answers
    corral.command("audit", "search", "--json")
    assert searched(corral, LOUD) == []
    ids = request_ids(corral, "loud")
    assert len(ids) >= 4
    with opened_vault(Home(corral.home)) as vault:
        documents = {each: vault.content.open(each) or b"" for each in ids}
        assert all(LOUD in json.dumps(json.loads(each), ensure_ascii=False) for each in documents.values())
        answer = json.loads(documents[ids[0]])["answer"]["text"]
        key = vault.content.digest_key("loud")
    assert text_digest(key, answer) in corral.command("audit", "tail", "-n", "500", "--json").stdout
    read = json.loads(corral.command("audit", "content", ids[0], "--json", "--reason", "a test").stdout)
    assert read["request"] == ids[0]

    corral.command("audit", "erase", "--request", ids[0])
    assert corral.command("audit", "content", ids[0], check=False).returncode == 2
    assert len(list((corral.home / "audit" / "content").rglob("*-*-*-*"))) == len(ids) - 1

    refused = corral.command("audit", "erase", "--person", OWNER, check=False)
    assert (refused.returncode, "valid keys" in refused.stderr) == (2, True)
    corral.command("keys", "revoke", made["id"], "--reason", "leaves")
    before = corral.command("audit", "tail", "-n", "500").stdout
    assert OWNER in before
    kept = keys_and_pseudonyms(corral)
    corral.command("audit", "erase", "--person", OWNER, "--reason", "asked for it")
    after = corral.command("audit", "tail", "-n", "500").stdout
    assert OWNER not in after
    assert "(erased)" in after
    assert [path for path in (corral.home / "audit" / "content").rglob("*") if path.is_file()] == []
    assert searched(corral, OWNER) == []
    assert corral.command("audit", "search", "--actor", OWNER, check=False).stdout.count("request.") == 0
    assert corral.command("audit", "verify").returncode == 0
    with opened_vault(Home(corral.home)) as vault:
        assert vault.persons.pseudonyms(OWNER) == ()
        assert [vault.content.open(each) for each in ids] == [None] * len(ids)
    assert kept <= keys_and_pseudonyms(corral)  # the lines themselves are as they were


def test_a_masked_team_keeps_its_words_and_not_its_numbers(corral: Corral) -> None:
    key = key_of(corral, "masked")["key"]
    prompt = "mask anna@corp.example and 4111 1111 1111 1111"
    body = {"model": MODEL, "prompt": prompt, "options": SHORT}
    assert send(corral, "POST", "/api/generate", body, {"Authorization": f"Bearer {key}"}) == 200
    (request_id,) = request_ids(corral, "masked")
    read = json.loads(corral.command("audit", "content", request_id, "--json").stdout)
    assert read["prompt"]["prompt"] == "mask [email] and [card]"


def keys_and_pseudonyms(corral: Corral) -> set[str]:
    """All lines of the chain."""
    lines = b"".join(path.read_bytes() for path in sorted(corral.home.glob("audit/*/0*.jsonl")))
    return {line.decode() for line in lines.splitlines()}
