"""What the metrics say of engine processes and of suspect requests; the rest is seen over the admin listener."""

from prometheus_client import generate_latest

from engine.frames import Counters
from gateway.audit.disk_guard import DiskState
from gateway.homes.process_notes import ProcessNote
from gateway.metrics import Metrics


def test_deaths_are_counted_by_process_and_kind_and_suspects_by_standing() -> None:
    metrics = Metrics()
    metrics.deaths([ProcessNote(process="worker-0")], {"suspects": 1, "refused": 0})
    died = ProcessNote(process="worker-0", deaths={"signal": 2, "no_progress": 1})
    metrics.deaths([died, ProcessNote(process="worker-1")], {"suspects": 3, "refused": 1})
    lines = generate_latest(metrics.registry).decode().splitlines()
    assert [line for line in lines if line.startswith(("corral_process_deaths{", "corral_suspect_requests{"))] == [
        'corral_process_deaths{kind="signal",process="worker-0"} 2.0',
        'corral_process_deaths{kind="no_progress",process="worker-0"} 1.0',
        'corral_suspect_requests{standing="suspects"} 3.0',
        'corral_suspect_requests{standing="refused"} 1.0',
    ]


def test_the_logs_disk_and_the_refusals_that_were_counted_only() -> None:
    metrics = Metrics()
    metrics.audit_log(None, 7)
    metrics.audit_log(DiskState(level="alarm", used_percent=91.5, free_bytes=1, reserve=True), 8)
    lines = generate_latest(metrics.registry).decode().splitlines()
    assert [line for line in lines if line.startswith(("corral_audit_disk{", "corral_refusals_sampled "))] == [
        'corral_audit_disk{figure="used_percent"} 91.5',
        'corral_audit_disk{figure="level"} 2.0',
        'corral_audit_disk{figure="reserve"} 1.0',
        "corral_refusals_sampled 8.0",
    ]


def test_a_worker_that_does_not_answer_is_left_out() -> None:
    metrics = Metrics()
    told = Counters(
        decode_calls=1, steps=1, output_tokens=7, prefill_tokens=1, cached_tokens=0, started=1, ended=1, cancelled=0,
        busy_slots=0,
    )  # fmt: skip
    pages = []
    for counters in ({"pool:worker-0": told, "pool:worker-1": told}, {"pool:worker-1": told}):
        metrics.workers(counters)
        lines = generate_latest(metrics.registry).decode().splitlines()
        pages.append([line for line in lines if 'counter="output_tokens"' in line])
    assert pages == [
        [f'corral_worker_total{{counter="output_tokens",target="pool:worker-{number}"}} 7.0' for number in numbers]
        for numbers in ((0, 1), (1,))
    ]
