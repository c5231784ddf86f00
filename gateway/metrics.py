"""Prometheus metrics, served on the admin listener only. Labels are names of ours, never a client's text."""

from collections.abc import Iterable, Mapping
from dataclasses import fields

from msgspec import structs
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from engine.frames import Counters
from engine.interface import StepReport
from engine.residency import Residence
from gateway.audit.disk_guard import DiskState
from gateway.backdoor.findings import Finding
from gateway.dispatcher import Dispatcher
from gateway.exchange import Exchange
from gateway.homes.process_notes import ProcessNote
from gateway.http.listener import AcceptCounts
from gateway.limits.fallback_store import StoreState
from gateway.loaded_models import SERVES
from gateway.queue_metrics import QueueMetrics
from gateway.scheduling.shared_queue import SharedQueue
from policies.auditing.disk_room import LEVELS
from policies.certificates.tls_expiry import FileEnd
from policies.credentials.key_expiry import KeyEnd

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
WORKER_TOTALS = tuple(field.name for field in structs.fields(Counters) if field.type is int)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All metrics of one gateway process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.queue = QueueMetrics(registry)
        by_request = ("listener", "route", "team", "status")
        self._requests = Counter("corral_requests", "Requests answered", by_request, registry=registry)
        self._duration = Histogram(
            "corral_request_seconds", "Arrival to last byte", ("route",), buckets=SECONDS, registry=registry
        )
        self._first_event = Histogram(
            "corral_time_to_first_token_seconds",
            "Arrival to first token",
            ("model",),
            buckets=SECONDS,
            registry=registry,
        )
        by_team = ("team", "model", "kind")
        self._tokens = Counter("corral_tokens", "Tokens of served requests", by_team, registry=registry)
        self._step_seconds = Counter("corral_step_seconds", "Time in steps", ("target",), registry=registry)
        self._rows = Counter("corral_step_rows", "Rows in steps", ("target", "kind"), registry=registry)
        self._slots = Gauge("corral_target_slots", "Slots of a target", ("target",), registry=registry)
        self._busy = Gauge("corral_target_running", "Requests we run on a target", ("target",), registry=registry)
        self._ready = Gauge("corral_target_ready", "1 when the target takes work", ("target",), registry=registry)
        self._door = Gauge(
            "corral_connections", "At the door since the start", ("listener", "outcome"), registry=registry
        )
        self._key_ends = Gauge(
            "corral_key_expires_seconds", "Until an active key ends", ("key_id", "team"), registry=registry
        )
        self._key_sets = Gauge(
            "corral_key_set_age_seconds", "Since an issuer's keys came; Inf without any", ("issuer",), registry=registry
        )
        self._back_doors = Gauge(
            "corral_back_door_open",
            "1 for a server that answers without a key",
            ("address", "port", "kind"),
            registry=registry,
        )
        self._policy_refused = Counter(
            "corral_policy_refused", "Contents of policy.yaml that were not taken", registry=registry
        )
        self._policy_stale = Gauge(
            "corral_policy_stale", "1 while policy.yaml is not the policy in force", registry=registry
        )
        self._tls_ends = Gauge(
            "corral_tls_certificate_expires_seconds", "Until a TLS file ends", ("file",), registry=registry
        )
        self._shared_store = Gauge(
            "corral_shared_store",
            "The limits' Redis: 1 when away, gateways, failures, owed",
            ("figure",),
            registry=registry,
        )
        self._audit_disk = Gauge(
            "corral_audit_disk", "The log's disk: used_percent, level (0 to 3), reserve", ("figure",), registry=registry
        )
        self._sampled = Gauge(
            "corral_refusals_sampled", "Refusals since the start that were counted only", registry=registry
        )
        self._loaded = Gauge(
            "corral_worker_loaded", "1 for a worker in memory", ("process", "model", "state"), registry=registry
        )
        self._load_s = Gauge(
            "corral_worker_load_seconds", "How long a worker's last load took", ("process",), registry=registry
        )
        self._deaths = Gauge(
            "corral_process_deaths",
            "Unasked ends of an engine process since the supervisor's start",
            ("process", "kind"),
            registry=registry,
        )
        self._suspects = Gauge(
            "corral_suspect_requests", "Requests that may have ended a worker", ("standing",), registry=registry
        )
        self._callers = Gauge(
            "corral_suspect_callers", "Callers whose requests may end workers", ("standing",), registry=registry
        )
        self._sign_ins = Counter(
            "corral_console_sign_ins",
            "Sign-ins to the console; break_glass is an API key",
            ("method", "outcome"),
            registry=registry,
        )
        self._worker = Gauge("corral_worker_total", "A worker's own totals", ("target", "counter"), registry=registry)

    def console_sign_in(self, method: str, outcome: str) -> None:
        """Somebody came to the console: `outcome` is opened or refused."""
        self._sign_ins.labels(method, outcome).inc()

    def finished(self, exchange: Exchange) -> None:
        """One request is over, however it ended."""
        found = exchange.match.found if exchange.match else None
        route = found.route.path if found else "none"
        team = _team_of(exchange)
        self._requests.labels(exchange.listener, route, team, str(exchange.status)).inc()
        self._duration.labels(route).observe(exchange.elapsed_ns() / 1e9)
        self.queue.finished(exchange, team)
        if exchange.target and exchange.model:
            model, usage = exchange.model.name, exchange.usage
            if exchange.first_event_ns:
                self._first_event.labels(model).observe(exchange.first_event_ns / 1e9)
            self._tokens.labels(team, model, "prompt").inc(usage.prompt_tokens)
            self._tokens.labels(team, model, "cached").inc(usage.cached_tokens)
            self._tokens.labels(team, model, "output").inc(usage.output_tokens)

    def step(self, target: str, report: StepReport) -> None:
        """One step of one target."""
        self._step_seconds.labels(target).inc(report.step_ns / 1e9)
        self._rows.labels(target, "decode").inc(report.decode_rows)
        self._rows.labels(target, "prefill").inc(report.prefill_rows)

    def door(self, listener: str, open_connections: int, counts: AcceptCounts) -> None:
        """What one listener's door saw so far."""
        self._door.labels(listener, "open").set(open_connections)
        for outcome in fields(counts):
            self._door.labels(listener, outcome.name).set(getattr(counts, outcome.name))

    def audit_log(self, disk: DiskState | None, sampled: int) -> None:
        """How it stands with the log's disk, and how many refusals have no record of their own."""
        self._sampled.set(sampled)
        if disk is not None:
            self._audit_disk.labels("used_percent").set(disk.used_percent)
            self._audit_disk.labels("level").set(LEVELS.index(disk.level))
            self._audit_disk.labels("reserve").set(int(disk.reserve))

    def key_ends(self, ends: Iterable[KeyEnd]) -> None:
        """The keys that end soon, and no others: one that was replaced or revoked leaves the page."""
        self._key_ends.clear()
        for end in ends:
            self._key_ends.labels(end.key_id, end.team).set(end.left_s)

    def key_sets(self, ages: Mapping[str, float]) -> None:
        """The age of each issuer's keys in seconds, by its name in the policy; infinity without any."""
        self._key_sets.clear()
        for issuer, age_s in ages.items():
            self._key_sets.labels(issuer).set(age_s)

    def shared_store(self, state: StoreState) -> None:
        """How it stands with the Redis that counts the limits of several gateways."""
        figures = {"gateways": state.gateways, "present": state.present, "failures": state.failures, "owed": state.owed}
        for figure, value in {"away": int(bool(state.reason)), **figures}.items():
            self._shared_store.labels(figure).set(value)

    def back_doors(self, findings: Iterable[Finding]) -> None:
        """The model servers that answer whoever comes along, by where they are; one that was closed leaves the page."""
        self._back_doors.clear()
        for finding in findings:
            self._back_doors.labels(finding.address, str(finding.port), finding.kind).set(1)

    def policy_refused(self, refused: bool) -> None:
        """A content of policy.yaml was refused, or (False) the file is the policy in force."""
        self._policy_stale.set(refused)
        if refused:
            self._policy_refused.inc()

    def residences(self, residences: Iterable[Residence]) -> None:
        """Which workers are in memory, in which state each is, and how long its load took."""
        self._loaded.clear()
        for each in residences:
            self._loaded.labels(each.name, each.model, each.state).set(each.state in SERVES)
            self._load_s.labels(each.name).set(each.load_s)

    def deaths(self, processes: Iterable[ProcessNote], suspects: Mapping[str, int]) -> None:
        """How often each engine process died of what, and the requests that may have caused it."""
        for each in processes:
            for kind, count in each.deaths.items():
                self._deaths.labels(each.process, kind).set(count)
        for standing, count in suspects.items():
            self._suspects.labels(standing).set(count)

    def suspect_callers(self, callers: Mapping[str, int]) -> None:
        """How many callers' requests run alone, and how many are refused."""
        for standing, count in callers.items():
            self._callers.labels(standing).set(count)

    def tls_ends(self, ends: Iterable[FileEnd], now_s: float) -> None:
        """The ends of the TLS files; below zero for one that has ended."""
        self._tls_ends.clear()
        for end in ends:
            self._tls_ends.labels(end.file).set(end.ends_s - now_s)

    def workers(self, counters: Mapping[str, Counters]) -> None:
        """The workers' own totals, by target. One that did not answer is left out: what it told before is past."""
        self._worker.clear()
        for name, counted in counters.items():
            for counter in WORKER_TOTALS:
                self._worker.labels(name, counter).set(getattr(counted, counter))

    def page(self, dispatcher: Dispatcher, counters: dict[str, Counters], waiting: Iterable[Exchange] = ()) -> bytes:
        """The page in Prometheus' text format, with the state of queue, targets and workers as of now.

        `waiting` are this gateway's requests in the queue.
        """
        self._show_queue(dispatcher, waiting)
        for target in dispatcher.targets():
            self._slots.labels(target.id).set(target.slots)
            self._busy.labels(target.id).set(target.running)
            self._ready.labels(target.id).set(target.ready)
        self.workers(counters)
        return generate_latest(self.registry)

    def _show_queue(self, dispatcher: Dispatcher, waiting: Iterable[Exchange]) -> None:
        scheduler = dispatcher.scheduler
        names = ((_team_of(each), each.model.name) for each in waiting if each.model is not None)
        self.queue.show(dispatcher.view(), names, scheduler.decision_times)
        if isinstance(scheduler, SharedQueue):
            self.queue.share(scheduler.state())


def _team_of(exchange: Exchange) -> str:
    """The caller's team if the policy has it: a token may name any, and a label stays as long as the process."""
    if exchange.principal is None or exchange.in_force is None:
        return "none"
    team = exchange.principal.team
    return team if team in exchange.in_force.policy.teams else "none"
