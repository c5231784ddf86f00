"""`keys register`, and what the other key acts make of a registered key."""

import pytest

from gateway.keys.key_store import KeyStore
from policies.credentials.key_record import DAY_S
from policies.credentials.public_key import read_public_key
from tests.ollama_client import OllamaClient
from tests.unit.gateway.admin.desk import Desk

CLIENT = OllamaClient()
ASKED = {"team": "blue", "public_key": CLIENT.line.strip()}


@pytest.fixture
def desk(tmp_path):
    store = KeyStore.create(tmp_path / "keys.db")
    yield Desk(store)
    store.close()


async def test_a_registered_key_is_listed_with_its_fingerprint_and_holds_for_90_days(desk):
    options = {"owner": "berta", "purpose": "laptop", "networks": ["10.0.0.0/8"], "scopes": ["models"]}
    made = await desk.do("keys.register", **ASKED, **options, reason="new laptop")
    assert (made["kind"], made["state"], made["owner"], made["scopes"]) == ("ssh_key", "active", "berta", ["models"])
    assert made["fingerprint"].startswith("SHA256:")
    record = desk.keys.public_keys.find(read_public_key(CLIENT.line))
    assert (record.id, record.networks, record.created_by) == (made["id"], ("10.0.0.0/8",), "anna")
    assert record.expires_s == desk.now_s + 90 * DAY_S
    api_key = await desk.do("keys.create", team="blue")
    listed = (await desk.do("keys.list", team="blue"))["keys"]
    assert [(key["id"], key["kind"]) for key in listed] == [(api_key["id"], "api_key"), (made["id"], "ssh_key")]
    assert (await desk.do("keys.list", team="red"))["keys"] == []
    change = desk.entries[0]["change"]
    assert (desk.entries[0]["event"], change["object"], change["reason"]) == (
        "public_key.registered",
        f"key:{made['id']}",
        "new laptop",
    )
    assert change["details"]["fingerprint"] == made["fingerprint"]


async def test_owner_and_end_are_those_of_api_keys(desk):
    made = await desk.do("keys.register", **ASKED, unsafe_no_expiry=True)
    assert (made["owner"], made["expires"]) == ("anna", None)
    assert "expires_s" not in desk.entries[0]["change"]["details"]


async def test_revoking_it_ends_it_for_ever(desk):
    made = await desk.do("keys.register", **ASKED)
    desk.entries.clear()
    revoked = await desk.do("keys.revoke", id=made["id"], reason="lost")
    assert (revoked["state"], revoked["revoked_by"], revoked["revoked_reason"]) == ("revoked", "anna", "lost")
    assert await desk.do("keys.revoke", id=made["id"], reason="again") == revoked
    assert [entry["event"] for entry in desk.entries] == ["public_key.revoked"]
    refused = await desk.refused("keys.register", **ASKED)
    assert (refused.reason, "make a new one" in str(refused)) == ("already_registered", True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"team": "green"}, "names no team"),
        ({"public_key": "ssh-rsa AAAA"}, "not one line"),
        ({"scopes": ["root"]}, "no scope is called"),
        ({"networks": ["nowhere"]}, "nowhere"),
        ({"expires": "never"}, "--unsafe-no-expiry"),
    ],
)
async def test_what_cannot_be_registered_is_refused_and_told(desk, changes, said):
    assert said in str(await desk.refused("keys.register", **ASKED | changes))
    assert [entry["event"] for entry in desk.entries] == ["key.act_refused"]


async def test_it_is_registered_once_and_neither_rotated_nor_reviewed(desk):
    made = await desk.do("keys.register", **ASKED)
    assert "no key is registered twice" in str(await desk.refused("keys.register", **ASKED | {"team": "red"}))
    for act in ("keys.rotate", "keys.review"):
        assert "is a registered public key" in str(await desk.refused(act, id=made["id"]))
