"""From one `Prepare` frame to token ids: what the preparer decides, without a socket, a clock or llama.cpp.

 (1) what the model cannot do (tools and reasoning without a form for them, images) and unknown roles are refused, not
     dropped: a role may stand inside a template's marker, so it is chosen from a list
 (2) chat, and completion that is not raw, go through the model's template, with callers' texts guarded
     (engine.preparing.special_text); a file without a template does not support chat, but completes a plain prompt
 (3) a raw prompt is the caller's whole and may spell control tokens; an embedding's input may not
 (4) the prompt must leave room for one output token; a longer conversation is cut (engine.preparing.truncation)
 (5) text that cannot fit, by the length of the longest token, is not tokenised at all; longer text than
     `CHUNK_LENGTH` is tokenised in parts, cut before a space where there is one: llama.cpp takes more than linear
     time for one long word and cannot be interrupted, so that one caller could otherwise end this process
 (6) an answer is read by the model's form (engine.answers), but for a completion without the template, which is text
 (7) pictures stand before the text of their message, before all of a prompt without the template (picture_marks)

Raises PrepareFailed (input) and ContextTooLong.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from msgspec import structs

from engine.answers.answer_form import PLAIN, AnswerForm
from engine.errors import ContextTooLong, PrepareFailed
from engine.frames import Prepare
from engine.preparing.image_header import ImageFault
from engine.preparing.picture_marks import NO_PICTURES, PictureMarks, Sight
from engine.preparing.special_text import Markers
from engine.preparing.template import ChatTemplate, TemplateFault
from engine.preparing.truncation import TokenIds, fit_continued, fit_input, fit_messages
from policies.call import Message, Tool

BLOCK_TOKENS = 64
BLOCK_HASH_BYTES = 8
CHUNK_LENGTH = 256 * 1024  # of one letter: 0.2 to 0.4 s and 26 MB in llama.cpp
ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The tokeniser of one model. `tokenise(text, special, bos)` reads markers as control tokens when

    `special`, and adds what begins and ends a sequence when `bos`. `longest_bytes` is its longest token.
    """

    tokenise: Callable[[str, bool, bool], TokenIds]
    size: int
    bos_id: int
    bos_text: str
    adds_bos: bool
    adds_eos: bool
    longest_bytes: int
    markers: Markers


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMaker:
    """What one model's prompts are made with. `template` None when the file has none; `form` of its answers;

    `sight` None when it has no projector.
    """

    model: str
    words: Words
    template: ChatTemplate | None
    context_tokens: int
    form: AnswerForm = PLAIN
    sight: Sight | None = None

    def pictures(self, asked: Prepare, draw_mark: Callable[[], str]) -> PictureMarks:
        """The images of `asked`, decoded, as they stand in this model's prompts; each under a mark of its own."""
        images = images_of(asked)
        if not images:
            return NO_PICTURES
        if self.sight is None:
            raise _unsupported(self.model, "vision")
        eye = self.sight.projector
        try:
            pictures = self.sight.decode(images, eye.image_size)
        except ImageFault as fault:
            raise PrepareFailed(fault.reason, fault.text) from None
        before, after = (self._tokenise(text, special=True) for text in (eye.before, eye.after))
        marks = [draw_mark() for _ in pictures]
        return PictureMarks(pictures, marks, tokens=eye.tokens, before=before, after=after)

    def sequences(
        self, asked: Prepare, *, mark: str, today: datetime, pictures: PictureMarks = NO_PICTURES
    ) -> list[TokenIds]:
        """One list of ids for chat and completion, one an input for embeddings."""
        if asked.kind == "embedding":
            return [self._input(text, asked.truncate) for text in asked.inputs]
        self._check_possible(asked)
        if asked.kind == "completion" and (asked.raw or self.template is None):
            ids = self._plain(asked, pictures)
        else:
            ids = self._conversation(asked, mark, today, pictures)
        if asked.context and asked.kind == "completion":
            ids = fit_continued(self._context(asked), ids, limit_tokens=self._limit_tokens, truncate=asked.truncate)
        return [_not_empty(ids)]

    def output_tokens(self, asked: Prepare, prompt_tokens: int) -> int:
        """What the context leaves for the answer, at most what was asked."""
        room = self.context_tokens - prompt_tokens
        return min(asked.max_output_tokens, room) if asked.max_output_tokens > 0 else room

    def answer_form(self, asked: Prepare, ids: TokenIds) -> AnswerForm:
        """How the answer to `ids` is read (rule 6)."""
        if asked.kind == "embedding" or asked.raw or self.template is None:
            return PLAIN
        tools = self.form.tools if asked.tools else ""
        return structs.replace(self.form, tools=tools, begins_thinking=self._ends_in_thought(ids))

    def _ends_in_thought(self, ids: TokenIds) -> bool:
        """Whether the template opened the reasoning itself: the prompt ends with the marker and at most two lines."""
        opens = self.form.think_open
        endings = [self._tokenise(opens + lines, special=True) for lines in ("", "\n", "\n\n")] if opens else []
        return any(ids[-len(ending) :] == ending for ending in endings)

    @property
    def _limit_tokens(self) -> int:
        return self.context_tokens - 1

    def _input(self, text: str, truncate: bool) -> TokenIds:
        if truncate:  # what stands beyond can never be kept
            text = text[: self.context_tokens * self.words.longest_bytes]
        self._check_length(text, self.context_tokens)
        first, *rest = _chunks(text)
        closes = self.words.adds_eos
        ids = self.words.tokenise(first, False, True)
        closing = [ids.pop()] if closes and ids else []
        for chunk in rest:
            ids += self.words.tokenise(chunk, False, False)
        ids += closing
        return _not_empty(fit_input(ids, limit_tokens=self.context_tokens, truncate=truncate, closes=closes))

    def _plain(self, asked: Prepare, pictures: PictureMarks) -> TokenIds:
        if asked.system and not asked.raw:
            raise _unsupported(self.model, "chat")
        self._check_length(asked.prompt, self._limit_tokens)
        ids = self._begun([*pictures.first(), *self._tokenise(asked.prompt, special=asked.raw)], asked)
        if len(ids) > self._limit_tokens:
            raise ContextTooLong("prompt_too_long", prompt_tokens=len(ids), limit_tokens=self._limit_tokens)
        return ids

    def _conversation(self, asked: Prepare, mark: str, today: datetime, pictures: PictureMarks) -> TokenIds:
        template = self.template
        if template is None:
            raise _unsupported(self.model, "chat")
        tools = [_tool_json(tool, self.words.markers, mark) for tool in asked.tools]

        def tokenise(messages: Sequence[Message]) -> TokenIds:
            shown = [_message_json(message, self.words.markers, mark) for message in messages]
            try:
                text = template.render(shown, tools=tools, today=today, think=asked.think)
            except TemplateFault as fault:
                raise PrepareFailed(fault.reason, fault.text) from None
            return self._begun(self._tokenise_marked(pictures.cut(text, messages), mark), asked)

        messages = pictures.place(_messages(asked))
        return fit_messages(messages, tokenise, limit_tokens=self._limit_tokens, truncate=asked.truncate)

    def _tokenise_marked(self, parts: Sequence[str | TokenIds], mark: str) -> TokenIds:
        """Ids of a rendered text and the pictures in it, the text cut at the marks; BOS left to `_begun`, also when
        the template wrote it."""
        first, *rest = parts
        if self.words.adds_bos and self.words.bos_text and isinstance(first, str):
            first = first.removeprefix(self.words.bos_text)
        lower_bound = sum(self._least_tokens(part) if isinstance(part, str) else len(part) for part in (first, *rest))
        if lower_bound > self._limit_tokens:
            return [0] * lower_bound  # only counted: too long by any tokenisation
        ids: TokenIds = []
        for part in (first, *rest):
            ids += self._tokenise_guarded(part, mark) if isinstance(part, str) else part
        return ids

    def _tokenise_guarded(self, text: str, mark: str) -> TokenIds:
        single = self.words.markers.single
        return [token_id for part in text.split(mark) for token_id in self._tokenise(part, special=part not in single)]

    def _tokenise(self, text: str, *, special: bool) -> TokenIds:
        return [token_id for chunk in _chunks(text) if chunk for token_id in self.words.tokenise(chunk, special, False)]

    def _begun(self, ids: TokenIds, asked: Prepare) -> TokenIds:
        starts = self.words.adds_bos and self.words.bos_id >= 0 and not asked.context
        return [self.words.bos_id, *ids] if starts else ids

    def _context(self, asked: Prepare) -> tuple[int, ...]:
        """Handed-back ids; one outside the vocabulary would fail the batch that others share."""
        if any(not 0 <= token_id < self.words.size for token_id in asked.context):
            raise PrepareFailed("context_ids", "context holds a token that this model does not have")
        return asked.context

    def _check_possible(self, asked: Prepare) -> None:
        if asked.tools and not self.form.tools:
            raise _unsupported(self.model, "tools")
        if asked.think and not self.form.think_open:
            raise _unsupported(self.model, "thinking")
        if images_of(asked) and self.sight is None:
            raise _unsupported(self.model, "vision")
        if any(message.role not in ROLES for message in asked.messages):
            raise PrepareFailed("role_unknown", f"a message's role must be one of {', '.join(ROLES)}")

    def _check_length(self, text: str, limit_tokens: int) -> None:
        least = self._least_tokens(text)
        if least > limit_tokens:
            raise ContextTooLong("prompt_too_long", prompt_tokens=least, limit_tokens=limit_tokens)

    def _least_tokens(self, text: str) -> int:
        """How many tokens `text` has at least, by its length alone."""
        return len(text) // self.words.longest_bytes


def images_of(asked: Prepare) -> tuple[bytes, ...]:
    """The caller's images in the order in which they stand in the prompt."""
    if asked.kind == "completion":
        return asked.images
    return tuple(image for message in asked.messages for image in message.images)


def block_hashes(ids: Sequence[int], cache_scope: str) -> tuple[bytes, ...]:
    """One hash a whole 64-token block, each covering all before it; equal only within one scope."""
    key = blake2b(cache_scope.encode()).digest()
    hashes, previous = [], b""
    for start in range(0, len(ids) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        block = array("i", ids[start : start + BLOCK_TOKENS]).tobytes()
        previous = blake2b(previous + block, digest_size=BLOCK_HASH_BYTES, key=key).digest()
        hashes.append(previous)
    return tuple(hashes)


def _chunks(text: str) -> list[str]:
    """`text` in parts of at most CHUNK_LENGTH characters, at least one."""
    chunks = []
    while len(text) > CHUNK_LENGTH:
        space = text.rfind(" ", CHUNK_LENGTH // 2, CHUNK_LENGTH)
        cut = space if space > 0 else CHUNK_LENGTH
        chunks.append(text[:cut])
        text = text[cut:]
    return [*chunks, text]


def _messages(asked: Prepare) -> tuple[Message, ...]:
    if asked.kind == "chat":
        return asked.messages
    system = (Message(role="system", content=asked.system),) if asked.system else ()
    return (*system, Message(role="user", content=asked.prompt, images=asked.images))


def _message_json(message: Message, markers: Markers, mark: str) -> dict[str, Any]:
    """A message as templates know it; what callers wrote is guarded."""
    shown: dict[str, Any] = {"role": message.role, "content": markers.guard(message.content, mark)}
    texts = {"reasoning_content": message.reasoning, "name": message.tool_name, "tool_call_id": message.tool_call_id}
    shown.update({key: markers.guard(text, mark) for key, text in texts.items() if text})
    if message.tool_calls:
        shown["tool_calls"] = [
            {
                "type": "function",
                "id": markers.guard(call.id, mark),
                "function": {
                    "name": markers.guard(call.name, mark),
                    "arguments": markers.guard_value(call.arguments, mark),
                },
            }
            for call in message.tool_calls
        ]
    return shown


def _tool_json(tool: Tool, markers: Markers, mark: str) -> dict[str, Any]:
    function = {
        "name": markers.guard(tool.name, mark),
        "description": markers.guard(tool.description, mark),
        "parameters": markers.guard_value(tool.parameters, mark),
    }
    return {"type": "function", "function": function}


def _not_empty(ids: TokenIds) -> TokenIds:
    if not ids:
        raise PrepareFailed("prompt_empty", "the input is empty")
    return ids


def _unsupported(model: str, what: str) -> PrepareFailed:
    return PrepareFailed(f"{what}_unsupported", f'"{model}" does not support {what}')
