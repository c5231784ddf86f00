"""`X-Queue-*` and `X-Admission-Decision`: what a caller is told of its wait, the same in every dialect.

Times are told on the ladder of `policies.told_wait`; the place is that among the team's own waiting requests, so that
neither tells what others do. docs/queue-contract.md has them all.
"""

from policies.admitting.effects import Forecast
from policies.told_wait import told_ms

Headers = tuple[tuple[str, str], ...]


def queue_headers(decision: str, forecast: Forecast, waited_s: float | None) -> Headers:
    """The headers of a request that asked the queue; `waited_s` is None while it waits."""
    waited = () if waited_s is None else (("X-Queue-Wait-Ms", str(told_ms(waited_s))),)
    return (
        ("X-Admission-Decision", decision),
        ("X-Queue-Predicted-Wait-Ms", str(told_ms(forecast.wait_s))),
        ("X-Queue-Predicted-Wait-P90-Ms", str(told_ms(max(forecast.p90_s, forecast.wait_s)))),
        ("X-Queue-Position", str(forecast.position)),
        *waited,
    )
