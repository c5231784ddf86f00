"""What the installed llama.cpp was built for and which devices it finds, as one line of JSON on stdout.

    python -m engine.build_report

A process of its own: a build for another CPU dies by a signal as it is loaded, and no gateway ever holds llama.cpp. It
opens no model file. Exit status 0; 3 when llama.cpp cannot be loaded (one line on stderr).
"""

import ctypes
import json
import sys
from typing import Any

from engine.death import CANNOT_LOAD

DEVICE_TYPES = ("cpu", "gpu", "integrated gpu", "accelerator", "other")  # enum ggml_backend_dev_type


def main() -> int:
    """Print the report; returns the exit status."""
    try:
        from engine import llama  # noqa: PLC0415 - a failed import is an answer too
    except (ImportError, OSError, RuntimeError) as fault:
        sys.stderr.write(f"llama.cpp cannot be loaded: {fault}\n")
        return CANNOT_LOAD
    library = llama.library()
    report = {"system_info": llama.system_info(), "devices": find_devices(library)}
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


def find_devices(library: ctypes.CDLL) -> list[dict[str, Any]]:
    """Each device of ggml's registry: its names, its backend, its type, its memory in bytes."""
    count = _bound(library, "ggml_backend_dev_count", [], ctypes.c_size_t)
    device = _bound(library, "ggml_backend_dev_get", [ctypes.c_size_t], ctypes.c_void_p)
    return [_describe(library, device(index)) for index in range(count())]


def _describe(library: ctypes.CDLL, device: int) -> dict[str, Any]:
    pointer, size = ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)
    registry = _bound(library, "ggml_backend_dev_backend_reg", [pointer], pointer)(device)
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _bound(library, "ggml_backend_dev_memory", [pointer, size, size], None)(device, free, total)
    kind = int(_bound(library, "ggml_backend_dev_type", [pointer], ctypes.c_int)(device))
    return {
        "name": _text(library, "ggml_backend_dev_name", device),
        "description": _text(library, "ggml_backend_dev_description", device),
        "backend": _text(library, "ggml_backend_reg_name", registry),
        "type": DEVICE_TYPES[kind] if kind < len(DEVICE_TYPES) else "other",
        "free_bytes": free.value,
        "total_bytes": total.value,
    }


def _text(library: ctypes.CDLL, name: str, handle: int) -> str:
    value = _bound(library, name, [ctypes.c_void_p], ctypes.c_char_p)(handle)
    return (value or b"").decode("utf-8", "replace")


def _bound(library: ctypes.CDLL, name: str, arguments: list[Any], result: Any) -> Any:
    function = library[name]
    function.argtypes, function.restype = arguments, result
    return function


if __name__ == "__main__":
    sys.exit(main())
