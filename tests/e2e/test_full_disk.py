"""A real gateway on a small disk that fills up: it says so, serves nothing, lives on, and comes back by itself."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.kills.small_upstream import SmallUpstream
from bench.proofs.audit_kills import CHAT, POLICY
from gateway.audit.audit_files import segment_paths, stored_lines
from tests.e2e.serving import Corral, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SPARE_BYTES = 600_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(place)]
    if os.geteuid() or subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def chat(corral: Corral) -> int:
    return corral.request("POST", "/api/chat", CHAT)[0]


def test_a_disk_at_98_per_cent_stops_the_service_until_there_is_room_again(small_disk: Path) -> None:
    with SmallUpstream() as upstream:
        named = {"name": "small", "kind": "ollama", "url": upstream.url}
        corral = Corral(small_disk, engine={"models": []}, upstreams=[named], back_door={"enabled": False}).make(None)
        (corral.home / "policy.yaml").write_text(POLICY)
        corral.start()
        try:
            assert until(lambda: chat(corral) == 200)
            filler = small_disk / "filler"
            found = os.statvfs(small_disk)
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - SPARE_BYTES)
            assert until(lambda: not corral.ready())
            assert chat(corral) == 503
            assert corral.answers("/health/live")
            status = corral.status()
            assert status["audit_disk"]["level"] == "full"
            assert [lack["name"] for lack in status["lacks"]] == ["audit_unwritable"]
            filler.unlink()
            assert until(corral.ready)
            assert chat(corral) == 200
        finally:
            stopped = corral.stop()
        assert stopped == 0, corral.log()
        (chain,) = (path for path in (corral.home / "audit").iterdir() if (path / "head").exists())
        records = [json.loads(line.data) for line in stored_lines(segment_paths(chain))]
        told = [record for record in records if record["event"] in ("disk.full", "disk.back")]
        assert [record["event"] for record in told] == ["disk.full", "disk.back"]
        assert told[1]["details"]["turned_away"] >= 1
        assert corral.command("audit", "verify", check=False).returncode == 0
