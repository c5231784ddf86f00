"""A gateway process as `gateway.process` runs it, with the queue named in the home and a tape of what it decides.

`corral serve` is started by `bench.pool_admission.serve`, which puts this module in the place of the gateway's.
The file `queue` in the home says which queue: `fifo`, or `corral` for the one that production has, after which
constants of its `Tuning` may stand as JSON.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import msgspec

import gateway.app
import gateway.exchange
import gateway.process
from bench.pool_admission.fifo_queue import FifoQueue
from bench.pool_admission.tape import REQUEST, AnyQueue, TapedQueue
from gateway.clock import SystemClock
from gateway.request_id import new_request_id
from gateway.scheduling.own_queue import OwnQueue
from gateway.scheduling.scheduler import CarryOut
from policies.admission import Queue
from policies.admitting.tuning import Tuning

QUEUE_FILE, TAPE_FILE = "queue", "tape.jsonl"


def main() -> int:
    """Run one gateway until it is told to stop; returns the exit status."""
    home = Path(sys.argv[sys.argv.index("--home") + 1])
    queue = make_queue((home / QUEUE_FILE).read_text())
    with (home / TAPE_FILE).open("w", buffering=1 << 20) as tape:

        def scheduler(carry_out: CarryOut) -> OwnQueue:
            return OwnQueue(SystemClock(), carry_out, cast(Any, TapedQueue(queue, tape)))

        opened = partial(gateway.app.opened, make_scheduler=scheduler)
        with (
            patch.object(gateway.process, "opened", opened),
            patch.object(gateway.exchange, "new_request_id", remembered_id),
        ):
            return gateway.process.main()


def make_queue(wanted: str) -> AnyQueue:
    """The queue that the file names."""
    name, _, constants = wanted.strip().partition(" ")
    if name == "fifo":
        return FifoQueue()
    return Queue(tuning=msgspec.json.decode(constants or "{}", type=Tuning))


def remembered_id(arrived_ns: int) -> str:
    """A new id, known to whatever the request's own task does."""
    made = new_request_id(arrived_ns)
    REQUEST.set(made)
    return made


if __name__ == "__main__":
    sys.exit(main())
