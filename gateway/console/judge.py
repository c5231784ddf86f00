"""Does whoever opened a session still stand where they did? Asked at every request, of what is in force at that moment.

The checks on a proof, by how it was given:
 (a) key           it exists, is active, holds the scope admin, and its own networks let the client in
 (b) certificate   this very connection shows the same one, and it still holds (authorities, revocation lists)
 (c) provider      it is still the one that config.yaml names: sessions outlive a restart
 (d) all           role and teams by the policy in force (`policies.console.roles`)
 (e) all           nothing that was revoked since (`corral revoke`) and no lockdown; of a team lead's teams those that
                   are locked are left out, and without any left the lead is out too
What a provider said at the sign-in (its subject and groups) holds for the session: at most eight hours.
"""

from dataclasses import dataclass

from gateway.clock import Clock
from gateway.gate import Gate
from gateway.keys.key_store import KeyStore
from policies.access import Kind, require_scope
from policies.addresses.networks import Networks, read_address
from policies.console.roles import Standing, standing_of
from policies.console.session import Method, Proof
from policies.credentials.client_certificate import ClientCertificate
from policies.credentials.key_record import KeyRecord
from policies.credentials.principal import Principal
from policies.errors import LockedDown, NotAuthenticated, NotAuthorized, Refused

KINDS: dict[Method, Kind] = {"break_glass": "api_key", "certificate": "certificate", "oidc": "jwt"}
ANYWHERE = Networks()


@dataclass(frozen=True, slots=True)
class Judge:
    """See the head of the module. `issuer` is the identity provider of config.yaml, "" without one."""

    gate: Gate
    keys: KeyStore
    clock: Clock
    issuer: str

    def require(self, proof: Proof, client: str, certificate: ClientCertificate | None) -> Standing:
        """Role and teams of `proof` on this connection. Raises NotAuthenticated, NotAuthorized, AddressNotAllowed,
        LockedDown or PolicyUnavailable.
        """
        if certificate is not None:
            self.gate.identity.require_certificate(certificate)
        if proof.method == "certificate" and (certificate is None or certificate.sha256 != proof.certificate):
            raise NotAuthenticated("session_certificate_missing", presented=True, actor=proof.subject)
        return self.standing(proof, client)

    def standing(self, proof: Proof, client: str) -> Standing:
        """The same, of somebody whose connection was judged before."""
        if proof.method == "oidc" and proof.issuer != self.issuer:
            raise NotAuthenticated("session_issuer_gone", presented=True, actor=proof.subject, issuer=proof.issuer)
        record = self._key(proof, client) if proof.method == "break_glass" else None
        standing = standing_of(proof, self.gate.in_force.policy.roles)
        if standing.role != "team-lead" or standing.teams is None:
            self.gate.identity.require_unrevoked(_principal(proof, record.team if record is not None else ""))
            return standing
        return Standing(standing.role, self._open_teams(proof, standing.teams))

    def _key(self, proof: Proof, client: str) -> KeyRecord:
        record = self.keys.get(proof.key_id)
        state = record.state(self.clock.unix_ns() / 1e9) if record is not None else "unknown"
        if record is None or state != "active":
            raise NotAuthenticated(state, presented=True, key_id=proof.key_id, actor=proof.subject)
        require_scope("api_key", record.scopes, "admin")
        record.own_networks.require(read_address(client), "key_network")
        return record

    def _open_teams(self, proof: Proof, teams: frozenset[str]) -> frozenset[str]:
        open_teams: set[str] = set()
        cause: Refused = NotAuthorized("console_role_none", actor=proof.subject, issuer=proof.issuer)
        for team in sorted(teams):
            try:
                self.gate.identity.require_unrevoked(_principal(proof, team))
                open_teams.add(team)
            except (LockedDown, NotAuthenticated) as fault:
                cause = fault
        if not open_teams:
            raise cause
        return frozenset(open_teams)


def _principal(proof: Proof, team: str) -> Principal:
    """What revocations and lockdowns are held against."""
    return Principal(
        kind=KINDS[proof.method],
        team=team,
        key_id=proof.key_id,
        scopes=frozenset(),
        networks=ANYWHERE,
        subject=proof.subject,
        other_names=proof.names,
        issuer=proof.issuer,
        issued_s=proof.issued_s,
    )
