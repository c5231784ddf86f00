"""Callers in threads, each asking again and again, and what became of every single request.

Outcomes: `whole` (its last line says so), `told` (an error inside the stream, or a status of its own: the worker died,
or nothing took it in time), `lost` (the connection broke, or the answer stopped without a word: never allowed).
"""

import json
import threading
from collections import Counter
from functools import partial
from http.client import HTTPException
from typing import Any

from bench.kills.tireless import Asking
from tests.e2e.serving import MODEL, Corral

HONEST = (422, 429, 502, 503, 504)
"""Statuses by which a request that got no answer may be told so."""


class Callers(Asking):
    """See the head of the module. `chat`, `again` (asked for once more) and `embedding` count outcomes; `began` counts
    streams that had a first line.
    """

    def __init__(self, corral: Corral, *, streams: int, vectors: int) -> None:
        self._corral = corral
        self._lock = threading.Lock()
        self.chat: Counter[str] = Counter()
        self.again: Counter[str] = Counter()
        self.embedding: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.began = 0
        super().__init__(
            *(partial(self._stream, number) for number in range(streams)), *(self._embed for _ in range(vectors))
        )

    def _stream(self, number: int) -> None:
        """Stories one after the other; one in four that was cut off is asked for once more, and then runs alone."""
        count = 0
        while not self.over.is_set():
            count += 1
            body = _story(f"{number}-{count}")
            is_cut = self._count(self.chat, self._told(body)) == "told"
            if is_cut and count % 4 == 0 and not self.over.is_set():
                self._count(self.again, self._told(body))

    def _embed(self) -> None:
        while not self.over.is_set():
            status, answer = self._corral.request("POST", "/api/embed", {"model": MODEL, "input": "a word"})
            whole = status == 200 and len(json.loads(answer)["embeddings"]) == 1
            self._count(self.embedding, "whole" if whole else f"status {status}")

    def _told(self, body: dict[str, Any]) -> str:
        connection = self._corral.connect()
        try:
            headers = {"Authorization": f"Bearer {self._corral.key}"}
            connection.request("POST", "/api/chat", json.dumps(body), headers)
            response = connection.getresponse()
            with self._lock:
                self.statuses[response.status] += 1
            if response.status != 200:
                error = json.loads(response.read())["error"]
                return "told" if error and response.status in HONEST else f"status {response.status}"
            last = b""
            while line := response.readline():
                if not last:
                    with self._lock:
                        self.began += 1
                last = line
            end = json.loads(last)
            return "whole" if end.get("done") else "told" if end.get("error") else "lost"
        except (OSError, HTTPException, ValueError) as fault:
            return f"lost: {type(fault).__name__}"
        finally:
            connection.close()

    def _count(self, counts: Counter[str], outcome: str) -> str:
        with self._lock:
            counts[outcome] += 1
        return outcome


def _story(name: str) -> dict[str, Any]:
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"Tell story {name}."}],
        "options": {"temperature": 0, "num_predict": 24},
    }
