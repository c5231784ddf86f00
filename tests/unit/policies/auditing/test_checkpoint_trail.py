"""Invariant: no checkpoint is taken out of, put into or moved in the file of them without the signed end telling."""

import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.auditing.checkpoint import Checkpoint, checkpoint_text
from policies.auditing.checkpoint_trail import (
    KeptWrongly,
    Stored,
    Trail,
    Turn,
    end_name,
    end_text,
    judge_signed_trail,
    kept_notes,
    open_end,
)
from policies.auditing.key_change import open_change, sign_change
from policies.auditing.signed_note import Ed25519Signer, Ed25519Verifier, NoteBroken, sign_note

ORIGIN = "corral/ab/box-0"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Ed25519Signer(ORIGIN, KEY)
END_SIGNER = Ed25519Signer(end_name(ORIGIN), KEY)
CHECKPOINTS = [Checkpoint(ORIGIN, size, bytes([size]) * 32) for size in range(1, 6)]
NOTES = tuple(sign_note(checkpoint_text(each), [SIGNER]) for each in CHECKPOINTS)


def judge_trail(stored: Stored, verifiers: list[Ed25519Verifier]) -> list[Checkpoint]:
    return judge_signed_trail(stored, verifiers).checkpoints


def end_of(notes: tuple[bytes, ...]) -> bytes:
    trail = Trail()
    for note in notes:
        trail = trail.added(note)
    return sign_note(end_text(ORIGIN, trail), [END_SIGNER])


END = end_of(NOTES)


def test_what_was_kept_is_whole() -> None:
    assert judge_trail(Stored(NOTES, END), [SIGNER.verifier]) == CHECKPOINTS
    assert judge_trail(Stored(), [SIGNER.verifier]) == []
    assert judge_trail(Stored((), end_of(())), [SIGNER.verifier]) == []


def test_notes_behind_the_end_are_a_stop_in_between() -> None:
    assert judge_trail(Stored(NOTES, end_of(NOTES[:4])), [SIGNER.verifier]) == CHECKPOINTS
    assert judge_trail(Stored(NOTES[:1], None), [SIGNER.verifier]) == CHECKPOINTS[:1]


def test_every_other_choice_and_order_is_found() -> None:
    tried = 0
    for count in range(len(NOTES) + 1):
        for chosen in itertools.permutations(NOTES, count):
            if chosen == NOTES:
                continue
            tried += 1
            with pytest.raises(KeptWrongly):
                judge_trail(Stored(chosen, END), [SIGNER.verifier])
    assert tried == 325


def test_an_end_that_is_gone_or_anothers_is_found() -> None:
    other = Ed25519Signer(end_name("corral/ab/box-1"), KEY)
    for end in (None, b"", sign_note(end_text("corral/ab/box-1", Trail()), [other]), NOTES[0]):
        with pytest.raises(KeptWrongly, match="signed end"):
            judge_trail(Stored(NOTES, end), [SIGNER.verifier])


def test_a_note_of_another_key_or_chain_is_named() -> None:
    stranger = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    forged = sign_note(checkpoint_text(Checkpoint(ORIGIN, 9, b"r" * 32)), [stranger])
    with pytest.raises(KeptWrongly) as caught:
        judge_trail(Stored((*NOTES, forged), END), [SIGNER.verifier])
    assert caught.value.number == 6
    neighbour = Ed25519Signer("corral/ab/box-1", KEY)
    moved = sign_note(checkpoint_text(Checkpoint("corral/ab/box-1", 9, b"r" * 32)), [neighbour])
    with pytest.raises(KeptWrongly, match="does not follow"):
        judge_trail(Stored((*NOTES, moved), END), [SIGNER.verifier, neighbour.verifier])


@pytest.mark.parametrize("text", [b"one line\n", b"a\nb\nc\nd\n", end_text("corral/ab/other", Trail())])
def test_what_is_no_end_is_refused(text: bytes) -> None:
    with pytest.raises(NoteBroken, match="end of"):
        open_end(sign_note(text, [END_SIGNER]), ORIGIN, [END_SIGNER.verifier])


def test_notes_are_read_as_they_are_kept() -> None:
    data = b"".join(note + b"\n" for note in NOTES)
    assert kept_notes(data) == (list(NOTES), b"")
    assert kept_notes(b"") == ([], b"")
    for cut in range(1, len(NOTES[-1])):
        assert kept_notes(data[:-cut]) == (list(NOTES[:4]), data[len(data) - len(NOTES[-1]) - 1 : -cut])


# ---- the key changes

NEXT = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
NEXT_SIGNER = Ed25519Signer(ORIGIN, NEXT)
CHANGE = open_change(sign_change("corral/ab", KEY, NEXT))
BOTH = [SIGNER.verifier, NEXT_SIGNER.verifier]


def signed_by(*signers: Ed25519Signer) -> Stored:
    notes = tuple(sign_note(checkpoint_text(each), [signer]) for each, signer in zip(CHECKPOINTS, signers, strict=True))
    return Stored(notes, end_of(notes))


def test_a_change_of_the_key_is_told_where_both_have_signed_it() -> None:
    stored = signed_by(SIGNER, SIGNER, NEXT_SIGNER, NEXT_SIGNER, NEXT_SIGNER)
    trail = judge_signed_trail(stored, BOTH, [CHANGE])
    assert trail.checkpoints == CHECKPOINTS
    assert trail.turns == (Turn(2, 3, NEXT_SIGNER.verifier.public_key),)
    assert judge_signed_trail(signed_by(*[NEXT_SIGNER] * 5), BOTH, [CHANGE]).turns == ()


def test_no_key_signs_without_a_change_that_leads_to_it() -> None:
    with pytest.raises(KeptWrongly, match="no change that both signed leads to it"):
        judge_signed_trail(signed_by(SIGNER, SIGNER, NEXT_SIGNER, NEXT_SIGNER, NEXT_SIGNER), BOTH)


def test_a_replaced_key_signs_nothing_any_more() -> None:
    with pytest.raises(KeptWrongly) as kept:
        judge_signed_trail(signed_by(SIGNER, SIGNER, NEXT_SIGNER, NEXT_SIGNER, SIGNER), BOTH, [CHANGE])
    assert kept.value.number == 5
