"""Which rows of a prompt are pictures, and when they are computed."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.batching.image_rows import next_to_look, read_stretches, text_rows, without_pictures
from engine.batching.request import StartRefused
from engine.batching.slot import Slot
from engine.pictures import Picture, Stretch, picture_ids
from tests.unit.engine.made_up_images import picture

TOKENS = 4
A, B = picture(1), picture(2)


def prompt(*parts: int | Picture) -> Any:
    ids = [one for part in parts for one in (picture_ids(part, TOKENS) if isinstance(part, Picture) else [part])]
    return np.asarray(ids, np.int32)


def slot(cached: int, *stretches: Stretch, known: int = 20) -> Slot:
    made = Slot(0, 32)
    made.cached, made.known = cached, known
    made.request = SimpleNamespace(pictures=stretches)  # type: ignore[assignment]
    return made


def test_each_picture_is_found_where_its_run_stands() -> None:
    assert read_stretches(prompt(5, A, 6, B, A, 7), [A, B, A], TOKENS) == (
        Stretch(1, 5, A),
        Stretch(6, 10, B),
        Stretch(10, 14, A),
    )
    assert read_stretches(prompt(5, 6), [], TOKENS) == read_stretches(prompt(5), [], 0) == ()


@pytest.mark.parametrize(
    ("ids", "pictures", "tokens", "why"),
    [
        (prompt(5, A, 6), [A], 0, "no projector"),
        (prompt(5, A, 6), [], TOKENS, "4 rows for 0 pictures"),
        (prompt(5, 6), [A], TOKENS, "0 rows for 1 pictures"),
        (prompt(5, A, 6), [A, B], TOKENS, "4 rows for 2 pictures"),
        (prompt(5, A, 6), [B], TOKENS, "not those of its pixels"),
        (prompt(5, A, B, 6), [B, A], TOKENS, "not those of its pixels"),
        (prompt(-1, 5, -2, 6, -3, -4, 7), [A], TOKENS, "not those of its pixels"),
        (prompt(5, A), [A], TOKENS, "ends with text"),
        (prompt(5, A, 6), [Picture(width=9, height=9, rgb=A.rgb)], TOKENS, "more or fewer pixels"),
    ],
)
def test_pictures_and_prompt_must_agree(ids: Any, pictures: list[Picture], tokens: int, why: str) -> None:
    with pytest.raises(StartRefused, match=why):
        read_stretches(ids, pictures, tokens)


def test_text_goes_up_to_the_next_picture() -> None:
    first, second = Stretch(3, 7, A), Stretch(7, 11, B)
    rows = [text_rows(slot(cached, first, second)) for cached in (0, 2, 3, 5, 7, 11, 19)]
    assert rows == [3, 1, 0, 0, 0, 9, 1]
    assert text_rows(slot(0, Stretch(3, 7, A), known=2)) == 2
    assert text_rows(slot(4)) == 16


def test_the_first_that_stands_at_a_picture_is_next() -> None:
    stretch = Stretch(3, 7, A)
    before, at, inside, behind = (slot(cached, stretch) for cached in (2, 3, 5, 7))
    assert next_to_look([before, behind]) is None
    assert next_to_look([before, at, inside]) == (at, stretch)
    assert next_to_look([inside, at]) == (inside, stretch)
    assert next_to_look([]) is None


def test_a_sampler_is_told_of_text_only() -> None:
    assert without_pictures(prompt(5, A, 6)).tolist() == [5, 6]
