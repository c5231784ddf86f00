"""What this CPU can compute, what llama.cpp was built for, and whether the two fit each other. Pure.

llama.cpp names what its CPU code was compiled with in one line (`llama_print_system_info`), as `AVX2 = 1 | FMA = 1`;
a feature that is off is left out. The kernel names what the CPU has in /proc/cpuinfo, in words of its own.
"""

from msgspec import Struct

# llama.cpp's word -> the kernel's. What is not here (OPENMP, REPACK, LLAMAFILE) asks nothing of the CPU.
KERNEL_FLAGS = {
    "SSE3": "pni",
    "SSSE3": "ssse3",
    "AVX": "avx",
    "AVX_VNNI": "avx_vnni",
    "AVX2": "avx2",
    "F16C": "f16c",
    "FMA": "fma",
    "BMI2": "bmi2",
    "AVX512": "avx512f",
    "AVX512_VBMI": "avx512vbmi",
    "AVX512_VNNI": "avx512_vnni",
    "AVX512_BF16": "avx512_bf16",
    "AMX_INT8": "amx_int8",
    "NEON": "asimd",
    "ARM_FMA": "asimd",
    "FP16_VA": "asimdhp",
    "DOTPROD": "asimddp",
    "MATMUL_INT8": "i8mm",
    "SVE": "sve",
    "SME": "sme",
}
# What a build should use where the CPU has it: without it, matrix products take a multiple of the time.
WORTH_HAVING = ("AVX2", "FMA", "F16C", "NEON", "DOTPROD")


class CpuFacts(Struct, frozen=True, kw_only=True):
    """The CPU's name ("" where the kernel gives none) and the kernel's words for what it has."""

    name: str
    flags: frozenset[str]

    @property
    def features(self) -> tuple[str, ...]:
        """What it has of the things llama.cpp knows, in llama.cpp's words."""
        return tuple(name for name, flag in KERNEL_FLAGS.items() if flag in self.flags)


def read_cpuinfo(text: str) -> CpuFacts:
    """The first CPU of /proc/cpuinfo; the others are taken to be its like."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip().lower(), value.strip())
    flags = found.get("flags") or found.get("features", "")
    return CpuFacts(name=found.get("model name", ""), flags=frozenset(flags.split()))


def built_features(system_info: str) -> frozenset[str]:
    """Everything that is on in llama.cpp's line about its CPU code.

    >>> sorted(built_features("CPU : SSE3 = 1 | AVX = 0 | OPENMP = 1 | "))
    ['OPENMP', 'SSE3']
    """
    features = set()
    for part in system_info.split("|"):
        name, _, value = part.rpartition(":")[2].partition("=")
        if value.strip() not in ("", "0"):
            features.add(name.strip())
    return frozenset(features)


def cannot_run(built: frozenset[str], cpu: CpuFacts) -> tuple[str, ...]:
    """What llama.cpp was built to use and this CPU has not; nothing when the kernel says nothing of the CPU."""
    if not cpu.flags:
        return ()
    return tuple(name for name, flag in KERNEL_FLAGS.items() if name in built and flag not in cpu.flags)


def left_unused(built: frozenset[str], cpu: CpuFacts) -> tuple[str, ...]:
    """What this CPU has, is worth having, and llama.cpp was built without."""
    return tuple(name for name in WORTH_HAVING if KERNEL_FLAGS[name] in cpu.flags and name not in built)
