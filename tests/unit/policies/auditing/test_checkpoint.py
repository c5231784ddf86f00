"""Invariant: a checkpoint is read only in its one spelling, and only under its own log's signature."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.checkpoint import (
    Checkpoint,
    checkpoint_text,
    deployment_of,
    instance_of,
    open_checkpoint,
    origin_of,
    read_checkpoint,
)
from policies.auditing.merkle import EMPTY_ROOT, MAX_SIZE
from policies.auditing.signed_note import Ed25519Signer, NoteBroken, sign_note

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ROOT = bytes(range(100, 132))
ROOT_TEXT = base64.b64encode(ROOT).decode()


def test_the_text_is_three_lines() -> None:
    checkpoint = Checkpoint("example.com/behind-the-sofa", 20852163, ROOT)
    assert checkpoint_text(checkpoint) == f"example.com/behind-the-sofa\n20852163\n{ROOT_TEXT}\n".encode()


@given(st.integers(1, MAX_SIZE), st.binary(min_size=32, max_size=32))
def test_any_checkpoint_is_read_as_written(size: int, root: bytes) -> None:
    checkpoint = Checkpoint("corral/ab/c", size, root)
    assert read_checkpoint(checkpoint_text(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        f"o\n1\n{ROOT_TEXT}",
        f"o\n1\n{ROOT_TEXT}\nmore\n",
        f"o\n01\n{ROOT_TEXT}\n",
        f"o\n+1\n{ROOT_TEXT}\n",
        f"o\n\u0661\n{ROOT_TEXT}\n",
        f"o\n{2**63}\n{ROOT_TEXT}\n",
        f"o\n{10**30}\n{ROOT_TEXT}\n",
        f"o\n0\n{ROOT_TEXT}\n",
        f"\n1\n{ROOT_TEXT}\n",
        f"o o\n1\n{ROOT_TEXT}\n",
        "o\n1\nAAAA\n",
        "o\n1\nnot base64\n",
        f"o\n1\n{ROOT_TEXT[:-2]}{chr(ord(ROOT_TEXT[-2]) + 1)}=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteBroken):
        read_checkpoint(text.encode())


def test_no_line_at_all_has_the_root_of_nothing() -> None:
    empty = Checkpoint("o", 0, EMPTY_ROOT)
    assert read_checkpoint(checkpoint_text(empty)) == empty


def test_an_origin_names_deployment_and_chain() -> None:
    assert origin_of("0123", "box-0") == "corral/0123/box-0"
    assert instance_of("corral/0123/box-0") == "box-0"
    assert deployment_of("corral/0123/box-0") == "corral/0123"
    with pytest.raises(NoteBroken):
        origin_of("0123", "a box")


def test_it_opens_under_its_own_logs_key_alone() -> None:
    checkpoint = Checkpoint("corral/ab/c", 5, ROOT)
    own, other = Ed25519Signer("corral/ab/c", KEY), Ed25519Signer("corral/ab/d", KEY)
    note = sign_note(checkpoint_text(checkpoint), [own])
    assert open_checkpoint(note, [own.verifier]).checkpoint == checkpoint
    assert open_checkpoint(note, [own.verifier]).note == note
    with pytest.raises(NoteBroken, match="not signed by the key of that name"):
        open_checkpoint(sign_note(checkpoint_text(checkpoint), [other]), [own.verifier, other.verifier])
