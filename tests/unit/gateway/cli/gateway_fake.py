"""An admin socket on a loop of its own, in place of a gateway."""

import asyncio
import threading
from typing import Any

from gateway.admin.admin_socket import AdminSocket
from gateway.homes.home import Home


class Gateway:
    """While the block lasts, each act is answered with what `answers` holds under its name."""

    def __init__(self, home: Home, answers: dict[str, Any]) -> None:
        self._answers = answers
        self._socket = AdminSocket(home.admin_socket, self._answer)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _answer(self, act: str, _arguments: dict[str, Any], _actor: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._answers[act]
        return answer

    def __enter__(self) -> "Gateway":
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._socket.start()
        self._ready.set()
        await self._stop.wait()
        await self._socket.close()
