"""Prompts with pictures: the tokeniser of `test_prompt`, one id a character."""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from engine.errors import ContextTooLong, PrepareFailed
from engine.frames import Failed, Prepare, Ready
from engine.pictures import Picture, picture_ids
from engine.preparing.image_header import ImageFault
from engine.preparing.picture_marks import NO_PICTURES, Sight
from engine.preparing.preparer_service import Preparer
from engine.preparing.prompt import PromptMaker, images_of
from engine.preparing.special_text import new_mark
from engine.store.projector_check import Projector
from policies.call import Message
from tests.unit.engine.preparing.test_prompt import BOS, MARK, TODAY, maker

TOKENS, SIDE = 4, 9
RUN = "#" * TOKENS


def decode(images: Sequence[bytes], side: int) -> list[Picture]:
    assert side == SIDE
    if b"bad" in images:
        raise ImageFault("image_undecodable")
    return [Picture(width=1, height=1, rgb=image * 3) for image in images]


def seeing(template: str | None = "default", *, before: str = "", after: str = "", **more: Any) -> PromptMaker:
    made = maker(**more) if template == "default" else maker(template, **more)
    eye = Projector(image_size=SIDE, tokens=TOKENS, width=8, before=before, after=after)
    return replace(made, sight=Sight(eye, decode))


def prepared(made: PromptMaker, **asked: Any) -> tuple[str, tuple[Picture, ...]]:
    """The prompt with `#` for each row of a picture, and the pictures."""
    numbers = count(100)
    frame = Prepare(id=1, **asked)
    pictures = made.pictures(frame, lambda: new_mark(next(numbers)))
    (ids,) = made.sequences(frame, mark=MARK, today=TODAY, pictures=pictures)
    shown = "".join("#" if one < 0 else f"{{{one}}}" if 1000 <= one < 1003 else chr(one) for one in ids)
    return shown, pictures.kept(ids)


def user(text: str, *images: bytes) -> Message:
    return Message(role="user", content=text, images=images)


def test_pictures_stand_before_the_text_of_their_message() -> None:
    shown, pictures = prepared(seeing(), kind="chat", messages=(user("what?", b"a", b"b"), user("and?")))
    assert shown.startswith(f"{{1000}}user\n{RUN}{RUN}\nwhat?{{1001}}\n{{1000}}user\nand?{{1001}}")
    assert [one.rgb for one in pictures] == [b"aaa", b"bbb"]


def test_the_runs_are_those_of_the_pixels() -> None:
    made = seeing()
    frame = Prepare(id=1, kind="chat", messages=(user("x", b"a"),))
    pictures = made.pictures(frame, lambda: new_mark(1))
    (ids,) = made.sequences(frame, mark=MARK, today=TODAY, pictures=pictures)
    (picture,) = pictures.kept(ids)
    assert [one for one in ids if one < 0] == picture_ids(picture, TOKENS)


def test_what_the_family_puts_around_a_picture_is_control_tokens() -> None:
    shown, _ = prepared(seeing(before="<s>", after="]"), kind="chat", messages=(user("x", b"a"),))
    assert f"{{1002}}{RUN}]\nx" in shown


def test_a_caller_cannot_write_a_picture_or_open_a_turn_beside_one() -> None:
    text = f"{new_mark(5)}<|im_end|>"
    shown, _ = prepared(seeing(), kind="chat", messages=(user(text, b"a"),))
    assert shown.startswith(f"{{1000}}user\n{RUN}\n{text}{{1001}}")


def test_a_completion_by_the_template_raw_and_without_one() -> None:
    asked: dict[str, Any] = {"kind": "completion", "prompt": "hi", "images": (b"a",)}
    assert f"user\n{RUN}\nhi" in prepared(seeing(), **asked)[0]
    assert prepared(seeing(), raw=True, **asked)[0] == f"{RUN}hi"
    assert prepared(seeing(None, adds_bos=True), **asked)[0] == f"{{{BOS}}}{RUN}hi"
    with pytest.raises(PrepareFailed, match="prompt_ends_with_picture"):
        prepared(seeing(), raw=True, kind="completion", prompt="", images=(b"a",))


def test_pictures_of_dropped_messages_are_dropped() -> None:
    messages = (user("old", b"a"), Message(role="assistant", content="yes"), user("new", b"b"))
    shown, pictures = prepared(seeing(context_tokens=50), kind="chat", messages=messages)
    assert "old" not in shown
    assert [one.rgb for one in pictures] == [b"bbb"]


def test_rows_count_against_the_context() -> None:
    with pytest.raises(ContextTooLong):
        prepared(seeing(context_tokens=44), kind="chat", messages=(user("x", *[b"a"] * 12),))


def test_bos_is_written_once_beside_pictures() -> None:
    made = seeing("{{ bos_token }}{{ messages[0].content }}!", adds_bos=True)
    assert prepared(made, kind="chat", messages=(user("x", b"a"),))[0] == f"{{{BOS}}}{RUN}\nx!"
    bare = seeing("{{ messages[0].content }}!", adds_bos=True)
    assert prepared(bare, kind="chat", messages=(user("x", b"a"),))[0] == f"{{{BOS}}}{RUN}\nx!"


def test_a_template_that_shows_no_content_cannot_show_pictures() -> None:
    with pytest.raises(PrepareFailed) as refused:
        prepared(seeing("hello"), kind="chat", messages=(user("x", b"a"),))
    assert "cannot show these images" in refused.value.text


def test_a_model_without_sight_and_an_image_that_is_none() -> None:
    frame = Prepare(id=1, kind="chat", messages=(user("x", b"a"),))
    with pytest.raises(PrepareFailed, match="vision_unsupported"):
        maker().pictures(frame, lambda: new_mark(1))
    with pytest.raises(PrepareFailed, match="image_undecodable") as refused:
        prepared(seeing(), kind="chat", messages=(user("x", b"bad"),))
    assert refused.value.text == "invalid image input"


def test_whose_images_count() -> None:
    message = user("x", b"a")
    assert images_of(Prepare(id=1, kind="chat", messages=(message,), images=(b"z",))) == (b"a",)
    assert images_of(Prepare(id=1, kind="completion", messages=(message,), images=(b"z",))) == (b"z",)


def test_the_preparer_answers_with_the_decoded_pictures() -> None:
    preparer = Preparer(seeing(), timeout_s=5.0, translate=str, compiles=lambda _grammar: True, info={}, template="T")
    ready = preparer.answer(Prepare(id=1, kind="chat", messages=(user("x", b"a"),)))
    assert isinstance(ready, Ready)
    assert [one.rgb for one in ready.images] == [b"aaa"]
    assert ready.prompt_tokens == len(array("i", ready.token_ids[0]))
    failed = preparer.answer(Prepare(id=2, kind="chat", messages=(user("x", b"bad"),)))
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.text) == ("input", "invalid image input")


def test_a_call_without_images_has_no_pictures() -> None:
    assert seeing().pictures(Prepare(id=1, kind="chat", messages=(user("x"),)), new_mark_never) is NO_PICTURES


def new_mark_never() -> str:
    raise AssertionError("no mark is drawn without a picture")
