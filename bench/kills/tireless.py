"""A Corral whose processes may be killed as often as a proof likes, and whose callers meet no limit."""

import threading
from collections.abc import Callable
from typing import Self

from tests.e2e.serving import Corral

GATEWAY = "bench.kills.gateway"
"""The module that its gateway runs, by which its process is found."""
POLICY = """
networks: {allow: ["127.0.0.0/8"]}
address_limits: {requests_per_minute: null}
teams:
  default:
    models: ["*"]
    key_limits: {requests_per_minute: null, concurrent_requests: null}
"""
"""No limit that callers with one key would reach."""
LAST_ANSWER_S = 240


class Tireless(Corral):
    """See the head of the module."""

    serve = ("bench.kills.serve",)


class Asking:
    """Threads that ask until this is left; each must see `over` soon after."""

    def __init__(self, *asks: Callable[[], None]) -> None:
        self.over = threading.Event()
        self._threads = [threading.Thread(target=ask) for ask in asks]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(LAST_ANSWER_S)
        assert not any(thread.is_alive() for thread in self._threads), "a request never ended"
