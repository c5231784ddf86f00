"""Which record counts as the end of a request: the first one of its id.

A client that leaves while its last bytes are sent has two ends (completed, then aborted), in either order. Only the
first counts, so that nobody's tokens are summed twice. The ids of the last `MAX_ENDED` ends are remembered: minutes of
the heaviest load, beyond any time that a write may take.
"""

from policies.auditing.report_line import ReportLine

MAX_ENDED = 1 << 17
ENDS = frozenset({"completed", "denied", "aborted"})
"""The stages that a request may end in."""


class EndedRequests:
    """Of one chain."""

    def __init__(self, most: int = MAX_ENDED) -> None:
        self._most = most
        self._ended: dict[str, None] = {}

    def is_end(self, line: ReportLine) -> bool:
        """Whether this record is a request's end, heard for the first time. To be asked once for each record."""
        if line.stage not in ENDS or not line.req_id or line.req_id in self._ended:
            return False
        self._ended[line.req_id] = None
        if len(self._ended) > self._most:
            del self._ended[next(iter(self._ended))]
        return True
