"""The acts of a home that wait for two persons: `act-requests.json`, for its owner alone.

Every request, signature and use is a record of the log first; this file is what they are looked up in. Commands and
gateway processes change it one after the other, under a lock of the kernel. What ended is dropped after it is recorded.
What it says is proven again at each use: the text is made anew, and the signatures are verified over it.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from gateway.audit.audit_disk import RealDisk, replace_file
from policies.approval.two_persons import ActRequest, is_open

REQUESTS_NAME = "act-requests.json"
MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_SIGNATURES = 8
"""More than two may sign; beyond so many nothing is gained."""

Requests = tuple[ActRequest, ...]


class RequestsBroken(Exception):
    """The file cannot be used; the message is one line with the remedy."""


class RequestBook:
    """The requests of the home in the folder `home`."""

    def __init__(self, home: Path) -> None:
        self._path = home / REQUESTS_NAME

    def requests(self) -> Requests:
        """All that are kept, oldest first, ended and used ones too. Raises RequestsBroken."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_FILE_BYTES), type=Requests)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as fault:  # msgspec's faults are ValueErrors
            text = fault.strerror if isinstance(fault, OSError) else "it is not what Corral wrote"
            raise RequestsBroken(f"{self._path} cannot be read ({text}): remove it, then ask anew") from None

    def find(self, request_id: str) -> ActRequest | None:
        """The request of this id. Raises RequestsBroken."""
        return next((each for each in self.requests() if each.asking.id == request_id), None)

    def ended(self, now_s: float) -> Requests:
        """Those whose time is over and that were never done. Raises RequestsBroken."""
        return tuple(each for each in self.requests() if not each.used and not is_open(each, now_s))

    def add(self, request: ActRequest) -> None:
        """Keep one more. Raises RequestsBroken."""
        with self._changing() as requests:
            self._save((*requests, request))

    def sign(self, request_id: str, signature: str) -> None:
        """Put a signature under a request. Raises RequestsBroken."""
        with self._changing() as requests:
            self._save(tuple(_signed(each, signature) if each.asking.id == request_id else each for each in requests))

    def use(self, request_id: str) -> bool:
        """Use a request up, lastingly, before what it allows is done; False when somebody was quicker.

        Raises RequestsBroken.
        """
        with self._changing() as requests:
            if not any(each.asking.id == request_id and not each.used for each in requests):
                return False
            self._save(tuple(_used(each) if each.asking.id == request_id else each for each in requests))
            return True

    def drop_ended(self, now_s: float) -> None:
        """Forget what ended, done or not. Raises RequestsBroken."""
        with self._changing() as requests:
            kept = tuple(each for each in requests if each.asking.asked_s <= now_s < each.asking.ends_s)
            if kept != requests:
                self._save(kept)

    def forget_naming(self, words: Callable[[str], bool]) -> None:
        """Forget every request whose text `words` finds a person in. Raises RequestsBroken."""
        with self._changing() as requests:
            kept = tuple(each for each in requests if not words(each.text))
            if kept != requests:
                self._save(kept)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Requests]:
        """The requests, while nobody else changes them."""
        try:
            descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as fault:
            raise RequestsBroken(f"{self._path.parent} cannot be opened ({fault.strerror})") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self.requests()
        finally:
            os.close(descriptor)

    def _save(self, requests: Requests) -> None:
        try:
            replace_file(RealDisk(), self._path, msgspec.json.encode(requests) + b"\n")
        except OSError as fault:
            raise RequestsBroken(
                f"{self._path} cannot be written ({fault.strerror}): free space there, or make it writable"
            ) from None


def _signed(request: ActRequest, signature: str) -> ActRequest:
    kept = (*(each for each in request.signatures if each != signature), signature)
    return msgspec.structs.replace(request, signatures=kept[-MAX_SIGNATURES:])


def _used(request: ActRequest) -> ActRequest:
    return msgspec.structs.replace(request, used=True)
