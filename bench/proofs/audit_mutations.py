"""Whatever is changed in a stopped log is found, though it was changed by one who knows the format and has the disk.

Two signed chains of one home, several segments, one of them compressed, each chain holding checkpoints of the other.
Each mutation is made on a fresh copy: bytes flipped, put in and taken out; lines and checkpoints removed, swapped and
doubled; files cut, removed and exchanged between the chains; a chain rewritten from some record on with every hash,
head and segment record made anew, but without the key, the checkpoints kept, dropped, or signed by another key; one
chain put back to what it was some time ago. Only what stands at or before the last checkpoint is changed (a stopped
log ends with one), and what leaves every file's content as it was is not counted. `verify` must find each one, and
find nothing wrong with the copies that were not changed.
"""

import io
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from gateway.audit.audit_files import HEAD_NAME, segments
from gateway.audit.audit_key import VKEY_NAME, read_vkeys
from gateway.audit.audit_writer import ChainEnd, ChainWriter
from gateway.audit.chain_lookout import ChainLookout
from gateway.audit.checkpoint_file import CHECKPOINTS_NAME, END_NAME
from gateway.audit.log_verification import TAMPERED, UNREADABLE, WHOLE
from policies.audit_chain import encode_entry
from policies.audit_record import Stamp, system_record
from policies.auditing.checkpoint_trail import kept_notes
from tests.signed_chains import QuickDisk, SignedChain, body, judge

FULL = 10_000
SEED = 5
ROUNDS = 12
"""Of writing into both chains by turns; each ends with the chains seeing each other."""


class Log(NamedTuple):
    """A log to change: all files by their path under the home, now and as they were halfway."""

    now: dict[str, bytes]
    before: dict[str, bytes]


class Unchanged(Exception):
    """The dice fell so that nothing was changed."""


Files = dict[str, bytes]
Mutation = Callable[[Files, Log, random.Random], None]


def prove(mutations: int = FULL) -> dict[str, Any]:
    """Make them. Raises AssertionError for one that was not found, or for a whole log that was not called whole."""
    chance = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        log = make_log(Path(folder) / "made")
        place = Path(folder) / "changed"
        assert verdict(place, log.now) == verdict(place, log.before) == WHOLE, "an unchanged log must be whole"
        kinds: Counter[str] = Counter()
        missed = []
        began_s = time.monotonic()
        names = list(MUTATIONS)
        while sum(kinds.values()) < mutations:
            name = names[sum(kinds.values()) % len(names)]
            try:
                files = changed(log, name, chance)
            except Unchanged:
                continue
            kinds[name] += 1
            if verdict(place, files) not in (TAMPERED, UNREADABLE):
                missed.append((name, sum(kinds.values())))
            if sum(kinds.values()) % 1000 == 0:
                print(
                    f"{sum(kinds.values())} mutations, {len(missed)} missed, {time.monotonic() - began_s:.0f} s",
                    flush=True,
                )
    assert not missed, f"not found: {missed[:10]}"
    return {"mutations": sum(kinds.values()), "found": sum(kinds.values()), "kinds": dict(sorted(kinds.items()))}


def changed(log: Log, name: str, chance: random.Random) -> Files:
    """The log's files after one mutation. Raises Unchanged."""
    files = dict(log.now)
    MUTATIONS[name](files, log, chance)
    if content(files) == content(log.now):
        raise Unchanged
    return files


def content(files: Files) -> Files:
    """The files, compressed ones as they read; a frame that cannot be read is a content of its own."""
    return {name: _plain(data) if name.endswith(".zst") else data for name, data in files.items()}


def verdict(place: Path, files: Files) -> int:
    """The exit status of `verify` on these files."""
    shutil.rmtree(place, ignore_errors=True)
    for name, data in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)
    return judge(place / "audit").status


def make_log(home: Path) -> Log:
    """Two chains of about 150 and 50 records, written by turns; one segment of the first is compressed."""
    home.mkdir()
    first, second = SignedChain(home, "box-0", segment_bytes=9000), SignedChain(home, "box-1", segment_bytes=9000)
    before: Files = {}
    for number in range(ROUNDS):
        first.add(*(body(number * 100 + each) for each in range(10)), sign=True)
        second.add(*(body(number * 100 + each) for each in range(3)), sign=True)
        see_each_other(home, first, second)
        if number == ROUNDS // 2:
            before = read_files(home)
    first.close()
    second.close()
    compress(segments(first.folder)[1].path)
    return Log(read_files(home), before)


def see_each_other(home: Path, *chains: SignedChain) -> None:
    """Each chain records what it sees of the others."""
    for chain in chains:
        bodies: list[bytes] = []

        def note(event: str, details: dict[str, Any], bodies: list[bytes] = bodies) -> None:
            bodies.append(encode_entry(system_record(event, Stamp(1, 1, "boot"), details)))

        ChainLookout(home / "audit", chain.folder.name, note).look(0.0)
        chain.add(*bodies, sign=True)


def compress(path: Path) -> None:
    """As a sealed segment is."""
    path.with_name(path.name + ".zst").write_bytes(
        zstandard.ZstdCompressor(write_checksum=True).compress(path.read_bytes())
    )
    path.chmod(0o600)
    path.unlink()


def read_files(home: Path) -> Files:
    """Every file under the home, by its path."""
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def _plain(data: bytes) -> bytes:
    """As a reader of the log gets it, who stops at the last line: a checksum cut off behind that changes no record."""
    try:
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).readall()
    except zstandard.ZstdError:
        return b"\0" + data


# ---- one file


def _any(files: Files, chance: random.Random) -> str:
    """A file of the log: a segment, a head, checkpoints, their end, or the verifier keys. Never the private key."""
    return chance.choice([name for name in files if name.startswith("audit/") and not name.endswith("/lock")])


def _flip(files: Files, _: Log, chance: random.Random) -> None:
    name = _any(files, chance)
    data = bytearray(files[name])
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    files[name] = bytes(data)


def _insert(files: Files, _: Log, chance: random.Random) -> None:
    name = _any(files, chance)
    place = chance.randrange(len(files[name]))
    files[name] = files[name][:place] + chance.randbytes(chance.randint(1, 9)) + files[name][place:]


def _take_out(files: Files, _: Log, chance: random.Random) -> None:
    name = _any(files, chance)
    place = chance.randrange(len(files[name]))
    files[name] = files[name][:place] + files[name][place + chance.randint(1, 9) :]


def _cut(files: Files, _: Log, chance: random.Random) -> None:
    name = _any(files, chance)
    files[name] = files[name][: chance.randrange(len(files[name]))]


def _remove(files: Files, _: Log, chance: random.Random) -> None:
    del files[_any({name: data for name, data in files.items() if not name.endswith("/deployment")}, chance)]


# ---- whole lines and notes


def _segment(files: Files, chance: random.Random, chain: str = "") -> str:
    return chance.choice([name for name in files if name.endswith(".jsonl") and chain in name])


def _lines(files: Files, chance: random.Random) -> tuple[str, list[bytes]]:
    """The lines of a plain segment, or the notes of a chain."""
    name = chance.choice([name for name in files if name.endswith((".jsonl", f"/{CHECKPOINTS_NAME}"))])
    if name.endswith(".jsonl"):
        return name, files[name].splitlines(keepends=True)
    return name, [note + b"\n" for note in kept_notes(files[name])[0]]


def _drop_line(files: Files, _: Log, chance: random.Random) -> None:
    name, lines = _lines(files, chance)
    del lines[chance.randrange(len(lines))]
    files[name] = b"".join(lines)


def _swap_lines(files: Files, _: Log, chance: random.Random) -> None:
    name, lines = _lines(files, chance)
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    files[name] = b"".join(lines)


def _double_line(files: Files, _: Log, chance: random.Random) -> None:
    name, lines = _lines(files, chance)
    lines.insert(chance.randrange(len(lines)), chance.choice(lines))
    files[name] = b"".join(lines)


def _move_line(files: Files, _: Log, chance: random.Random) -> None:
    """From one file to another, also of the other chain."""
    name, lines = _lines(files, chance)
    other, others = _lines(files, chance)
    line = lines.pop(chance.randrange(len(lines)))
    files[name] = b"".join(lines)
    if other == name:
        others = lines
    others.insert(chance.randint(0, max(0, len(others) - 1)), line)
    files[other] = b"".join(others)


def _edit_record(files: Files, _: Log, chance: random.Random) -> None:
    """A field with sense, as one would who hides something."""
    name = _segment(files, chance)
    old, new = chance.choice([(b'"allow"', b'"deny"'), (b"10.0.0.1", b"10.0.0.2"), (b'"default"', b'"another"')])
    found = files[name].count(old)
    if not found:
        raise Unchanged
    before = files[name].split(old)
    place = chance.randrange(found)
    files[name] = old.join(before[: place + 1]) + new + old.join(before[place + 1 :])


def _edit_checkpoint(files: Files, _: Log, chance: random.Random) -> None:
    """Another size or root under the old signature."""
    name = chance.choice([name for name in files if name.endswith(f"/{CHECKPOINTS_NAME}")])
    notes = kept_notes(files[name])[0]
    place = chance.randrange(len(notes))
    lines = notes[place].split(b"\n")
    if chance.random() < 0.5:
        lines[1] = b"%d" % (int(lines[1]) + chance.choice([-1, 1, 10]))
    else:
        lines[2] = chance.choice(notes).split(b"\n")[2]
    notes[place] = b"\n".join(lines)
    files[name] = b"".join(note + b"\n" for note in notes)


# ---- whole chains


def _exchange(files: Files, _: Log, chance: random.Random) -> None:
    """The same file of both chains, or all of both."""
    kind = chance.choice([HEAD_NAME, CHECKPOINTS_NAME, END_NAME, "000000000000.jsonl", ""])
    for name in [name for name in files if name.startswith("audit/box-0/") and name.endswith(kind)]:
        other = name.replace("box-0", "box-1")
        files[name], files[other] = files.get(other, b""), files[name]


def _splice(files: Files, _: Log, chance: random.Random) -> None:
    """The end of a segment from another one."""
    one, other = _segment(files, chance), _segment(files, chance)
    ours, theirs = files[one].splitlines(keepends=True), files[other].splitlines(keepends=True)
    place = chance.randint(1, len(ours) - 1)
    files[one] = b"".join(ours[:place] + theirs[min(place, len(theirs)) :])


def _put_back(files: Files, log: Log, chance: random.Random) -> None:
    """A whole chain as it was some time ago, all its files: the other chain has seen more of it."""
    chain = chance.choice(["audit/box-0/", "audit/box-1/"])
    for name in [name for name in files if name.startswith(chain)]:
        del files[name]
    files.update({name: data for name, data in log.before.items() if name.startswith(chain)})


def _take_away(files: Files, _: Log, chance: random.Random) -> None:
    """A whole chain, with or without its verifier key."""
    chain = chance.choice(["box-0", "box-1"])
    for name in [name for name in files if f"/{chain}/" in name]:
        del files[name]
    if chance.random() < 0.5:
        _forget_vkey(files, chain)


def _forget_vkey(files: Files, chain: str) -> None:
    name = f"audit/{VKEY_NAME}"
    files[name] = b"".join(line for line in files[name].splitlines(keepends=True) if f"/{chain}+".encode() not in line)


def _rewrite(files: Files, _: Log, chance: random.Random) -> None:
    """A chain made anew with one record another: all hashes, the head and the segments' records fit."""
    chain = chance.choice(["box-0", "box-1"])
    bodies = _bodies(files, chain)
    place = chance.randrange(1, len(bodies))
    if chance.random() < 0.5:
        bodies[place] = body(chance.randrange(10**6))
    else:
        del bodies[place]
    kept = kept_notes(files[f"audit/{chain}/{CHECKPOINTS_NAME}"])[0]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        how = chance.choice(["keep", "drop_later", "drop_end_too", "drop_all", "drop_vkey_too", "own_key"])
        _write_again(home, chain, bodies, signed=how == "own_key")
        fresh = {name: data for name, data in read_files(home).items() if name.startswith(f"audit/{chain}/")}
        theirs = read_vkeys(home / "audit" / VKEY_NAME)[0].vkey if how == "own_key" else ""
    old = {name: data for name, data in files.items() if name.startswith(f"audit/{chain}/")}
    for name in old:
        del files[name]
    files.update(fresh)
    if how in ("keep", "drop_later", "drop_end_too"):
        covered = [note for note in kept if how == "keep" or int(note.split(b"\n")[1]) <= place]
        files[f"audit/{chain}/{CHECKPOINTS_NAME}"] = b"".join(note + b"\n" for note in covered)
        if how != "drop_end_too":
            files[f"audit/{chain}/{END_NAME}"] = old[f"audit/{chain}/{END_NAME}"]
    if how in ("drop_vkey_too", "own_key"):
        _forget_vkey(files, chain)
    if theirs:
        files[f"audit/{VKEY_NAME}"] += f"{theirs}\n".encode()


def _bodies(files: Files, chain: str) -> list[bytes]:
    """The chain's records without what the chain itself adds, and without those about its segments."""
    names = sorted(name for name in files if f"/{chain}/" in name and ".jsonl" in name)
    lines = [line for name in names for line in content({name: files[name]})[name].splitlines()]
    plain = [b"{" + line.split(b",", 2)[2].rsplit(b',"prev"', 1)[0] + b"}" for line in lines]
    return [each for each in plain if b'"event":"segment.' not in each]


def _write_again(home: Path, chain: str, bodies: list[bytes], *, signed: bool) -> None:
    if signed:
        forged = SignedChain(home, chain, segment_bytes=9000)
        forged.add(*bodies)
        forged.close()
        return
    folder = home / "audit" / chain
    folder.mkdir(parents=True)
    writer = ChainWriter(folder, QuickDisk(), 9000, ChainEnd())
    writer.commit(bodies)
    writer.close()


MUTATIONS: dict[str, Mutation] = {
    "byte flipped": _flip,
    "bytes put in": _insert,
    "bytes taken out": _take_out,
    "file cut": _cut,
    "file removed": _remove,
    "line or checkpoint dropped": _drop_line,
    "lines or checkpoints swapped": _swap_lines,
    "line or checkpoint doubled": _double_line,
    "line moved to another file": _move_line,
    "record edited": _edit_record,
    "checkpoint edited": _edit_checkpoint,
    "files exchanged between chains": _exchange,
    "segments spliced": _splice,
    "chain put back": _put_back,
    "chain taken away": _take_away,
    "chain rewritten without the key": _rewrite,
}
