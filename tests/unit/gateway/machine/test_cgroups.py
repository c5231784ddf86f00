from hypothesis import given
from hypothesis import strategies as some

from gateway.machine.cgroups import group_folders


def test_version_2_every_folder_on_the_way_up() -> None:
    assert group_folders("0::/a.slice/b.service\n", "memory") == (
        "sys/fs/cgroup",
        "sys/fs/cgroup/a.slice",
        "sys/fs/cgroup/a.slice/b.service",
    )


def test_version_1_and_both_at_once() -> None:
    text = "9:name=systemd:/\n4:memory:/job/1\n2:cpu,cpuacct:/quota\n0::/\n"
    assert group_folders(text, "memory") == (
        "sys/fs/cgroup/memory",
        "sys/fs/cgroup/memory/job",
        "sys/fs/cgroup/memory/job/1",
        "sys/fs/cgroup",
    )
    assert group_folders(text, "cpu") == ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu/quota", "sys/fs/cgroup")


def test_a_group_outside_of_what_is_mounted_here() -> None:
    assert group_folders("0::/../other\n", "memory") == ("sys/fs/cgroup", "sys/fs/cgroup/other")


@given(some.text())
def test_no_text_leads_out_of_the_tree(text: str) -> None:
    for folder in group_folders(text, "memory"):
        assert folder.startswith("sys/fs/cgroup")
        assert ".." not in folder.split("/")
