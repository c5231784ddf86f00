"""Records the requests for two persons whose time ended, each once, and forgets them."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gateway.admin.request_book import RequestBook, RequestsBroken
from gateway.audit.audit_log import stamp_now
from policies.approval.two_persons import told_time
from policies.audit_record import Entry, system_record
from policies.errors import AuditUnavailable

log = structlog.get_logger("corral.gateway")

LOOK_S = 60.0


async def keep_to_expiry(book: RequestBook, record: Callable[[Entry], Awaitable[None]]) -> None:
    """Look for ever, at once at the start. What cannot be recorded is not forgotten, and looked at again."""
    while True:
        try:
            await end_requests(book, record, stamp_now().unix_us / 1e6)
        except AuditUnavailable as fault:
            log.error("requests_not_ended", cause=fault.reason)
        except RequestsBroken as fault:
            log.error("requests_not_ended", cause=str(fault))
        await asyncio.sleep(LOOK_S)


async def end_requests(book: RequestBook, record: Callable[[Entry], Awaitable[None]], now_s: float) -> None:
    """One look. Two gateways that look at once may both record an end. Raises AuditUnavailable, RequestsBroken."""
    for request in book.ended(now_s):
        asking = request.asking
        details: dict[str, str | int | float | bool] = {
            "act": asking.act,
            "request": asking.id,
            "ended": told_time(asking.ends_s),
            "signatures": len(request.signatures),
        }
        await record(system_record("act.expired", stamp_now(), details))
    book.drop_ended(now_s)
