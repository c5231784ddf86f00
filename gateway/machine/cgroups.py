"""Which folders of /sys/fs/cgroup bound this process, from what /proc/self/cgroup says. Pure.

A bound of any folder on the way up holds: systemd puts one on a service or its slice, a container engine on the root
that it shows. Version 2 has one tree, version 1 one for each kind of bound; both may be there at once (cgroups(7)).
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

MOUNT = PurePosixPath("sys/fs/cgroup")


def group_folders(text: str, controller: str) -> tuple[str, ...]:
    """Folders, relative to the root of all files, whose files of `controller` bound this process; outermost first.

    >>> group_folders("0::/system.slice/corral.service", "memory")
    ('sys/fs/cgroup', 'sys/fs/cgroup/system.slice', 'sys/fs/cgroup/system.slice/corral.service')
    """
    return tuple(dict.fromkeys(folder for line in text.splitlines() for folder in _of_line(line, controller)))


def _of_line(line: str, controller: str) -> Iterator[str]:
    number, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if number == "0" and not controllers:
        mount = MOUNT
    elif controller in controllers.split(","):
        mount = MOUNT / controller
    else:
        return
    parts = [part for part in path.split("/") if part and part != ".."]
    for count in range(len(parts) + 1):
        yield str(mount.joinpath(*parts[:count]))
