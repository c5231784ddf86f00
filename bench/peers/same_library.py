"""Whether a program computes with the very libraries that Corral's workers load. Pure: what `ldd` said comes in.

Rules:
 1. Every library of llama.cpp that the program loads has to be the workers' file, or a copy of it byte for byte.
 2. `libllama-common` is not one that the workers load; it only has to be found.
 3. A library that is not found is named, so that nobody measures another one by accident.
"""

import re
from collections.abc import Callable, Mapping

OURS = ("libllama.so", "libggml.so", "libggml-base.so", "libggml-cpu.so", "libmtmd.so")
COMMON = "libllama-common.so"
_LINE = re.compile(r"^\s*(lib[\w-]+\.so)[\d.]* => (not found|\S+)", re.MULTILINE)


def loaded(ldd: str) -> dict[str, str]:
    """The libraries of llama.cpp that `ldd` tells of: name without version -> path, or `not found`."""
    return {name: path for name, path in _LINE.findall(ldd) if name in (*OURS, COMMON)}


def differences(ldd: str, workers: Mapping[str, str], digest: Callable[[str], str]) -> list[str]:
    """What is wrong, one sentence each. `workers`: their libraries' digests by name; `digest` is that of a path."""
    found = loaded(ldd)
    wrong = [f"{name} is not found" for name, path in found.items() if path == "not found"]
    wrong += [f"{name} is not loaded" for name in ("libllama.so", "libggml-base.so") if name not in found]
    for name, path in found.items():
        if name != COMMON and path != "not found" and digest(path) != workers.get(name):
            wrong.append(f"{name} is {path}, not the workers' own")
    return wrong
