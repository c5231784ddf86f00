"""Pictures count while somebody refers to them."""

import pytest

from engine.errors import ModelNotReady
from engine.links.picture_budget import PictureBudget
from tests.unit.engine.made_up_images import picture

SIZE = len(picture(1).rgb)


def test_pictures_count_until_nobody_refers_to_them() -> None:
    budget = PictureBudget(4 * SIZE)
    held = [picture(1), picture(2)]
    budget.admit(held, "a")
    with pytest.raises(ModelNotReady, match="too_many_pictures_wait"):
        budget.admit([picture(3), picture(4)], "b")
    assert budget.used_bytes == 2 * SIZE
    also = [picture(5)]
    budget.admit(also, "b")
    assert budget.used_bytes == 3 * SIZE
    held.clear()
    assert budget.used_bytes == SIZE
    budget.admit([picture(6)], "a")
    assert budget.used_bytes == SIZE  # that one was let go at once


def test_one_team_cannot_leave_the_others_nothing() -> None:
    budget = PictureBudget(9 * SIZE)
    held = {"greedy": [picture(1)], "other": [picture(2)], "third": [picture(3)]}
    counts = []
    for scope, own in held.items():
        for number in range(9):
            new = picture(10 * len(own) + number)
            try:
                budget.admit([new], scope)
            except ModelNotReady:
                break
            own.append(new)
        counts.append(len(own) - 1)
    assert counts == [4, 2, 1]
    held.clear()
    own.clear()
    del new
    assert budget.used_bytes == 0


def test_a_request_without_pictures_is_never_refused() -> None:
    budget = PictureBudget(0)
    budget.admit((), "a")
    assert budget.used_bytes == 0
