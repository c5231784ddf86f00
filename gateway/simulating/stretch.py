"""Makes a trace shorter or denser: never by leaving out single requests, which would thin the load."""

from msgspec import structs

from gateway.simulating.arrivals import Arrival


def busiest_stretch(arrivals: list[Arrival], most: int) -> list[Arrival]:
    """Of more than `most` requests (at least 2), those `most` in a row that came in the shortest time; begins at 0."""
    if len(arrivals) <= most:
        return arrivals
    starts = range(len(arrivals) - most + 1)
    first = min(starts, key=lambda start: arrivals[start + most - 1].at_s - arrivals[start].at_s)
    begin_s = arrivals[first].at_s
    return [structs.replace(each, at_s=each.at_s - begin_s) for each in arrivals[first : first + most]]


def sped_up(arrivals: list[Arrival], speed: float) -> list[Arrival]:
    """The same requests coming `speed` times as fast."""
    return arrivals if speed == 1 else [structs.replace(each, at_s=each.at_s / speed) for each in arrivals]
