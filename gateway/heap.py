"""How the C library hands out memory in a process with thousands of connections.

uvloop gives each TLS connection a buffer of 256 KiB and touches a few pages of it. glibc maps such a block by
itself, so the rest costs nothing, until the first one is freed: from then on it takes them from the heap, where
they lie on pages that were used before. Measured on 1,000 idle TLS connections: 51 KiB each, and 32 KiB
with the threshold held where it begins.
"""

import ctypes

M_MMAP_THRESHOLD = -3
THRESHOLD_BYTES = 128 * 1024
"""glibc's own value at the start (mallopt(3)); to set it is what keeps it from moving."""


def keep_large_buffers_apart() -> bool:
    """Map every block of 128 KiB or more by itself from now on; False where the C library has no such setting."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and never moves its own threshold
    return mallopt is not None and mallopt(M_MMAP_THRESHOLD, THRESHOLD_BYTES) == 1
