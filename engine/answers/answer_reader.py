"""Reads a streamed answer: which of its text is said, reasoned, or calls a tool.

(1) reasoning stands at the beginning: between its markers, or from the first character where the prompt had opened
    it already; space around the markers belongs to nobody
(2) a tool call is handed on whole, once its closing marker (or the end of the answer) has come; what turns out not
    to be a good call of a function that was offered is text, as the model wrote it
(3) the beginning of a marker is held back until it is clear that it is none; nothing else is
(4) whatever comes, all of the text comes out again, in order, but for markers that were understood
"""

from collections.abc import Collection, Iterator
from enum import Enum

from engine.answers.answer_form import AnswerForm
from engine.answers.tool_styles import STYLES, Style, read_calls
from policies.call import Reasoning, Text, ToolCalled

MOST_CALL_CHARACTERS = 64 * 1024
"""A call that is longer is text."""

Said = Text | Reasoning | ToolCalled


class _State(Enum):
    BEGINNING = "beginning"
    THINKING = "thinking"
    AFTER_THOUGHT = "after thought"
    SAYING = "saying"
    CALLING = "calling"


class AnswerReader:
    """The reader of one answer. `offered` are the names of the functions that may be called."""

    def __init__(self, form: AnswerForm, offered: Collection[str]) -> None:
        self._form = form
        self._offered = offered
        self._style: Style | None = STYLES.get(form.tools) if offered else None
        self._state = _State.THINKING if form.begins_thinking else _State.BEGINNING
        self._held = ""
        self._has_thought = False

    def feed(self, text: str) -> list[Said]:
        """What is clear once `text` has come too."""
        self._held += text
        found: list[Said] = []
        while (said := self._next()) is not None:
            found.extend(said)
        return _joined(found)

    def finish(self) -> list[Said]:
        """The rest, when nothing follows."""
        held, self._held = self._held, ""
        if self._state is _State.CALLING:
            return self._called(held)
        if self._state is _State.THINKING:
            return [Reasoning(thought)] if (thought := held.rstrip("\n")) else []
        if self._state is _State.AFTER_THOUGHT:
            held = held.lstrip()
        return [Text(held)] if held else []

    # ---- inside

    def _next(self) -> list[Said] | None:
        """One move; None when more text is needed."""
        match self._state:
            case _State.BEGINNING:
                return self._begin()
            case _State.THINKING:
                return self._think()
            case _State.AFTER_THOUGHT:
                return self._after_thought()
            case _State.SAYING:
                return self._say()
            case _State.CALLING:
                return self._call()

    def _begin(self) -> list[Said] | None:
        """Space is held back here: it goes with what follows it."""
        seen, opens = self._held.lstrip(), self._form.think_open
        if opens and seen.startswith(opens):
            self._held, self._state = seen.removeprefix(opens), _State.THINKING
            return []
        if opens and opens.startswith(seen):
            return None
        return self._lead(seen)

    def _after_thought(self) -> list[Said] | None:
        self._held = self._held.lstrip()
        return self._lead(self._held)

    def _lead(self, seen: str) -> list[Said] | None:
        """The first words that are no reasoning, or the first call; some styles have their calls here only."""
        opens = self._style.opens if self._style is not None else ()
        if seen.startswith(opens):
            self._held, self._state = seen, _State.CALLING
            return []
        if not seen or any(each.startswith(seen) for each in opens):
            return None
        self._state = _State.SAYING
        return []

    def _think(self) -> list[Said] | None:
        closes = self._form.think_close
        if not self._has_thought:
            self._held = self._held.lstrip("\n")
        thought, closed, rest = self._held.partition(closes)
        if closed:
            self._held, self._state = rest, _State.AFTER_THOUGHT
        else:
            thought, rest = _cut(thought, _overlap(thought, closes))
        sure = thought.rstrip("\n")  # line ends before the marker belong to nobody, so they wait for what follows
        if not closed:
            self._held = thought[len(sure) :] + rest
        self._has_thought = self._has_thought or bool(sure)
        if sure:
            return [Reasoning(sure)]
        return [] if closed else None

    def _say(self) -> list[Said] | None:
        style = self._style
        if style is None or style.leads:
            said, self._held = self._held, ""
            return _text(said)
        at = min((found for each in style.opens if (found := self._held.find(each)) >= 0), default=-1)
        if at >= 0:
            said, self._held = self._held[:at], self._held[at:]
            self._state = _State.CALLING
            return _text(said) or []
        said, self._held = _cut(self._held, max(_overlap(self._held, each) for each in style.opens))
        return _text(said)

    def _call(self) -> list[Said] | None:
        style = self._style
        if style is not None and style.closes and style.closes in self._held:
            block, _, self._held = self._held.partition(style.closes)
            said = self._called(block, style.closes)
            self._state = _State.AFTER_THOUGHT if isinstance(said[0], ToolCalled) else _State.SAYING
            return said
        if len(self._held) > MOST_CALL_CHARACTERS:
            said, self._held, self._state, self._style = [Text(self._held)], "", _State.SAYING, None
            return said
        return None

    def _called(self, block: str, closes: str = "") -> list[Said]:
        calls = read_calls(self._style, block, self._offered) if self._style is not None else ()
        return [ToolCalled(call) for call in calls] or [Text(block + closes)]


def _text(said: str) -> list[Said] | None:
    return [Text(said)] if said else None


def _overlap(text: str, marker: str) -> int:
    """How many of the last characters of `text` may be the beginning of `marker`."""
    longest = min(len(marker) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(marker[:size])), 0)


def _cut(text: str, keep: int) -> tuple[str, str]:
    return (text[: len(text) - keep], text[len(text) - keep :]) if keep else (text, "")


def _joined(found: list[Said]) -> list[Said]:
    """Neighbours of one kind in one."""
    return list(_merge(found))


def _merge(found: list[Said]) -> Iterator[Said]:
    last: Said | None = None
    for each in found:
        if isinstance(last, Text) and isinstance(each, Text):
            last = Text(last.text + each.text)
        elif isinstance(last, Reasoning) and isinstance(each, Reasoning):
            last = Reasoning(last.text + each.text)
        else:
            if last is not None:
                yield last
            last = each
    if last is not None:
        yield last
