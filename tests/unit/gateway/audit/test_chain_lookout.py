"""Invariant: each minute's look tells what is new or gone among the other chains, and of nothing else."""

import base64
import shutil
from pathlib import Path
from typing import Any

from gateway.audit.audit_key import VKEY_NAME, list_vkey
from gateway.audit.chain_lookout import EVERY_S, ChainLookout
from gateway.audit.checkpoint_file import CHECKPOINTS_NAME, last_note
from policies.auditing.signed_note import split_note
from tests.signed_chains import SignedChain, body, write_signed

Told = list[tuple[str, dict[str, Any]]]


def lookout(home: Path) -> tuple[ChainLookout, Told]:
    told: Told = []
    return ChainLookout(home / "audit", "box-0", lambda event, details: told.append((event, details))), told


def test_what_others_have_signed_is_told_with_their_signature(tmp_path: Path) -> None:
    write_signed(tmp_path, 5)
    other = write_signed(tmp_path, 5, "box-1")
    look, told = lookout(tmp_path)
    look.look(0.0)
    ((event, details),) = told
    assert (event, details["size"]) == ("chain.seen", 6)
    note = last_note(other)
    assert note is not None
    (signature,) = split_note(note)[1]
    assert base64.b64decode(details["signature"]) == signature.key_id + signature.signature


def test_it_looks_once_a_minute_and_tells_of_changes_alone(tmp_path: Path) -> None:
    write_signed(tmp_path, 5, "box-1")
    look, told = lookout(tmp_path)
    look.look(0.0)
    chain = SignedChain(tmp_path, "box-1")
    chain.add(body(9))
    chain.close()
    look.look(EVERY_S - 1)
    assert len(told) == 1
    look.look(EVERY_S)
    look.look(2 * EVERY_S)
    assert [details["size"] for _, details in told] == [6, 7]


def test_what_vanishes_is_missed_once(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 5, "box-1")
    look, told = lookout(tmp_path)
    look.look(0.0)
    kept = tmp_path / "kept"
    shutil.move(folder, kept)
    for minute in (1, 2):
        look.look(minute * EVERY_S)
    shutil.move(kept, folder)
    look.look(3 * EVERY_S)
    (folder / CHECKPOINTS_NAME).write_bytes((folder / CHECKPOINTS_NAME).read_bytes().replace(b"\n6\n", b"\n7\n"))
    look.look(4 * EVERY_S)
    (folder / CHECKPOINTS_NAME).unlink()
    (folder / CHECKPOINTS_NAME).mkdir()
    look.look(5 * EVERY_S)
    assert [(event, details.get("why")) for event, details in told[1:]] == [
        ("chain.missed", "gone"),
        ("chain.missed", "not_signed"),
    ]
    look.look(6 * EVERY_S)
    assert len(told) == 3


def test_what_cannot_be_read_is_missed(tmp_path: Path) -> None:
    folder = write_signed(tmp_path, 5, "box-1")
    (folder / CHECKPOINTS_NAME).unlink()
    (folder / CHECKPOINTS_NAME).mkdir()
    look, told = lookout(tmp_path)
    look.look(0.0)
    assert [details["why"] for _, details in told] == ["unreadable"]


def test_a_chain_that_is_listed_and_not_there_is_missed_from_the_start(tmp_path: Path) -> None:
    chain = SignedChain(tmp_path)
    list_vkey(chain.key.listing, chain.key.signer("box-7").verifier)
    look, told = lookout(tmp_path)
    look.look(0.0)
    assert [(event, details["origin"].rpartition("/")[2]) for event, details in told] == [("chain.missed", "box-7")]


def test_without_the_list_of_keys_nobody_is_trusted(tmp_path: Path) -> None:
    write_signed(tmp_path, 5, "box-1")
    look, told = lookout(tmp_path)
    look.look(0.0)
    (tmp_path / "audit" / VKEY_NAME).write_text("no key\n")
    look.look(EVERY_S)
    assert [(event, details.get("why")) for event, details in told[1:]] == [("chain.missed", "not_signed")]
