"""Within which bounds a prefix may be reused: the caller's cache scope, and the adapter it was computed with.

An adapter changes keys and values, so what the bare model or another adapter computed of the same tokens is wrong
under it. The worker puts a slot's memory under this scope, and block hashes are salted with it, so that the queue
looks for a prefix where it can be used.
"""


def prefix_scope(cache_scope: str, adapter: str) -> str:
    """One text for both; the bare model's is the cache scope itself. Neither holds a zero character."""
    return f"{cache_scope}\0{adapter}" if adapter else cache_scope
