"""Two persons at the command line, with the real ssh-keygen: asked for, signed, done once; all else is refused."""

import json

import pytest

from tests.signed_chains import write_signed
from tests.signing_home import SigningHome, name_signers
from tests.ssh_people import needs_ssh_keygen

pytestmark = needs_ssh_keygen


@pytest.fixture
def home(corral, tmp_path) -> SigningHome:
    return SigningHome(corral, tmp_path / "people")


@pytest.fixture
def hold(corral, home) -> str:
    return corral.json("audit", "hold", "set", "--reason", "case 7")["id"]


def lift(home, hold, *words, reason="closed"):
    return home.corral.run("audit", "hold", "lift", hold, "--reason", reason, *words)


def test_a_hold_is_lifted_once_when_two_have_signed(home, hold):
    asked = home.ask("audit", "hold", "lift", hold, "--reason", "closed")
    assert f'"hold:{hold}"' in asked["text"]
    assert home.corral.run("approve", asked["id"])[1] == asked["text"]
    assert "1 more must sign" in home.approve(asked["id"], home.anna)[1]
    status, _, err = lift(home, hold, "--approval", asked["id"])
    assert (status, "1 of 2 persons have signed" in err) == (2, True)
    assert "go on with --approval" in home.approve(asked["id"], home.ben)[1]
    status, out, err = lift(home, hold, "--approval", asked["id"])
    assert (status, err) == (0, "")
    assert "is lifted" in out
    (done,) = home.records("audit.hold_lifted")
    assert done["change"]["details"]["approval"] == asked["id"]
    assert done["change"]["details"]["signers"].count("enc:1:") == 2
    assert len(home.records("act.asked")) == 1
    assert len(home.records("act.approved")) == 2
    status, _, err = lift(home, hold, "--approval", asked["id"])
    assert status == 2  # the hold is gone
    assert home.corral.run("audit", "verify")[0] == 0


def test_an_approval_is_used_up(home, hold, corral):
    request = home.approved("audit", "hold", "lift", hold, "--reason", "closed")
    assert lift(home, hold, "--approval", request)[0] == 0
    (kept,) = json.loads((corral.home.path / "act-requests.json").read_text())
    assert kept["used"] is True
    other = corral.json("audit", "hold", "set", "--reason", "case 8")["id"]
    status, _, err = lift(home, other, "--approval", request)
    assert (status, "was used" in err) == (2, True)


def test_what_is_not_what_was_signed_is_refused_and_recorded(home, hold, corral):
    request = home.approved("audit", "hold", "lift", hold, "--reason", "closed")
    status, _, err = lift(home, hold, "--approval", request, reason="another reason")
    assert (status, "this is not what was signed" in err) == (2, True)
    other = corral.json("audit", "hold", "set", "--reason", "case 8")["id"]
    assert "this is not what was signed" in lift(home, other, "--approval", request)[2]
    reasons = [each["decision"]["reason"] for each in home.records("audit.hold_refused")]
    assert reasons == ["approval_differs", "approval_differs"]
    assert lift(home, hold, "--approval", request)[0] == 0


def test_signatures_that_count_for_nothing(home, hold):
    asked = home.ask("audit", "hold", "lift", hold, "--reason", "closed")
    request, text = asked["id"], asked["text"]
    assert home.approve(request, home.anna)[0] == 0
    assert "anna has signed this already" in home.approve(request, home.anna)[2]
    assert "no signer's" in home.approve(request, home.carla)[2]
    assert "not over this content" in home.approve(request, home.ben, text.replace("closed", "opened"))[2]
    path = home.folder / "for-policy.sig"
    path.write_bytes(home.ben.sign(text.encode(), "corral-policy"))
    assert "for another purpose" in home.corral.run("approve", request, "--signature", str(path))[2]
    assert "1 of 2 persons" in lift(home, hold, "--approval", request)[2]
    reasons = [each["decision"]["reason"] for each in home.records("act.refused")]
    assert reasons == ["signed_twice", "signature_unfit", "signature_unfit", "signature_unfit"]


def test_a_signer_who_is_none_any_more_does_not_count(home, hold, corral):
    request = home.approved("audit", "hold", "lift", hold, "--reason", "closed")
    name_signers(corral.home.path, home.anna, home.carla)
    assert "1 of 2 persons" in lift(home, hold, "--approval", request)[2]


def test_a_request_ends(home, hold, corral):
    request = home.approved("audit", "hold", "lift", hold, "--reason", "closed")
    path = corral.home.path / "act-requests.json"
    kept = json.loads(path.read_text())
    kept[0]["asking"]["asked_s"] -= 24 * 3600 + 1
    path.write_text(json.dumps(kept))
    assert "the request ended" in lift(home, hold, "--approval", request)[2]


def test_without_signers_one_acts_alone_and_it_is_said(corral):
    hold = corral.json("audit", "hold", "set", "--reason", "case 7")["id"]
    lifted = corral.json("audit", "hold", "lift", hold, "--reason", "closed")
    assert lifted["two_persons"] == "no signers are set: one person did this alone"
    assert "two_persons" in corral.json("audit", "export", "--open", "--output", str(corral.home.path / "out.jsonl"))
    status, _, err = corral.run("audit", "rotate-key")
    assert (status, "no signers are set" in err) == (0, True)
    assert "no signers are set: one person alone" in corral.run("doctor")[1]


def test_lists_shows_and_refuses(home, hold, corral):
    assert corral.json("approve")["requests"] == []
    request = home.ask("audit", "hold", "lift", hold, "--reason", "closed")["id"]
    listed = corral.run("approve")[1]
    assert request in listed
    assert "lift a legal hold" in listed
    assert corral.json("approve", request)["act"] == "holds.lift"
    assert corral.run("approve", "nonsense")[0] == 2
    assert corral.run("approve", request, "--signature", "/nowhere")[0] == 2
    big = home.folder / "big.sig"
    big.write_bytes(b"x" * (16 * 1024 + 1))
    assert "too long" in corral.run("approve", request, "--signature", str(big))[2]
    big.write_bytes(b"no signature \xff")
    assert "no signature" in corral.run("approve", request, "--signature", str(big))[2]
    status, _, err = corral.run("audit", "hold", "list", "--json")
    assert (status, err) == (0, "")


def test_a_lockdown_begins_alone_and_is_lifted_by_two(home, corral):
    assert corral.run("lockdown", "--all")[0] == 0
    request = home.approved("lockdown", "--all", "--lift")
    assert corral.json("lockdown", "--all", "--lift", "--approval", request)["locked"] is False
    status, _, err = corral.run("lockdown", "--all", "--lift", "--approval", request)
    assert (status, "leave --approval out" in err) == (2, True)  # nothing is locked: nothing to agree to


def test_names_leave_only_when_two_agree(home, corral):
    assert corral.run("audit", "export")[0] == 0
    request = home.approved("audit", "export", "--open")
    status, out, _ = corral.run("audit", "export", "--open", "--approval", request)
    assert (status, len(out.splitlines()) > 3) == (0, True)
    shown = corral.json("audit", "search", "--event", "home.made")
    assert shown["hits"][0]["record"]["actor"]["name"] == "(sealed)"
    pseudonym = shown["hits"][0]["record"]["actor"]["pseudonym"]
    assert "(sealed)" in corral.run("audit", "tail")[1]
    request = home.approved("audit", "name", pseudonym)
    named = corral.json("audit", "name", pseudonym, "--approval", request)
    assert named["name"]
    assert named["name"] != "(sealed)"
    assert len(home.records("person.named")) == 1
    assert "no person of the log" in corral.run("audit", "name", "pnobody")[2]


def test_the_retention_is_shortened_by_two(home, corral):
    assert "a longer time is set in config.yaml" in corral.run("audit", "retention", "400")[2]
    assert "180 to 36500" in corral.run("audit", "retention", "10")[2]
    request = home.approved("audit", "retention", "200")
    assert json.loads((corral.home.audit / "retention.json").read_text()) == {"days": 400}
    assert corral.json("audit", "retention", "200", "--approval", request)["to_days"] == 200
    assert json.loads((corral.home.audit / "retention.json").read_text()) == {"days": 200}


def test_the_audit_key_is_rotated_by_two(home, corral):
    before = (corral.home.path / "audit-key.pem").read_bytes()
    request = home.approved("audit", "rotate-key", "--reason", "yearly")
    assert corral.run("audit", "rotate-key", "--reason", "yearly", "--approval", request)[0] == 0
    assert (corral.home.path / "audit-key.pem").read_bytes() != before
    assert len(home.records("audit_key.rotated")) == 1
    assert len((corral.home.audit / "audit.vkey").read_text().splitlines()) == 2
    assert corral.run("audit", "verify")[0] == 0
    corral.json("audit", "hold", "set", "--reason", "goes on")
    status, out, _ = corral.run("audit", "verify")
    assert status == 0, out


def test_a_chain_is_retired_and_named_so(corral):
    (own,) = (each.name for each in corral.home.audit.iterdir() if (each / "head").exists())
    write_signed(corral.home.path, 12, "box-9")
    done = corral.json("audit", "retire", "box-9", "--reason", "host gone")
    assert done["chain"] == "box-9"
    assert done["size"] >= 12
    assert "being written" in corral.run("audit", "retire", own)[2]
    status, out, _ = corral.run("audit", "verify")
    assert status == 0, out


def test_whoever_asks_for_a_digest_is_recorded(corral):
    digest = corral.json("audit", "hash", "--team", "default", "--text", "a b", "--reason", "case 7")["digest"]
    (record,) = corral.json("audit", "search", "--event", "audit.hashed")["hits"]
    assert record["record"]["change"]["details"] == {"team": "default", "digest": digest}


def test_one_alone_names_a_person_where_no_signers_are(corral):
    corral.json("audit", "hold", "set", "--reason", "x")
    shown = corral.json("audit", "search", "--event", "audit.hold_set")["hits"][0]["record"]
    pseudonym = shown["actor"]["pseudonym"]
    named = corral.json("audit", "name", pseudonym)
    assert named["name"] == shown["actor"]["name"]
    assert "two_persons" in named
