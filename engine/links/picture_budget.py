"""How many bytes of decoded pictures one gateway process holds at a time, all models together.

A small image can become a large picture: a file of a few hundred bytes is as many pixels as the projector looks at. The
bound on bodies does not hold them, and hundreds of requests may wait. A picture counts from its decoding until nobody
refers to it any more, in the queue and while it runs.

Of one cache scope (a team) no more is held than is free afterwards for the others: alone it gets half, beside another
that does the same each gets a third. So no team can leave the others nothing.
"""

import weakref
from collections import Counter
from collections.abc import Sequence

from engine.errors import ModelNotReady
from engine.pictures import Picture

MOST_BYTES = 256 * 1024 * 1024  # as for all bodies together; 760 pictures for LLaVA 1.5


class PictureBudget:
    """Counts the pictures that are alive. `used_bytes` is their pixels."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self.used_bytes = 0
        self._held: Counter[str] = Counter()

    def admit(self, pictures: Sequence[Picture], scope: str) -> None:
        """Count `pictures`. Raises ModelNotReady, counting none, when they are too many beside those alive."""
        added = sum(len(picture.rgb) for picture in pictures)
        if added and self._held[scope] + added > self._most_bytes - self.used_bytes - added:
            raise ModelNotReady("too_many_pictures_wait")
        for picture in pictures:
            self._count(scope, len(picture.rgb))
            weakref.finalize(picture, self._count, scope, -len(picture.rgb)).atexit = False

    def _count(self, scope: str, size_bytes: int) -> None:
        self.used_bytes += size_bytes
        self._held[scope] += size_bytes
        if not self._held[scope]:
            del self._held[scope]
