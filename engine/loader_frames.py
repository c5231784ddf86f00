"""The wire between a gateway and the supervisor's loader: what is wanted one way, what is loaded the other.

Framed as `engine.frames`, over a Unix socket in the run folder that is this user's alone. Moments are seconds of the
machine's monotonic clock, which both sides read.
"""

from typing import Annotated

from msgspec import Meta

from engine.frames import Frame, Hello
from engine.residency import Group, Residence

MAX_LOADER_FRAME_BYTES = 1024 * 1024
MOST_GROUPS = 4096
"""More models than anyone serves."""

Name = Annotated[str, Meta(max_length=1024)]


class Wanted(Frame, frozen=True, tag=True, kw_only=True):
    """All that this gateway's requests wait for, model and role: at every change, and every second while it is some.

    `away` are the workers that told this gateway that they leave and are still connected, likewise; `longest_answer_s`
    is how long an answer of its callers may take, 0 while it does not know.
    """

    groups: Annotated[tuple[Group, ...], Meta(max_length=MOST_GROUPS)]
    away: Annotated[tuple[Name, ...], Meta(max_length=MOST_GROUPS)] = ()
    longest_answer_s: Annotated[float, Meta(ge=0)] = 0.0


class KeepAlive(Frame, frozen=True, tag=True, kw_only=True):
    """A caller's hint, already bounded by what the caller may: keep `model` loaded for so many seconds from now.

    0 lets it go once it is idle; infinity keeps it for as long as nobody else needs its place.
    """

    model: Name
    seconds: Annotated[float, Meta(ge=0)]


LoaderRequest = Hello | Wanted | KeepAlive


class LoaderHello(Frame, frozen=True, tag=True, kw_only=True):
    """First frame of the loader."""

    version: int


class Residences(Frame, frozen=True, tag=True, kw_only=True):
    """How it is with every worker; sent after the hello and at every change."""

    workers: tuple[Residence, ...]


LoaderAnswer = LoaderHello | Residences
