"""What is made of a wall with gaps; the whole start is proven with the processes themselves."""

import dataclasses

import pytest

from engine.process_start import LoadFailed, check_wall
from engine.walls import WallReport

WHOLE = WallReport(
    no_new_privs=True, landlock_abi=7, memory_bytes=1, core_dumps_off=True, capabilities_dropped=True, seccomp=True
)


def test_a_wall_without_landlock_stands_and_its_gap_is_named() -> None:
    assert check_wall(WHOLE) == ""
    gap = dataclasses.replace(WHOLE, landlock_abi=0, missing=("landlock (this kernel has none)",))
    assert check_wall(gap) == "landlock (this kernel has none)"


@pytest.mark.parametrize("name", ["seccomp", "no_new_privs"])
def test_without_the_rest_no_model_is_opened(name: str) -> None:
    with pytest.raises(LoadFailed, match=f"cannot wall it in: {name}"):
        check_wall(dataclasses.replace(WHOLE, **{name: False}, missing=(name,)))
