"""For which hardware llama.cpp is built: `make serve ENGINE=cuda`. Pure but for asking a compiler its version.

Only `cpu` has been built and run; the others are written from the options of llama.cpp and llama-cpp-python. What is
built stays until another ENGINE is named; a build for a GPU has a package cache of its own, since pip knows a wheel by
its version alone. Another ENGINE is another environment, so what it needs is asked for before the old one goes.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from setup.faults import MISSING, SetupFault

DEFAULT = "cpu"
# What CMake is told (llama-cpp-python takes it from CMAKE_ARGS).
OPTIONS = {
    "cpu": (),
    "cuda": ("-DGGML_CUDA=on",),
    "rocm": ("-DGGML_HIP=on",),
    "vulkan": ("-DGGML_VULKAN=on",),
    "metal": ("-DGGML_METAL=on",),
}
# The compiler that a build for this GPU calls, and where it comes from.
COMPILERS = {
    "cuda": ("nvcc", "the CUDA toolkit, with nvcc in PATH"),
    "rocm": ("hipcc", "ROCm's HIP compiler, with hipcc in PATH"),
    "vulkan": ("glslc", "the Vulkan shader compiler and headers (apt install glslc libvulkan-dev)"),
}


def chosen_engine(asked: str, built: str, platform: str) -> str:
    """What to build: what was `asked` for, or what was `built` before. Raises SetupFault, status 2."""
    engine = asked or built or DEFAULT
    if engine not in OPTIONS:
        raise SetupFault(f"ENGINE={engine} is not one of {', '.join(OPTIONS)}", status=MISSING)
    if engine == "metal" and platform != "darwin":
        raise SetupFault(f"ENGINE=metal is for Apple's machines, and this is {platform}: take another", status=MISSING)
    compiler, remedy = COMPILERS.get(engine, ("", ""))
    if compiler and engine != built and not _runs(compiler):
        raise SetupFault(f"ENGINE={engine} needs {remedy}", status=MISSING)
    return engine


def _runs(compiler: str) -> bool:
    """Whether it is there and works: a link to a toolkit that was removed is there too."""
    try:
        return subprocess.run([compiler, "--version"], capture_output=True, check=False, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def build_variables(engine: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the build finds in its environment beside the rest; the operator's own options come last and win."""
    options = " ".join((*OPTIONS[engine], environment.get("CMAKE_ARGS", ""))).strip()
    return {"CMAKE_ARGS": options} if options else {}


def cache_arguments(engine: str, cache: Path) -> tuple[str, ...]:
    """Where pip keeps the wheels of this engine: its usual place for `cpu`."""
    return () if engine == DEFAULT else (f"--cache-dir={cache / f'pip-{engine}'}",)
