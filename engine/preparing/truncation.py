"""Which part of a conversation is kept when it does not fit the context; Ollama's rule.

 (1) what fits is kept whole
 (2) else, when the caller allows it, the oldest messages are dropped, system messages excepted, until it fits;
     a cut is made only before a message of the user, because templates refuse to begin with an answer
 (3) the last message is always kept; if it does not fit with the system messages, that is the caller's to know
 (4) the input of an embedding is cut at its end, keeping the token that closes it

Counting is handed in, since only the template and the tokeniser know it.
"""

from collections.abc import Callable, Sequence

from engine.errors import ContextTooLong
from policies.call import Message

TokenIds = list[int]


def fit_messages(
    messages: Sequence[Message],
    tokenise: Callable[[Sequence[Message]], TokenIds],
    *,
    limit_tokens: int,
    truncate: bool,
) -> TokenIds:
    """The ids of as much of the conversation as fits. Raises ContextTooLong."""
    ids = tokenise(messages)
    if len(ids) <= limit_tokens:
        return ids
    cuts = _cuts(messages) if truncate else []
    best: TokenIds | None = None
    low, high = 0, len(cuts)
    while low < high:  # the first cut that fits, by halves: dropping more never needs more room
        middle = (low + high) // 2
        ids = tokenise(_from(messages, cuts[middle]))
        if len(ids) <= limit_tokens:
            best, high = ids, middle
        else:
            low = middle + 1
    if best is None:
        raise ContextTooLong("prompt_too_long", prompt_tokens=len(ids), limit_tokens=limit_tokens)
    return best


def fit_continued(context: Sequence[int], prompt: TokenIds, *, limit_tokens: int, truncate: bool) -> TokenIds:
    """`prompt` behind the ids of an earlier answer, whose oldest give way. Raises ContextTooLong."""
    room = limit_tokens - len(prompt)
    if room < 0 or (len(context) > room and not truncate):
        total = len(context) + len(prompt)
        raise ContextTooLong("prompt_too_long", prompt_tokens=total, limit_tokens=limit_tokens)
    return [*context[max(0, len(context) - room) :], *prompt]


def fit_input(ids: TokenIds, *, limit_tokens: int, truncate: bool, closes: bool) -> TokenIds:
    """One input of an embedding, cut to the context; `closes` when its last id ends it. Raises ContextTooLong."""
    if len(ids) <= limit_tokens:
        return ids
    if not truncate:
        raise ContextTooLong("input_too_long", prompt_tokens=len(ids), limit_tokens=limit_tokens)
    return [*ids[: limit_tokens - 1], ids[-1]] if closes else ids[:limit_tokens]


def _cuts(messages: Sequence[Message]) -> list[int]:
    """Where a shortened conversation may begin, earliest first; the last message at the latest."""
    cuts = [index for index, message in enumerate(messages) if index and message.role == "user"]
    last = len(messages) - 1
    return cuts if last in cuts or last < 1 else [*cuts, last]


def _from(messages: Sequence[Message], start: int) -> list[Message]:
    system = [message for message in messages[:start] if message.role == "system"]
    return [*system, *messages[start:]]
