"""Each form that makes a secret counts once: a page loaded again makes no second key, and shows no first one again.

Decides whether a form with this id was sent before. Rules:
 (1) An id is used up by the first form that brings it, whatever becomes of that form.
 (2) A form without an id, or with one that is none of ours by its form, counts as sent before.
 (3) The last `MOST` ids are remembered; what is forgotten is hours old in any use by people.
"""

import re
from collections import OrderedDict

MOST = 10_000
"""About 1 MB."""
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
"""16 bytes as `secrets.token_urlsafe` writes them."""


class SentForms:
    """The ids that were used up, by this process."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, None] = OrderedDict()

    def take(self, form_id: str) -> bool:
        """Use `form_id` up; True for the first time."""
        if not _ID.fullmatch(form_id) or form_id in self._used:
            return False
        self._used[form_id] = None
        if len(self._used) > MOST:
            self._used.popitem(last=False)
        return True
