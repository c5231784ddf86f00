"""The gateway that slow clients are set on: the real listener with TLS and the whole flow over a fake engine.

`python -m bench.slow_gateway FOLDER` prints one line of JSON (port, key, certificate), and ends with its stdin.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from gateway.configuration.settings import ListenSettings
from gateway.heap import keep_large_buffers_apart
from gateway.http.tls_context import server_context
from policies.call import Final, Text, Usage
from policies.policy import AddressLimits, KeyLimits, Team
from tests.authority import Authority
from tests.raw.raw_house import raw_house

SLOTS = 1000
NO_BOUND = KeyLimits(requests_per_minute=None, concurrent_requests=None)
POLICY = {
    "teams": {"one": Team(models=("m:latest",), key_limits=NO_BOUND), "two": Team(models=("*",), key_limits=NO_BOUND)},
    "address_limits": AddressLimits(requests_per_minute=None),
}


async def main(folder: Path) -> None:
    """Serve until stdin ends."""
    authority = Authority(folder)
    certificate, key = authority.server()
    context = server_context(certificate, key, now=datetime.now(UTC))
    async with raw_house(folder, POLICY, context) as house:
        house.gate.gate.body_timeout_s = ListenSettings().body_timeout_s
        engine = house.gate.engine
        engine.slots = SLOTS
        engine.script = [*(Text("x" * 65536) for _ in range(400)), Final("stop", Usage())]
        engine.announce(ready=True)
        told = {"port": house.port, "key": house.key.decode(), "certificate": str(authority.bundle)}
        print(json.dumps(told), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    keep_large_buffers_apart()
    uvloop.run(main(Path(sys.argv[1])))
