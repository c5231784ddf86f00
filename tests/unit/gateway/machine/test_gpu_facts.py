"""Texts as the drivers' documentation shows them; none comes from a machine of ours."""

import pytest

from gateway.machine.gpu_facts import GpuFacts, amd_gpu, apple_gpu, nvidia_gpus

MIB = 1024**2
INFORMATION = "Model: \t\t NVIDIA GeForce RTX 3090\nIRQ:   \t\t 84\nGPU UUID: \t GPU-1\nBus Type: \t PCIe\n"


def test_nvidia_gpus_with_and_without_the_tool() -> None:
    query = "NVIDIA GeForce RTX 3090, 24576, 24000\n"
    assert nvidia_gpus([INFORMATION], query) == (
        GpuFacts(name="NVIDIA GeForce RTX 3090", kind="nvidia", total_bytes=24576 * MIB, free_bytes=24000 * MIB),
    )
    assert nvidia_gpus([INFORMATION, "odd"], query) == (
        GpuFacts(name="NVIDIA GeForce RTX 3090", kind="nvidia"),
        GpuFacts(name="NVIDIA GPU", kind="nvidia"),
    )
    assert nvidia_gpus([INFORMATION], "X, [N/A], 5\nno, devices\n")[0].total_bytes == 0
    assert nvidia_gpus([], "") == ()


def test_an_amd_gpu_by_its_vendor() -> None:
    found = amd_gpu("0x1002\n", "Radeon Pro\n", "17163091968\n", "163091968\n")
    assert found == GpuFacts(name="Radeon Pro", kind="amd", total_bytes=17163091968, free_bytes=17 * 10**9)
    assert amd_gpu("0x8086\n", "", "", "") is None
    assert amd_gpu("", "", "", "") is None
    assert amd_gpu("0x1002", "", "", "") == GpuFacts(name="AMD GPU", kind="amd")
    assert amd_gpu("0x1002", "", "5", "9") == GpuFacts(name="AMD GPU", kind="amd", total_bytes=5, free_bytes=0)


@pytest.mark.parametrize(
    ("text", "name"),
    [("Apple M2 Pro\n17179869184\n", "Apple M2 Pro"), ("Intel(R) Core\n17179869184\n", None), ("", None)],
)
def test_an_apple_gpu_is_the_chip(text: str, name: str | None) -> None:
    found = apple_gpu(text)
    assert (found and found.name) == name
    assert apple_gpu("Apple M2\nmuch") is None
