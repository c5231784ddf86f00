import json
from typing import Any

import pytest

from engine.fitting.machine import Gpu
from gateway.machine.build_facts import BuildUnknown, planned_gpus, read_report


def device(**changes: Any) -> dict[str, Any]:
    cpu = {"name": "CPU", "description": "Some CPU", "backend": "CPU", "type": "cpu", "free_bytes": 1, "total_bytes": 2}
    return cpu | changes


def report(*devices: dict[str, Any]) -> bytes:
    return json.dumps({"system_info": "CPU : AVX = 1 | ", "devices": [device(), *devices]}).encode()


def test_a_report_is_read() -> None:
    build = read_report(0, report(device(name="CUDA0", backend="CUDA", type="gpu")), b"noise")
    assert (build.system_info, build.backends) == ("CPU : AVX = 1 | ", ("CPU", "CUDA"))


@pytest.mark.parametrize(
    ("status", "output", "complaint", "words"),
    [
        (-4, b"", b"", r"was built for another CPU \(SIGILL, an illegal instruction\)"),
        (-11, b"", b"", r"llama.cpp does not run \(status -11\)"),
        (3, b"", b"first\nllama.cpp cannot be loaded: x\n", r"does not run \(llama.cpp cannot be loaded: x\)"),
        (0, b"{}", b"", "report cannot be read"),
        (0, b"", b"", "report cannot be read"),
    ],
)
def test_why_it_cannot_be_asked(status: int, output: bytes, complaint: bytes, words: str) -> None:
    with pytest.raises(BuildUnknown, match=words):
        read_report(status, output, complaint)


def test_only_gpus_that_llama_cpp_finds_and_whose_maker_is_known_are_planned_for() -> None:
    build = read_report(
        0,
        report(
            device(name="CUDA0", description="RTX", backend="CUDA", type="gpu", free_bytes=7),
            device(name="Vulkan0", description="AMD Radeon 780M", backend="Vulkan", type="gpu", free_bytes=8),
            device(name="Vulkan1", description="Intel Arc", backend="Vulkan", type="gpu"),
            device(name="Vulkan2", description="AMD iGPU", backend="Vulkan", type="integrated gpu"),
            device(name="MTL0", description="Apple M2", backend="MTL", type="gpu", free_bytes=9),
        ),
        b"",
    )
    assert planned_gpus(build) == (
        Gpu(name="CUDA0 RTX", kind="nvidia", free_bytes=7),
        Gpu(name="Vulkan0 AMD Radeon 780M", kind="amd", free_bytes=8),
        Gpu(name="MTL0 Apple M2", kind="apple", free_bytes=9),
    )
