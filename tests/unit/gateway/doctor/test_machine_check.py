from typing import Any

import pytest

from gateway.doctor.machine_check import machine_complaints, machine_lines
from gateway.machine.cpu_facts import CpuFacts
from gateway.machine.gpu_facts import GpuFacts
from tests.unit.gateway.doctor.made_up_machine import GB, build, machine_facts

RTX = GpuFacts(name="RTX 3090", kind="nvidia", total_bytes=24 * GB, free_bytes=20 * GB)
RADEON = GpuFacts(name="Radeon", kind="amd")


def complaints(**changes: Any) -> list[str]:
    return [each.line for each in machine_complaints(machine_facts(**changes))]


def test_what_the_machine_is() -> None:
    assert machine_lines(machine_facts()) == (
        "cores: 4",
        "memory: 16.0 GB, 8.0 GB free",
        "CPU: Some CPU; AVX2 F16C FMA",
        "GPU: none",
        "llama.cpp: built for CPU; AVX2 F16C FMA",
    )


def test_what_is_not_known_is_said() -> None:
    bare = machine_facts(cpu=CpuFacts(name="", flags=frozenset()), gpus=(RTX, RADEON), build="it died")
    assert machine_lines(bare)[2:] == (
        "CPU: unnamed; nothing that llama.cpp knows",
        "GPU: RTX 3090, 20.0 GB of 24.0 GB free",
        "GPU: Radeon",
        "llama.cpp: cannot be asked",
    )


def test_a_machine_that_is_well_has_none() -> None:
    assert complaints() == []
    assert complaints(gpus=(RTX,), build=build("CPU : AVX2 = 1 | FMA = 1 | F16C = 1", "CUDA")) == []
    assert complaints(gpus=(RADEON,), build=build("CPU : AVX2 = 1 | FMA = 1 | F16C = 1", "Vulkan")) == []


def test_a_build_that_does_not_run() -> None:
    [line] = complaints(build="llama.cpp was built for another CPU (SIGILL, an illegal instruction)")
    assert line.startswith("machine: llama.cpp was built for another CPU")
    assert ": no model can be served; build it here: " in line


@pytest.mark.parametrize(
    ("system_info", "words"),
    [
        (
            "CPU : AVX2 = 1 | FMA = 1 | F16C = 1 | AVX512 = 1",
            "machine: llama.cpp was built to use AVX512, which this CPU has not: workers die as they start; ",
        ),
        (
            "CPU : SSE3 = 0 | FMA = 1",
            "machine: llama.cpp was built without AVX2, F16C, which this CPU has: answers take longer than they need",
        ),
    ],
)
def test_a_build_for_another_cpu(system_info: str, words: str) -> None:
    [line] = complaints(build=build(system_info))
    assert line.startswith(words)
    assert "pip cache remove" in line


def test_gpus_that_no_build_serves_are_told_of_once_a_maker() -> None:
    told = complaints(gpus=(RTX, RADEON, RTX))
    assert [line.split(": ", 2)[1] for line in told] == [
        "llama.cpp finds no GPU, and this machine has RTX 3090, RTX 3090",
        "llama.cpp finds no GPU, and this machine has Radeon",
    ]
    assert "ENGINE=cuda' (not run" in told[0]
    assert "ENGINE=rocm' (not run" in told[1]
