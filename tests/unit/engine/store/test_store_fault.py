import errno
from pathlib import Path

from engine.store.store_fault import disk_fault


def test_a_full_disk_names_the_disk_and_the_remedy(tmp_path: Path) -> None:
    text = str(disk_fault(OSError(errno.ENOSPC, "No space left on device"), tmp_path))
    assert str(tmp_path) in text
    assert "MiB free" in text
    assert "MiB" not in str(disk_fault(OSError(errno.EDQUOT, "quota"), tmp_path / "gone"))


def test_other_faults_name_the_file() -> None:
    fault = disk_fault(PermissionError(errno.EACCES, "Permission denied", "/x/y"), Path("/z"))
    assert (str(fault), fault.bad_input) == ("/x/y: Permission denied", False)
    assert disk_fault(FileNotFoundError(errno.ENOENT, "No such file"), Path("/z")).bad_input
