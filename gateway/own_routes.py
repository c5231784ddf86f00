"""The gateway's own routes: health on every listener, metrics and the queue on the admin listener only."""

from collections.abc import Awaitable, Callable

from msgspec import json

from gateway.dialects.contract import Answer, OwnReport, Report
from gateway.dialects.route import Route
from gateway.metrics import CONTENT_TYPE
from policies.admitting.queue_view import QueueView
from policies.authorization import Grant

GET = ("GET", "HEAD")
COUNTS_PATH = "/corral/counts"


def health_routes(ready: Callable[[], bool]) -> tuple[Route, ...]:
    """Liveness and readiness: open, and the status says all there is to say."""

    def readiness() -> Answer:
        return _status("ready", 200) if ready() else _status("not ready", 503)

    return (
        Route(GET, "/health/live", "ollama", "open", 0, lambda _body, _model: _status("alive", 200)),
        Route(GET, "/health/ready", "ollama", "open", 0, lambda _body, _model: readiness()),
    )


def metrics_route(page: Callable[[], Awaitable[bytes]]) -> Route:
    """Prometheus' page, for keys with the scope `metrics`."""

    async def answer() -> Answer:
        return Answer(status=200, body=await page(), content_type=CONTENT_TYPE)

    return Route(GET, "/metrics", "ollama", "metrics", 0, lambda _body, _model: Report(answer=answer))


def queue_route(view: Callable[[], QueueView]) -> Route:
    """The queue as `corral status --json` has it, for keys with the scope `metrics`: it shows all teams."""

    async def answer() -> Answer:
        return Answer(status=200, body=json.encode(view()))

    return Route(GET, "/queue", "ollama", "metrics", 0, lambda _body, _model: Report(answer=answer))


def counts_route(counts: Callable[[Grant], bytes]) -> Route:
    """What this process has served since its start, for a Corral in front that holds it against its own records.

    A key learns its own counts; one that holds `metrics` too, those of all callers.
    """

    def answer(grant: Grant) -> Answer:
        return Answer(status=200, body=counts(grant))

    return Route(GET, COUNTS_PATH, "ollama", "inference", 0, lambda _body, _model: OwnReport(answer=answer))


def _status(word: str, status: int) -> Answer:
    return Answer(status=status, body=f'{{"status":"{word}"}}'.encode())
