"""The check of a model's structure that a process makes before llama.cpp opens the file.

The store checked the file when it was imported, but a file can change on disk, and the store is not the one that
opens it. So preparer and worker each check what they are about to open, behind their own first wall: memory is
bounded by that wall's cap, time here. What is checked: `engine.store.gguf_check`. It takes 0.1 s for 49,000 tokens.
"""

from collections.abc import Callable
from pathlib import Path

from engine.preparing.time_limit import TimeLimitReached, time_limit
from engine.process_start import LoadFailed
from engine.store.gguf_check import read_model
from engine.store.gguf_header import GgufFault, GgufHeader

CHECK_LIMIT_S = 20.0
"""The largest vocabularies take a second; a slow disk or a busy machine some more."""


def check_model_file(
    path: Path, limit_s: float = CHECK_LIMIT_S, read: Callable[[Path], GgufHeader] = read_model
) -> GgufHeader:
    """The header of the model at `path`. Raises LoadFailed when it may not be opened. In the main thread only.

    `read` is the check, of another kind of file than a model too; it raises GgufFault.
    """
    try:
        with time_limit(limit_s):
            return read(path)
    except GgufFault as fault:
        raise LoadFailed(str(fault)) from None
    except TimeLimitReached:
        raise LoadFailed(f"the check of its structure took longer than {limit_s:g} s") from None
    except (OSError, MemoryError) as fault:
        raise LoadFailed(f"the file cannot be read ({str(fault) or 'memory'})") from None
