"""How many of a target's slots a gateway takes for itself while it hears nobody. Decides that, and nothing else.

Each of `gateways` takes its fixed part: the slots divided by their number, and one of the rest for those first by rank.
Together that is never more than there are, but where there are fewer slots than gateways: then each may try for one, or
its callers would wait for nothing, and the worker answers `SlotTaken` to whoever comes late.
"""


def own_part(slots: int, gateways: int, rank: int) -> int:
    """The part of the gateway of `rank`, 0 first.

    >>> [own_part(8, 3, rank) for rank in range(3)]
    [3, 3, 2]
    >>> own_part(1, 2, 1)
    1
    """
    each, rest = divmod(slots, max(1, gateways))
    return min(slots, max(1, each + (rank < rest)))
