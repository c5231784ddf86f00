"""The witness's rules (a) to (g) of policies/auditing/witnessing.py, over a real tree and real signatures."""

from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auditing.checkpoint import Checkpoint, checkpoint_text
from policies.auditing.merkle import EMPTY, consistency_proof, leaf_hash
from policies.auditing.signed_note import Ed25519Signer, NoteBroken, sign_note
from policies.auditing.witnessing import (
    AddCheckpoint,
    Cosigned,
    Judgement,
    Memory,
    add_checkpoint_body,
    judge,
    origin_in,
    read_add_checkpoint,
)

ORIGIN = "corral/0123456789abcdef/box-0"
SIGNER = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"k" * 32))
STRANGER = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"s" * 32))
WATCHED = {ORIGIN: [SIGNER.verifier]}


@dataclass
class Log:
    """So many lines; `turn` makes another log of the same name."""

    lines: int
    turn: int = 0

    def leaves(self, count: int | None = None) -> list[bytes]:
        return [leaf_hash(b"%d %d" % (number, self.turn)) for number in range(self.lines if count is None else count)]

    def root(self) -> bytes:
        return EMPTY.extended(self.leaves()).root()

    def note(self, signer: Ed25519Signer = SIGNER, origin: str = ORIGIN) -> bytes:
        return sign_note(checkpoint_text(Checkpoint(origin, self.lines, self.root())), [signer])

    def cosigned(self) -> Cosigned:
        return Cosigned(self.lines, self.root(), self.note())

    def proof(self, old_size: int) -> tuple[bytes, ...]:
        return tuple(consistency_proof(self.leaves(), old_size, self.lines))


def asked(old: int, log: Log, proof: tuple[bytes, ...] | None = None, memory: Memory | None = None) -> Judgement:
    proof = log.proof(old) if proof is None and 0 < old < log.lines else proof or ()
    return judge(AddCheckpoint(old, proof, log.note()), WATCHED, memory or Memory(Log(old).cosigned() if old else None))


def test_the_first_and_each_later_one_that_is_proven_is_cosigned() -> None:
    assert asked(0, Log(5)).status == 200
    assert asked(5, Log(8)).status == 200
    again = asked(8, Log(8), memory=Memory(Log(8).cosigned(), Log(8).cosigned()))
    assert (again.status, again.against) == (200, None)


def test_a_log_that_was_empty_when_cosigned_needs_no_proof_from_it() -> None:
    empty = Memory(Log(0).cosigned())
    assert asked(0, Log(5), memory=empty).status == 200
    assert asked(0, Log(5), (bytes(32),), empty).status == 422


@pytest.mark.parametrize("note", [b"nothing", b"a\nb\n\n\xe2\x80\x94 a AAAAAAAA\n"])
def test_no_checkpoint_is_400(note: bytes) -> None:
    assert judge(AddCheckpoint(0, (), note), WATCHED, Memory()).status == 400


def test_an_old_size_above_the_checkpoints_is_400() -> None:
    assert asked(6, Log(5), ()).status == 400


def test_an_unknown_origin_is_404_and_a_strangers_signature_403() -> None:
    other = Ed25519Signer("corral/x/y", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    note = Log(5).note(other, "corral/x/y")
    assert judge(AddCheckpoint(0, (), note), WATCHED, Memory()).status == 404
    assert judge(AddCheckpoint(0, (), Log(5).note(STRANGER)), WATCHED, Memory()).status == 403


def test_another_old_size_is_409_and_told_the_right_one() -> None:
    told = asked(3, Log(8), memory=Memory(Log(5).cosigned()))
    assert (told.status, told.latest_size, told.against) == (409, 5, None)
    told = asked(3, Log(8), memory=Memory())
    assert (told.status, told.latest_size) == (409, 0)


def test_a_rewritten_log_is_refused_with_what_it_contradicts() -> None:
    rewritten = Log(8, turn=1)
    longer = asked(5, rewritten, rewritten.proof(5), Memory(Log(5).cosigned()))
    assert (longer.status, longer.against) == (422, Log(5).cosigned())
    same = asked(8, rewritten, (), Memory(Log(8).cosigned(), Log(8).cosigned()))
    assert (same.status, same.latest_size, same.against) == (409, 8, Log(8).cosigned())
    shorter = asked(0, rewritten, (), Memory(Log(20).cosigned(), Log(8).cosigned()))
    assert (shorter.status, shorter.against) == (409, Log(8).cosigned())


def test_a_proof_that_is_none_is_422() -> None:
    assert asked(5, Log(8), ()).status == 422
    assert asked(5, Log(8), (bytes(32),) * 3).status == 422
    assert asked(8, Log(8), (bytes(32),), Memory(Log(8).cosigned(), Log(8).cosigned())).status == 422


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 3), st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_only_a_log_that_begins_with_what_was_cosigned_is(old: int, grown: int, flip: int, where: int) -> None:
    size = old + grown
    leaves = Log(size).leaves()
    if flip == 0:
        leaves[where % size] = leaf_hash(b"another line")
    root = EMPTY.extended(leaves).root()
    proof = tuple(consistency_proof(leaves, old, size)) if grown else ()
    note = sign_note(checkpoint_text(Checkpoint(ORIGIN, size, root)), [SIGNER])
    same = Log(old).cosigned()
    answer = judge(AddCheckpoint(old, proof, note), WATCHED, Memory(same, None if grown else same))
    rewritten = flip == 0 and where % size < old
    assert answer.status == ((422 if grown else 409) if rewritten else 200)
    assert (answer.against is not None) == rewritten


def test_the_body_is_read_as_it_is_written() -> None:
    request = AddCheckpoint(5, Log(8).proof(5), Log(8).note())
    body = add_checkpoint_body(request)
    assert body.startswith(b"old 5\n")
    assert read_add_checkpoint(body) == request
    assert origin_in(request.note) == ORIGIN


def mutations() -> list[Any]:
    body = add_checkpoint_body(AddCheckpoint(5, Log(8).proof(5), Log(8).note()))
    line = body.split(b"\n")[1]
    return [
        b"",
        body.replace(b"old 5", b"old 05"),
        body.replace(b"old 5", b"old -5"),
        body.replace(b"old 5", "old \u0665".encode()),
        body.replace(b"old 5", b"new 5"),
        body.replace(b"old 5", b"old " + b"9" * 20),
        body.replace(line, line[:-4]),
        body.replace(line, b"!" + line[1:]),
        body.replace(b"old 5\n", b"old 5\n" + (line + b"\n") * 63),
        body.replace(line, line + b"\r"),
        b"old 5",
    ]


@pytest.mark.parametrize("body", mutations())
def test_another_spelling_of_the_body_is_none(body: bytes) -> None:
    with pytest.raises(NoteBroken):
        read_add_checkpoint(body)
