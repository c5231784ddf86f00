"""From token bytes to text that may be sent: whole characters only, and nothing of a stop string.

Rules:
 1. A character is sent when its last byte is there. Bytes that are no UTF-8 become U+FFFD.
 2. The first stop string to be complete ends the text; of several that complete with the same
    character the longest counts. Text before it is sent, it and all after it never. So the result does
    not depend on how the text was cut into tokens.
 3. An end of text that may still become a stop string is held back, no more than that; `finish` sends it.
 4. A token's logprobs go with its text: not before all of it is sent, and never if it began in the stop.

Matching is Knuth, Morris and Pratt's (SIAM J. Comput. 6, 1977): constant work a character, so a long or
self-similar stop string costs no more than any other.
"""

import codecs
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from policies.call import TokenLogprob


class Piece(Struct, frozen=True):
    """What may be sent now. `stopped`: a stop string was found, nothing follows."""

    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    stopped: bool = False


class StopMatcher:
    """Looks for one stop string, character by character; `matched` of its characters are the text's end now."""

    def __init__(self, stop: str) -> None:
        self._stop = stop
        self._fallback = _fallbacks(stop)
        self.matched = 0

    @property
    def is_complete(self) -> bool:
        return self.matched == len(self._stop)

    def advance(self, character: str) -> None:
        while self.matched and self._stop[self.matched] != character:
            self.matched = self._fallback[self.matched - 1]
        if self._stop[self.matched] == character:
            self.matched += 1


def _fallbacks(stop: str) -> list[int]:
    """For each prefix of `stop`, the length of its longest proper prefix that is also its suffix."""
    lengths = [0] * len(stop)
    size = 0
    for index in range(1, len(stop)):
        while size and stop[index] != stop[size]:
            size = lengths[size - 1]
        if stop[index] == stop[size]:
            size += 1
        lengths[index] = size
    return lengths


class TextStream:
    """The text of one request. Offsets count characters from its beginning."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._matchers = [StopMatcher(stop) for stop in stops if stop]
        self._held = ""
        self._sent = 0  # offset of the first held character
        self._logprobs: deque[tuple[int, int, TokenLogprob]] = deque()  # begin, end, logprob

    def feed(self, token_bytes: bytes, logprob: TokenLogprob | None = None) -> Piece:
        """Take the next token; returns what may be sent. Not to be called after `stopped`."""
        begin = self._sent + len(self._held)
        new = self._decoder.decode(token_bytes)
        if logprob is not None:
            unfinished = bool(self._decoder.getstate()[0])
            self._logprobs.append((begin, begin + len(new) + unfinished, logprob))
        if not self._matchers:
            self._held += new
            return self._send(len(self._held))
        return self._match(new)

    def finish(self) -> Piece:
        """The rest: what was held back, and U+FFFD for a character that never became whole."""
        last = self._match(self._decoder.decode(b"", final=True))
        if last.stopped:
            return last
        rest = self._send(len(self._held), everything=True)
        return Piece(last.text + rest.text, last.logprobs + rest.logprobs)

    def _match(self, new: str) -> Piece:
        for index, character in enumerate(new):
            for matcher in self._matchers:
                matcher.advance(character)
            if size := max((matcher.matched for matcher in self._matchers if matcher.is_complete), default=0):
                self._held += new[: index + 1]
                return self._stop(len(self._held) - size)
        self._held += new
        kept = max((matcher.matched for matcher in self._matchers), default=0)
        return self._send(len(self._held) - kept)

    def _send(self, count: int, *, everything: bool = False) -> Piece:
        text, self._held = self._held[:count], self._held[count:]
        self._sent += count
        ready = []
        while self._logprobs and (everything or self._logprobs[0][1] <= self._sent):
            ready.append(self._logprobs.popleft()[2])
        return Piece(text, tuple(ready))

    def _stop(self, count: int) -> Piece:
        cut = self._sent + count
        ready = tuple(logprob for begin, _, logprob in self._logprobs if begin < cut)
        text, self._held = self._held[:count], ""
        return Piece(text, ready, stopped=True)
