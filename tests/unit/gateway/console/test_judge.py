"""Who signed in once is judged anew: the key, the certificate, the role, what was revoked, what is locked."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.certificate_verifier import CertificateVerifier
from gateway.console.judge import Judge
from policies.console.roles import RoleGrant
from policies.console.session import Proof
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.revocation import ALL_TEAMS, Lockdown, Revocation
from policies.errors import AddressNotAllowed, LockedDown, NotAuthenticated, NotAuthorized, Refused
from tests.flow.gates import TestGate

MAIL = "email:anna@example.org"
CERTIFICATE = ClientCertificate("c" * 64, "", (MAIL,), 4e9)
BY_CERTIFICATE = Proof(method="certificate", subject=MAIL, names=(MAIL,), certificate="c" * 64, issued_s=0.0)
LEAD = RoleGrant(role="team-lead", subjects=("lea",), teams=("one", "two"))
LEA = Proof(method="oidc", subject="lea", issuer="https://id.example", issued_s=0.0)
HERE = "127.0.0.1"


class AllTrust:
    def require(self, _certificate: ClientCertificate, _now_s: float) -> None:
        """Everything holds."""


@pytest.fixture
async def made(tmp_path) -> Iterator[tuple[TestGate, Judge]]:
    gate = await TestGate(tmp_path, roles=(LEAD, RoleGrant(role="auditor", certificates=(MAIL,)))).start()
    yield gate, Judge(gate.gate, gate.store, gate.clock, "https://id.example")
    gate.store.close()


def refused(judge: Judge, proof: Proof, client: str = HERE, certificate: ClientCertificate | None = None) -> Refused:
    with pytest.raises(Refused) as fault:
        judge.require(proof, client, certificate)
    return fault.value


def by_key(gate: TestGate, name: str, **changes: object) -> Proof:
    gate.add_key(name, "one", scopes=frozenset({"admin"}), **changes)
    return Proof(
        method="break_glass", subject="root", key_id=gate.records[name].id, issued_s=gate.records[name].created_s
    )


async def test_a_key_holds_while_it_is_active_an_admins_and_at_home(made):
    gate, judge = made
    proof = by_key(gate, "admin")
    assert (judge.require(proof, HERE, None).role, judge.require(proof, HERE, None).teams) == ("admin", None)
    gate.revoke("admin")
    assert refused(judge, proof).reason == "revoked"
    assert refused(judge, by_key(gate, "old", expires_s=0.0)).reason == "expired"
    away = by_key(gate, "away", networks=("192.0.2.0/24",))
    assert isinstance(refused(judge, away), AddressNotAllowed)
    plain = Proof(method="break_glass", subject="x", key_id=gate.records["one"].id)
    assert refused(judge, plain).reason == "scope_admin_missing"
    assert refused(judge, replace_key(proof, "nosuchkey")).reason == "unknown"


def replace_key(proof: Proof, key_id: str) -> Proof:
    return Proof(method=proof.method, subject=proof.subject, key_id=key_id)


async def test_a_keys_team_or_owner_revoked_ends_it(made):
    gate, judge = made
    proof = by_key(gate, "admin")
    now_s = gate.clock.unix_ns() / 1e9
    gate.store.revocations.revoke(Revocation(kind="team", subject="one", at_s=now_s))
    assert refused(judge, proof).reason == "revoked_team"


async def test_a_certificate_is_this_connections_or_nothing(made):
    gate, judge = made
    gate.verify_by(certificates=CertificateVerifier(AllTrust, {}, gate.clock))
    assert judge.require(BY_CERTIFICATE, HERE, CERTIFICATE).role == "auditor"
    other = ClientCertificate("d" * 64, "", (MAIL,), 4e9)
    for shown in (None, other):
        assert refused(judge, BY_CERTIFICATE, certificate=shown).reason == "session_certificate_missing"
    assert judge.standing(BY_CERTIFICATE, HERE).role == "auditor"  # asked of a connection that was judged before


async def test_a_certificate_that_no_longer_holds_ends_whatever_session(made):
    _gate, judge = made
    for proof in (BY_CERTIFICATE, LEA):
        assert refused(judge, proof, certificate=CERTIFICATE).reason == "certificate_authority_gone"


async def test_role_and_teams_follow_the_policy(made):
    gate, judge = made
    assert judge.require(LEA, HERE, None).teams == {"one", "two"}
    gate.take_policy(roles=(replace(LEAD, teams=("two",)),))
    assert judge.require(LEA, HERE, None).teams == {"two"}
    gate.take_policy(roles=())
    assert isinstance(refused(judge, LEA), NotAuthorized)


async def test_a_lead_loses_the_teams_that_are_locked_and_with_the_last_the_way_in(made):
    gate, judge = made
    gate.store.revocations.lock(Lockdown(team="one", since_s=1.0))
    assert judge.require(LEA, HERE, None).teams == {"two"}
    gate.store.revocations.lock(Lockdown(team="two", since_s=1.0))
    assert isinstance(refused(judge, LEA), LockedDown)


async def test_a_lockdown_of_all_and_a_revoked_person(made):
    gate, judge = made
    gate.verify_by(certificates=CertificateVerifier(AllTrust, {}, gate.clock))
    gate.store.revocations.revoke(Revocation(kind="actor", subject="lea", at_s=1.0))
    assert isinstance(refused(judge, LEA), NotAuthenticated)
    assert judge.require(BY_CERTIFICATE, HERE, CERTIFICATE).role == "auditor"
    gate.store.revocations.lock(Lockdown(team=ALL_TEAMS, since_s=1.0))
    for proof in (BY_CERTIFICATE, LEA):
        assert isinstance(refused(judge, proof, certificate=CERTIFICATE), LockedDown)


async def test_a_session_of_a_provider_that_config_yaml_no_longer_names_is_over(made):
    gate, judge = made
    assert judge.require(LEA, HERE, None).role == "team-lead"
    for issuer in ("https://other.example", ""):
        moved = Judge(gate.gate, gate.store, gate.clock, issuer)
        assert refused(moved, LEA).reason == "session_issuer_gone"
