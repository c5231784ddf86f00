"""Which prompts a target still remembers: hashes of the 64-token blocks that passed through it.

An estimate, for choosing a target and for pricing: the target itself reports what it really reused. Each hash covers
all blocks before it and is salted with the call's cache scope, so a match is a common prefix within one scope.
"""

from collections import OrderedDict
from collections.abc import Sequence

BLOCK_TOKENS = 64


class Prefixes:
    """The blocks of one target, at most `most`; the least recently used go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._blocks: OrderedDict[bytes, None] = OrderedDict()

    def matched_tokens(self, blocks: Sequence[bytes]) -> int:
        """The length of the longest remembered prefix."""
        matched = 0
        for block in blocks:
            if block not in self._blocks:
                break
            matched += 1
        return matched * BLOCK_TOKENS

    def remember(self, blocks: Sequence[bytes]) -> None:
        """A prompt of these blocks runs there."""
        for block in blocks:
            self._blocks[block] = None
            self._blocks.move_to_end(block)
        while len(self._blocks) > self._most:
            self._blocks.popitem(last=False)

    def limit(self, most: int) -> None:
        """Remember at most so many blocks from the next prompt on."""
        self._most = most

    def forget(self) -> None:
        """The target began anew."""
        self._blocks.clear()
