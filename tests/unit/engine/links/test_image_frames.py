"""Images on their way: from the call to the preparer, decoded to the worker, and out of what waits."""

from typing import Any

import pytest

from engine.errors import PrepareFailed
from engine.frames import Ended, Ready
from engine.links import call_frames
from engine.links.call_frames import check_images, last_events, pack_ids, prepare_frame, prepared_call, start_frame
from engine.pictures import Picture
from policies.call import Call, Final, Message
from tests.unit.engine.made_up_images import picture

SEEN = picture(1)
CALL = Call(kind="chat", model="m", messages=(Message("user", "x", images=(b"a", b"b")), Message("user", "y")))


def ready(*images: Picture) -> Ready:
    return Ready(id=1, token_ids=(pack_ids((1, -2, 3)),), prompt_tokens=3, images=images)


def test_decoded_pictures_travel_on_and_the_callers_images_do_not() -> None:
    made = prepared_call(CALL, ready(SEEN))
    assert made.images == (SEEN,)
    assert [message.images for message in made.call.messages] == [(), ()]
    assert start_frame(1, made, 5).images == (SEEN,)
    completion = Call(kind="completion", model="m", prompt="x", images=(b"a",))
    assert prepare_frame(1, completion).images == (b"a",)
    assert prepared_call(completion, ready(SEEN)).call.images == ()


def test_a_call_without_images_is_kept_as_it_is() -> None:
    call = Call(kind="chat", model="m", messages=(Message("user", "x"),))
    assert prepared_call(call, ready()).call is call


def test_a_picture_of_another_size_than_it_says_is_no_answer() -> None:
    with pytest.raises(ValueError, match="more or fewer pixels"):
        prepared_call(CALL, ready(Picture(width=9, height=9, rgb=b"\0")))


def test_a_context_with_pictures_is_not_handed_back() -> None:
    for images, context in (((), (1, -2, 3, 7)), ((SEEN,), ())):
        made = prepared_call(Call(kind="completion", model="m", prompt="x"), ready(*images))
        (final,) = last_events(Ended(id=1, reason="stop", token_ids=pack_ids((7,))), made)
        assert isinstance(final, Final)
        assert final.context == context


def test_images_that_do_not_fit_one_frame_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_images(CALL)
    monkeypatch.setattr(call_frames, "MAX_IMAGES_BYTES", 1)
    both: list[Any] = [CALL, Call(kind="completion", model="m", images=(b"ab",))]
    for call in both:
        with pytest.raises(PrepareFailed, match="images_too_large"):
            check_images(call)
