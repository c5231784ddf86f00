import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.machine.memory_facts import (
    GroupMemory,
    MemoryFacts,
    MemoryUnknown,
    read_group,
    read_meminfo,
    within_groups,
)

MEMINFO = "MemTotal:       24684084 kB\nMemFree: 100 kB\nMemAvailable:   23257200 kB\nHugePages_Total:       0\nOdd:\n"


def test_what_the_kernel_says_of_the_machine() -> None:
    assert read_meminfo(MEMINFO) == MemoryFacts(total_bytes=24684084 * 1024, available_bytes=23257200 * 1024)


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB\n", "MemTotal: x kB\nMemAvailable: 5 kB\n"])
def test_a_kernel_that_does_not_say(text: str) -> None:
    with pytest.raises(MemoryUnknown, match="does not say how much memory there is: mount /proc"):
        read_meminfo(text)


def test_pages_of_files_are_not_used_memory() -> None:
    version_2 = "anon 10\ninactive_file 30\nactive_file 20\n"
    assert read_group("1000\n", "100\n", version_2) == GroupMemory(limit_bytes=1000, used_bytes=50)
    version_1 = f"{version_2}total_inactive_file 60\ntotal_active_file 30\n"
    assert read_group("1000\n", "100\n", version_1) == GroupMemory(limit_bytes=1000, used_bytes=10)
    assert read_group("1000", "10", version_2) == GroupMemory(limit_bytes=1000, used_bytes=0)
    assert read_group("1000", "10", "odd\n") == GroupMemory(limit_bytes=1000, used_bytes=10)


@pytest.mark.parametrize(("limit", "used"), [("max\n", "1"), ("", ""), ("9223372036854771712\n", "1"), ("1000", "")])
def test_a_group_without_a_limit(limit: str, used: str) -> None:
    assert read_group(limit, used, "") is None


def test_the_least_of_all_holds() -> None:
    machine = MemoryFacts(total_bytes=1000, available_bytes=800)
    assert within_groups(machine, []) == machine
    outer, inner = GroupMemory(limit_bytes=900, used_bytes=300), GroupMemory(limit_bytes=500, used_bytes=600)
    assert within_groups(machine, [outer]) == MemoryFacts(total_bytes=900, available_bytes=600)
    assert within_groups(machine, [outer, inner]) == MemoryFacts(total_bytes=500, available_bytes=0)


@given(some.integers(0, 10**12), some.integers(0, 10**12), some.integers(0, 10**12), some.integers(0, 10**12))
def test_never_more_is_free_than_there_is(total: int, free: int, limit: int, used: int) -> None:
    found = within_groups(
        MemoryFacts(total_bytes=total, available_bytes=free), [GroupMemory(limit_bytes=limit, used_bytes=used)]
    )
    assert 0 <= found.available_bytes <= found.total_bytes <= total
