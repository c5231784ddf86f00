from hypothesis import given
from hypothesis import strategies as some

from gateway.machine.cpu_facts import CpuFacts, built_features, cannot_run, left_unused, read_cpuinfo

FLAGS = "fpu pni ssse3 avx avx2 fma f16c bmi2"
X86 = f"processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: {FLAGS}\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp i8mm\nCPU implementer\t: 0x41\n"
PLAIN = "CPU : SSE3 = 1 | SSSE3 = 1 | AVX = 1 | AVX2 = 1 | F16C = 1 | FMA = 1 | BMI2 = 1 | OPENMP = 1 | REPACK = 1 | "
WIDE = f"{PLAIN}AVX512 = 1 | AVX512_VNNI = 1 | "


def test_an_x86_cpu() -> None:
    cpu = read_cpuinfo(X86)
    assert cpu.name == "Some CPU @ 2 GHz"
    assert cpu.features == ("SSE3", "SSSE3", "AVX", "AVX2", "F16C", "FMA", "BMI2")


def test_an_arm_cpu() -> None:
    cpu = read_cpuinfo(ARM)
    assert (cpu.name, cpu.features) == ("", ("NEON", "ARM_FMA", "FP16_VA", "DOTPROD", "MATMUL_INT8"))


def test_what_a_build_uses() -> None:
    assert built_features("") == frozenset()
    assert "REPACK" in built_features(PLAIN)
    assert built_features("CPU : AVX = 0 | SVE_CNT = 16 | CUDA : ARCHS = 890 | nonsense") == {"SVE_CNT", "ARCHS"}


def test_a_build_for_another_cpu_is_seen() -> None:
    cpu = read_cpuinfo(X86)
    assert cannot_run(built_features(PLAIN), cpu) == ()
    assert cannot_run(built_features(WIDE), cpu) == ("AVX512", "AVX512_VNNI")
    assert cannot_run(built_features(WIDE), read_cpuinfo("")) == ()  # nothing is known: nothing is claimed


def test_a_build_that_leaves_much_unused_is_seen() -> None:
    cpu = read_cpuinfo(X86)
    assert left_unused(built_features(PLAIN), cpu) == ()
    assert left_unused(built_features("CPU : SSE3 = 1 | "), cpu) == ("AVX2", "FMA", "F16C")
    assert left_unused(frozenset(), read_cpuinfo(ARM)) == ("NEON", "DOTPROD")


@given(some.text(), some.text())
def test_no_text_is_too_odd(system_info: str, cpuinfo: str) -> None:
    cpu, built = read_cpuinfo(cpuinfo), built_features(system_info)
    assert isinstance(cpu, CpuFacts)
    assert not set(cannot_run(built, cpu)) & set(left_unused(built, cpu))
