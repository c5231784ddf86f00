"""Unix sockets under long paths: the kernel takes 107 bytes, a home may lie deeper than that."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_ADDRESS_BYTES = 107
"""sizeof(sun_path) less the final zero byte, see unix(7)."""


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """An address that binds or connects to `path` during the block, whatever its length. Raises OSError."""
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
