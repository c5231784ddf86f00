"""Where pictures stand in a prompt. Pure.

(1) a message's pictures come before its text, each on its way through the template as a mark: random letters that
    nobody can write, so no caller's text can ask for a picture that is not there, or move one (CVE-2026-44222)
(2) after rendering, each mark becomes what the projector's family puts before a picture, the picture's run of ids,
    and what it puts after; a template that leaves a mark out, or repeats it, cannot show pictures
(3) a prompt ends with text: the last row's logits give the first token of the answer
(4) pictures of messages that were cut off for length are dropped with them: what is kept is read off the ids
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from engine.errors import PrepareFailed
from engine.pictures import Picture, picture_ids
from engine.preparing.truncation import TokenIds
from engine.store.projector_check import Projector
from policies.call import Message


@dataclass(frozen=True, slots=True)
class Sight:
    """What lets a model see: its projector's facts, and what decodes images to pictures, none with a side above the
    given one (raises ImageFault).
    """

    projector: Projector
    decode: Callable[[Sequence[bytes], int], list[Picture]]


class PictureMarks:
    """The pictures of one request, in their order; `marks` are as many. `before` and `after` stand around each."""

    def __init__(
        self, pictures: Sequence[Picture], marks: Sequence[str], *, tokens: int, before: TokenIds, after: TokenIds
    ) -> None:
        self._pictures = pictures
        self._marks = marks
        self._runs = [picture_ids(picture, tokens) for picture in pictures]
        self._around = {mark: [*before, *run, *after] for mark, run in zip(marks, self._runs, strict=True)}
        self._splitter = re.compile(f"({'|'.join(map(re.escape, marks))})") if marks else None

    def place(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages with a mark for each of their images before the text; they still say how many they have."""
        marks = iter(self._marks)
        return tuple(_marked(message, [next(marks) for _ in message.images]) for message in messages)

    def cut(self, text: str, messages: Sequence[Message]) -> list[str | TokenIds]:
        """A text rendered from `messages`, cut where pictures stand, and their ids there. Raises PrepareFailed."""
        if self._splitter is None:
            return [text]
        parts = self._splitter.split(text)
        found = [part for part in parts if part in self._around]
        if len(found) != len(set(found)) or len(found) != sum(len(message.images) for message in messages):
            raise PrepareFailed("picture_not_shown", "the model's chat template cannot show these images")
        return [self._around.get(part, part) for part in parts]

    def first(self) -> TokenIds:
        """The ids of all pictures, for a prompt that no template makes: they stand before it."""
        return [token_id for ids in self._around.values() for token_id in ids]

    def kept(self, ids: Sequence[int]) -> tuple[Picture, ...]:
        """The pictures whose runs are in `ids`. Raises PrepareFailed for a prompt that ends with one, rule (3)."""
        if ids and ids[-1] < 0:
            raise PrepareFailed("prompt_ends_with_picture", "the prompt must have text after its images")
        kept, at = [], 0
        for picture, run in zip(self._pictures, self._runs, strict=True):
            at = next((place for place in range(at, len(ids)) if ids[place] < 0), len(ids))
            if list(ids[at : at + len(run)]) == run:
                kept.append(picture)
                at += len(run)
        return tuple(kept)


NO_PICTURES = PictureMarks((), (), tokens=0, before=[], after=[])


def _marked(message: Message, marks: Sequence[str]) -> Message:
    if not marks:
        return message
    return msgspec.structs.replace(message, content=f"{''.join(marks)}\n{message.content}")
