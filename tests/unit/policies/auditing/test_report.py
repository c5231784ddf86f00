"""Invariant: the same lines give the same data, and whatever of the period they do not cover is told on top."""

from policies.auditing.report import Proof, Report
from tests.report_lines import AFTER, BEFORE, IN, LATER, OCTOBER, stored

SYSTEM = {"stage": "system"}


def system(event: str, ts: str, seq: int, **details: object) -> bytes:
    return stored(event, ts, **SYSTEM, details=details, seq=seq)


def anchors(ts: str, seq: int, size: int | None, off_host: bool = True) -> bytes:
    return system("inventory.anchors", ts, seq, places=[{"name": "witness:w", "off_host": off_host, "size": size}])


WHOLE = (
    system("gateway.started", BEFORE, 0, process="p"),
    system("inventory.settings", BEFORE, 1, unsafe=[], report_only=[]),
    system("worker.counted", IN, 2, target="pool:w", life="a", gateway="p", taken=0),
    system("gateway.draining", LATER, 3),
    anchors(AFTER, 4, None),
    anchors(AFTER, 5, 9, off_host=False),
    anchors(AFTER, 6, 3),
    anchors(AFTER, 7, 5),
    anchors(AFTER, 8, 8),
)
PROOF = Proof(chain="box-0", size=4, root="ab")


def made(*lines: bytes, first_seq: int = 0, proofs: tuple[Proof, ...] = (PROOF,)) -> dict:
    report = Report(OCTOBER)
    report.begin("box-0", first_seq)
    for each in lines:
        report.take(each)
    report.end()
    assert report.last_in("box-9") == -1
    return report.told(list(proofs), [], "corral/x")


def test_a_period_that_is_wholly_covered() -> None:
    data = made(*WHOLE)
    assert data["notices"] == []
    (chain,) = data["chains"]
    assert (chain["first_seq"], chain["last_seq"], chain["records"]) == (2, 3, 2)
    assert (chain["anchored_by"], chain["signed_size"]) == ("witness:w", 4)
    assert made(*WHOLE) == data


def test_what_comes_after_the_period_changes_nothing() -> None:
    later = [system("gateway.started", AFTER, n, process="q") for n in range(9, 12)]
    later.append(stored("key.created", AFTER, stage="admin", seq=12, change={"object": "key:1"}))
    assert made(*WHOLE, *later) == made(*WHOLE)


def notices(*lines: bytes, first_seq: int = 0, proof: Proof = PROOF) -> list[str]:
    return made(*lines, first_seq=first_seq, proofs=(proof,))["notices"]


def test_a_log_that_does_not_reach_the_end() -> None:
    assert notices(*WHOLE[:4]) == [
        f"the log does not reach the end of the period: its last record is of {LATER}",
        f"box-0: ends at {LATER} without a stop: nothing is known after",
        "box-0: not anchored off this host: whoever holds the audit key there can write another log",
    ]
    for event in ("gateway.stopped", "chain.retired"):
        last = system(event, LATER, 4)
        assert not any("without a stop" in each for each in notices(*WHOLE[:4], last))


def test_a_chain_that_begins_late_or_was_pruned() -> None:
    late = [WHOLE[2], WHOLE[1], *WHOLE[3:]]
    assert notices(*late)[0] == f"box-0: begins with seq 0 of {IN}: nothing of the period is known before"
    assert notices(*late, first_seq=7)[0].startswith("box-0: pruned before seq 7 of ")
    assert notices(*WHOLE[4:], first_seq=4)[0].startswith("box-0: pruned before seq 4 of ")


def test_what_nothing_signed_or_nothing_kept_elsewhere() -> None:
    assert notices(*WHOLE, proof=Proof(chain="box-0")) == ["box-0: not all of the period is signed"]
    assert notices(*WHOLE[:4], WHOLE[6])[-1].startswith("box-0: not anchored off this host")


def test_a_chain_of_a_gateway_that_came_later() -> None:
    report = Report(OCTOBER)
    for chain, lines in (("box-0", WHOLE), ("box-1", (system("gateway.started", AFTER, 0),))):
        report.begin(chain, 0)
        for each in lines:
            report.take(each)
    report.end()
    assert report.told([PROOF, Proof(chain="box-1")], [], "corral/x")["notices"] == []


def test_tampering_a_chain_that_is_gone_and_one_that_cannot_be_read() -> None:
    report = Report(OCTOBER)
    data = report.told([Proof(chain="box-0", fault="TAMPERED: head")], ["the chain x is gone"], "")
    assert data["notices"][:3] == [
        "TAMPERED: the chain x is gone",
        "box-0: TAMPERED: head",
        "the log does not reach the end of the period: its last record is of no record at all",
    ]
    assert data["chains"][0]["begins_with_seq"] == -1


def test_lines_that_cannot_be_read_are_counted() -> None:
    odd = (
        b"no record\n",
        stored("inventory.keys", IN, **SYSTEM, details={"keys": 7}),
        stored("audit.pruned", "2026 ", **SYSTEM, boot_id="b"),
        stored("key.created", IN, stage="admin", change="x"),
        stored("request.completed", IN, stage="completed", req_id="1", result={"target": "pool:w", "finish": 7}),
    )
    assert made(*WHOLE, *odd)["chains"][0]["unreadable_lines"] == len(odd)
    assert any("5 lines could not be read" in each for each in notices(*WHOLE, *odd))


def test_counts_that_do_not_fit() -> None:
    more = system("worker.counted", LATER, 4, target="pool:w", life="a", gateway="", taken=3)
    data = made(*WHOLE[:4], more, *WHOLE[4:])
    assert "records and counts differ 1 times: see Completeness" in data["notices"]
    assert data["completeness"]["differences"][0]["count"] == 3
    assert "no worker was counted: that nothing went past the log is not shown" in notices(*WHOLE[:2], *WHOLE[3:])


def test_what_is_open_at_the_end() -> None:
    opened = stored("request.authorized", LATER, stage="authorized", req_id="r1", seq=3)
    data = made(*WHOLE[:3], opened, *WHOLE[4:])
    assert (data["completeness"]["open_at_the_end"], data["notices"]) == (1, [])
    dead = made(*WHOLE[:2], stored("request.authorized", BEFORE, stage="authorized", req_id="r1", seq=3))
    assert dead["completeness"]["open_at_the_end"] == dead["completeness"]["differences_in_all"] == 0


def test_what_was_open_before_is_lost_when_its_gateway_is_found_dead() -> None:
    early = stored("request.authorized", BEFORE, stage="authorized", req_id="r1", seq=2)
    again = system("gateway.started", IN, 3, process="q")
    data = made(*WHOLE[:2], early, again, *WHOLE[2:])
    (difference,) = data["completeness"]["differences"]
    assert (difference["request_id"], difference["until"], difference["found"]) == ("r1", BEFORE, IN)


def test_a_gateway_that_says_nothing_of_what_was_in_force() -> None:
    assert "box-0: does not say what was in force" in notices(WHOLE[0], *WHOLE[2:])


def test_more_addresses_than_are_told_apart() -> None:
    report = Report(OCTOBER)
    report.keys.too_many = True
    assert any("more addresses of keys" in each for each in report.told([], [], "")["notices"])


def test_every_kind_of_record_reaches_its_section() -> None:
    actor = {"kind": "key", "team": "chem", "key_id": "k1", "pseudonym": "pann"}
    work = {"actor": actor, "action": {"model": "m:1", "model_digest": "dd"}, "decision": {"effect": "allow"}}
    lines = (
        *WHOLE[:3],
        system("inventory.keys", IN, 10, keys=[{"id": "k1", "team": "chem", "created_s": 0}]),
        system("inventory.models", IN, 11, models=[{"name": "m:1", "digest": "dd", "parent": ""}]),
        system("inventory.clock", IN, 12, synchronised=True, max_error_ms=1),
        system("key.seen_from", IN, 13, key_id="k1", address="pa"),
        system("refusals.sampled", IN, 14, reason="r", network="n", count=3),
        system("refusals.sampled", BEFORE, 14, reason="r", network="n", count=3),
        stored("model.imported", IN, stage="admin", seq=15, actor={"pseudonym": "pbob"}, decision={"effect": "allow"},
               change={"object": "model:m:1", "after_hash": "dd"}),
        stored("request.authorized", IN, stage="authorized", seq=16, req_id="r1", **work),
        stored("request.completed", IN, stage="completed", seq=17, req_id="r1",
               result={"target": "upstream:u", "finish": "stop"}, **work),
        stored("request.completed", BEFORE, stage="completed", seq=18, req_id="r2", **work),
        stored("request.denied", IN, stage="denied", seq=19, decision={"effect": "deny"}),
        *WHOLE[3:],
    )  # fmt: skip
    data = made(*lines)
    assert data["keys"][0]["requests"] == 1
    assert data["models_offered"][0]["approved_by"] == data["models_used"][0]["approved_by"] == "pbob"
    assert data["egress_used"] == [{"target": "upstream:u", "requests": 1}]
    assert data["clocks"][0]["tellings"] == 1
    assert data["new_addresses"][0]["address"] == "pa"
    assert data["denials_counted_only"][0]["count"] == 3
    assert data["teams"][0]["requests"] == 1
