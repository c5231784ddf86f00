"""The events of one streamed answer: what `AnswerReader` understands, with the tokens and log-probabilities it took.

Tokens whose text is held back count with the next event, so that the sum is right at any time; the rest is settled by
`Final`. Log-probabilities belong to what is said: those of reasoning and of tool calls are left out.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from engine.answers.answer_form import PLAIN, AnswerForm
from engine.answers.answer_reader import AnswerReader, Said
from policies.call import Text, TokenLogprob, Tool


class AnswerEvents:
    """The events of an answer of this form to a caller who offered these tools."""

    def __init__(self, form: AnswerForm, tools: Sequence[Tool]) -> None:
        self._reader = None if form == PLAIN else AnswerReader(form, frozenset(tool.name for tool in tools))
        self._tokens = 0
        self._logprobs: tuple[TokenLogprob, ...] = ()

    def take(self, text: str, logprobs: tuple[TokenLogprob, ...], tokens: int) -> list[Said]:
        """The events of one more piece of the answer, which took so many tokens."""
        if self._reader is None:
            return [Text(text, logprobs, tokens)]
        self._tokens += tokens
        self._logprobs += logprobs
        return self._counted(self._reader.feed(text))

    def finish(self) -> list[Said]:
        """What was held back, when nothing follows."""
        return [] if self._reader is None else self._counted(self._reader.finish())

    def _counted(self, said: list[Said]) -> list[Said]:
        if not said:
            return []
        logprobs, self._logprobs = self._logprobs, ()
        tokens, self._tokens = self._tokens, 0
        counted = [replace(each, tokens=0) for each in said]
        spoken = next((at for at, each in enumerate(counted) if isinstance(each, Text)), None)
        if spoken is not None:
            counted[spoken] = replace(counted[spoken], logprobs=logprobs)
        return [replace(counted[0], tokens=tokens), *counted[1:]]
