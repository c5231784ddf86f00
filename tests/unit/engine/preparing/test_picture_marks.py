"""Where pictures stand in a prompt, with one id a character of text."""

import pytest

from engine.errors import PrepareFailed
from engine.pictures import picture_ids
from engine.preparing.picture_marks import NO_PICTURES, PictureMarks
from engine.preparing.special_text import new_mark
from policies.call import Message
from tests.unit.engine.made_up_images import picture

TOKENS = 4
MARKS = [new_mark(seed) for seed in (11, 12, 13)]
PICTURES = [picture(seed) for seed in (1, 2, 3)]
RUNS = [picture_ids(one, TOKENS) for one in PICTURES]


def marks(count: int = 3) -> PictureMarks:
    return PictureMarks(PICTURES[:count], MARKS[:count], tokens=TOKENS, before=[1], after=[2, 3])


def asked(*counts: int) -> list[Message]:
    return [Message(role="user", content=f"m{i}", images=(b"x",) * count) for i, count in enumerate(counts)]


def test_pictures_stand_before_the_text_of_their_message() -> None:
    first, second, third = marks().place(asked(1, 0, 2))
    assert (first.content, second.content, third.content) == (f"{MARKS[0]}\nm0", "m1", f"{MARKS[1]}{MARKS[2]}\nm2")
    assert [len(one.images) for one in (first, second, third)] == [1, 0, 2]


def test_marks_become_runs_between_what_the_family_puts_around() -> None:
    messages = asked(2)
    parts = marks(2).cut(f"<user>{MARKS[0]}{MARKS[1]}\nhi", messages)
    assert parts == ["<user>", [1, *RUNS[0], 2, 3], "", [1, *RUNS[1], 2, 3], "\nhi"]
    assert NO_PICTURES.cut("hi", asked(0)) == ["hi"]


@pytest.mark.parametrize("text", ["no mark", MARKS[0] * 2, MARKS[0] + MARKS[1]])
def test_a_template_that_loses_or_repeats_a_picture_cannot_show_it(text: str) -> None:
    with pytest.raises(PrepareFailed, match="picture_not_shown"):
        marks(2).cut(text, asked(1))


def test_only_pictures_of_kept_messages_are_kept() -> None:
    made = marks()
    assert made.kept([9, *RUNS[0], 9, *RUNS[1], *RUNS[2], 9]) == tuple(PICTURES)
    assert made.kept([9, *RUNS[1], 9, *RUNS[2], 9]) == tuple(PICTURES[1:])
    assert made.kept([9, *RUNS[2], 9]) == (PICTURES[2],)
    assert made.kept([9]) == made.kept([]) == ()


def test_the_same_picture_twice_is_kept_twice() -> None:
    twice = PictureMarks([PICTURES[0]] * 2, MARKS[:2], tokens=TOKENS, before=[], after=[])
    assert twice.kept([*RUNS[0], *RUNS[0], 9]) == (PICTURES[0], PICTURES[0])
    assert twice.kept([*RUNS[0], 9]) == (PICTURES[0],)


def test_a_prompt_ends_with_text() -> None:
    with pytest.raises(PrepareFailed, match="prompt_ends_with_picture"):
        marks(1).kept([9, *RUNS[0]])


def test_without_a_template_pictures_stand_first() -> None:
    assert marks(2).first() == [1, *RUNS[0], 2, 3, 1, *RUNS[1], 2, 3]
    assert NO_PICTURES.first() == []
