"""Every state of a folder that a power cut may leave, from a record of the acts on its files.

The rules are those of POSIX that ALICE and CrashMonkey test by: what was synced survives; of what was not, every part
may be lost, in any order; a write may be torn at any byte, or be a hole of zeros behind which a later write survived.
The names of a folder change by creating, renaming and removing; each may reach the disk before or after any other until
the folder is synced. Up to `EXHAUSTIVE` unsynced acts every choice is made; beyond that `SAMPLES` of them are drawn.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gateway.audit.audit_disk import RealDisk

EXHAUSTIVE = 10
SAMPLES = 10_000
Act = tuple[str, str, bytes]
"""What was done, to which name, with which data (of a rename: the new name; of a truncate: the size)."""


class FastDisk(RealDisk):
    """Real files without waiting for the device."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass

    def truncate(self, path: Path, size_bytes: int) -> None:
        with path.open("r+b") as file:
            file.truncate(size_bytes)


class NotingDisk(FastDisk):
    """Notes every act before doing it; `between` is called before each, and may act itself."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.between: Callable[[], None] = lambda: None
        self._files: dict[int, str] = {}
        self._inside = False

    def _note(self, act: str, name: str, data: bytes = b"") -> None:
        if not self._inside:
            self._inside = True
            self.between()
            self._inside = False
        self.acts.append((act, name, data))

    def create(self, path: Path) -> int:
        self._note("create", path.name)
        descriptor = super().create(path)
        self._files[descriptor] = path.name
        return descriptor

    def append(self, path: Path) -> int:
        descriptor = super().append(path)
        self._files[descriptor] = path.name
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        part = data[: max(1, len(data) * 2 // 3)]  # so that every write is several
        self._note("write", self._files[descriptor], part)
        return super().write(descriptor, part)

    def sync(self, descriptor: int) -> None:
        self._note("sync", self._files[descriptor])

    def truncate(self, path: Path, size_bytes: int) -> None:
        self._note("truncate", path.name, str(size_bytes).encode())
        super().truncate(path, size_bytes)

    def rename(self, old: Path, new: Path) -> None:
        self._note("rename", old.name, new.name.encode())
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        if path.exists():
            self._note("remove", path.name)
        super().remove(path)

    def sync_folder(self, folder: Path) -> None:
        self._note("sync_folder", "")

    def protect(self, path: Path) -> None:
        """A mode is lost or not: nothing may depend on it."""


class Inode:
    """A file's bytes: those that are synced, and the writes since."""

    def __init__(self) -> None:
        self.safe = b""
        self.loose: list[bytes] = []

    def sync(self) -> None:
        self.safe, self.loose = self.safe + b"".join(self.loose), []


class Folder:
    """Names as the process sees them, as they are safe, and the changes between the two."""

    def __init__(self) -> None:
        self.now: dict[str, Inode] = {}
        self.safe: dict[str, Inode] = {}
        self.pending: list[tuple[str, str, Inode | None]] = []

    def do(self, act: Act) -> None:
        """One more act."""
        kind, name, data = act
        match kind:
            case "create":
                self._put(name, Inode())
            case "write":
                self.now[name].loose.append(data)
            case "sync":
                self.now[name].sync()
            case "truncate":
                inode = self.now[name]
                inode.sync()
                inode.safe = inode.safe[: int(data)]
            case "rename":
                self._put(data.decode(), self.now[name], instead_of=name)
            case "remove":
                del self.now[name]
                self.pending.append((name, "", None))
            case _:
                self.safe, self.pending = dict(self.now), []

    def _put(self, name: str, inode: Inode, *, instead_of: str = "") -> None:
        self.now.pop(instead_of, None)
        self.now[name] = inode
        self.pending.append((name, instead_of, inode))

    def unsynced(self) -> int:
        """How many acts a power cut may still undo."""
        return len(self.pending) + sum(len(inode.loose) for inode in self._inodes())

    def _inodes(self) -> list[Inode]:
        found = [*self.safe.values(), *self.now.values(), *(inode for _, _, inode in self.pending if inode is not None)]
        return list({id(inode): inode for inode in found}.values())

    def states(self, tears: int, chance: random.Random) -> Iterator[dict[str, bytes]]:
        """What may be found; a torn write is torn at so many places (0: at every byte)."""
        for kept in self._choices(self.unsynced(), chance):
            view = self._view(kept[: len(self.pending)])
            rest = iter(kept[len(self.pending) :])
            writes = {id(inode): [next(rest) for _ in inode.loose] for inode in self._inodes()}
            contents = {name: _written(inode, writes[id(inode)]) for name, inode in view.items()}
            yield contents
            for name, inode in view.items():
                yield from ({**contents, name: torn} for torn in _torn(inode, writes[id(inode)], tears))

    def _choices(self, count: int, chance: random.Random) -> Iterator[Sequence[bool]]:
        if count <= EXHAUSTIVE:
            yield from itertools.product((False, True), repeat=count)
            return
        for _ in range(SAMPLES):
            yield [chance.random() < 0.5 for _ in range(count)]

    def _view(self, kept: Sequence[bool]) -> dict[str, Inode]:
        view = dict(self.safe)
        for name, old, inode in itertools.compress(self.pending, kept):
            view.pop(old, None)
            view.pop(name, None)
            if inode is not None:
                view[name] = inode
        return view


def _written(inode: Inode, kept: Sequence[bool]) -> bytes:
    """The synced bytes and the writes that were kept; a lost one before a kept one is a hole of zeros."""
    last = max((place for place, is_kept in enumerate(kept) if is_kept), default=-1)
    parts = [data if is_kept else bytes(len(data)) for data, is_kept in zip(inode.loose, kept, strict=True)]
    return inode.safe + b"".join(parts[: last + 1])


def _torn(inode: Inode, kept: Sequence[bool], tears: int) -> Iterator[bytes]:
    """The last write that was kept, torn: what is behind the tear is missing, or zeros."""
    whole = _written(inode, kept)
    size = next((len(data) for data, is_kept in reversed(list(zip(inode.loose, kept, strict=True))) if is_kept), 0)
    step = max(1, size // tears) if tears else 1
    for cut in range(1, size, step):
        yield whole[:-cut]
        yield whole[:-cut] + bytes(cut)


def after_power_cuts(
    acts: Sequence[Act], tears: int, chance: random.Random, within: range
) -> Iterator[tuple[int, int, dict[str, bytes]]]:
    """After each number of acts in `within`: that number, how many were unsynced, and each state there may be, once."""
    folder = Folder()
    for done in range(len(acts) + 1):
        seen: set[int] = set()
        for state in folder.states(tears, chance) if done in within else ():
            mark = hash(tuple(sorted(state.items())))
            if mark not in seen:
                seen.add(mark)
                yield done, folder.unsynced(), state
        if done < len(acts):
            folder.do(acts[done])
