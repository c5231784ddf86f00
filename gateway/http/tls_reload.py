"""The TLS files in force: watched, and swapped whole for the next connection, or kept with the fault told.

Rules:
- A change is seen by size, inode and time of any of the files, asked once a second; nothing is kept open.
- All contexts are built anew from all files. Only when every one of them can be used do they take the place of
  the old ones, in one assignment; connections that are open keep theirs.
- Files that cannot be used leave everything as it was, are told once for each fault, and are tried again at every
  look: a certificate and its key are seldom replaced in the same instant.
- A home's own certificate is followed by the next of its series before it ends (`certificate_series`).
- A revocation list that is overdue, and a certificate that has ended, are told once, 30, 7, 1 and 0 days before.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLContext

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct

from gateway.configuration.settings import ClientCertificates, TlsProfile
from gateway.homes.certificate_series import put_due_in_place
from gateway.http.door import certificate_hosts
from gateway.http.tls_context import ClientDemand, TlsFault, demand_readable, server_context
from policies.access import ListenerName
from policies.certificates.client_trust import ClientTrust, UnfitTrust, read_client_trust
from policies.certificates.tls_expiry import EndWarning, FileEnd, due_warnings
from policies.credentials.client_certificate import MALFORMED

Note = Callable[[str, dict[str, str | int | float | bool]], None]
Modes = Mapping[ListenerName, ClientCertificates]
_Seen = tuple[tuple[int, ...] | None, ...]

RENEW_EVERY_S = 60.0

log = structlog.get_logger("corral.gateway")


class TlsFiles(Struct, frozen=True, kw_only=True):
    """What TLS is made of. `client_ca` and `client_crl` are None where clients are not asked."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_crl: Path | None = None
    profile: TlsProfile = "intermediate"
    groups_configured: bool = False

    def named(self) -> dict[str, Path]:
        """The files that there are, by their names under `tls` in config.yaml."""
        files = {name: getattr(self, name) for name in ("certificate", "key", "client_ca", "client_crl")}
        return {name: path for name, path in files.items() if path is not None}


class _InForce(Struct, frozen=True):
    contexts: dict[ListenerName, SSLContext]
    trust: ClientTrust | None
    ends: tuple[FileEnd, ...]
    fingerprint: str
    hosts: tuple[str, ...]


class TlsReload:
    """See the head of the module. `modes` says of each listener with TLS what it asks of clients.

    `note(event, details)` is told of each reload, fault and end to come; it must not block. Raises TlsFault.
    """

    def __init__(self, files: TlsFiles, modes: Modes, note: Note, now_s: float) -> None:
        self._files = files
        self._modes = modes
        self._note = note
        self._seen = self._look_at_files()
        self._fault = ""
        self._renewed_s: float | None = None
        self._warned: set[EndWarning] = set()
        self._in_force = _build(files, modes, now_s)

    def context(self, listener: ListenerName) -> SSLContext | None:
        """What the next connection of `listener` is taken with; None where it has no TLS."""
        return self._in_force.contexts.get(listener)

    @property
    def trust(self) -> ClientTrust | None:
        """The authorities and revocation lists in force; None while no listener asks for certificates."""
        return self._in_force.trust

    @property
    def ends(self) -> tuple[FileEnd, ...]:
        """When each of the files in force ends."""
        return self._in_force.ends

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names in the certificate in force."""
        return self._in_force.hosts

    def look(self, now_s: float) -> None:
        """Take changed files over, and tell of ends; made to be called once a second. `now_s` is Unix time."""
        self._renew(now_s)
        seen = self._look_at_files()
        if seen != self._seen or self._fault:
            self._reload(seen, now_s)
        for due in due_warnings(self.ends, now_s, self._warned):
            self._warned.add(due)
            self._note("tls.expiring", {"file": due.end.file, "days": due.days, "ends": _iso(due.end.ends_s)})
            log.warning("tls_file_ends", file=due.end.file, days=due.days, ends=_iso(due.end.ends_s))

    def _renew(self, now_s: float) -> None:
        """Put the next of the home's own certificates in place when it is due; looked at once a minute."""
        if self._renewed_s is not None and 0 <= now_s - self._renewed_s < RENEW_EVERY_S:
            return
        self._renewed_s = now_s
        try:
            put_due_in_place(self._files.certificate, datetime.fromtimestamp(now_s, UTC))
        except (OSError, *MALFORMED) as fault:
            log.error("certificate_not_renewed", file=str(self._files.certificate), cause=type(fault).__name__)

    def _reload(self, seen: _Seen, now_s: float) -> None:
        names = zip(self._files.named(), seen, self._seen, strict=True)
        changed = ", ".join(name for name, now, before in names if now != before)
        try:
            self._in_force = _build_next(self._in_force, self._files, self._modes, now_s)
        except TlsFault as fault:
            self._tell_fault(str(fault))
            return
        self._seen, self._fault = seen, ""
        self._warned.intersection_update(EndWarning(end, days) for end in self.ends for days in range(31))
        self._note("tls.reloaded", {"files": changed, "certificate_sha256": self._in_force.fingerprint})
        log.info("tls_reloaded", files=changed)

    def _tell_fault(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            self._note("tls.reload_failed", {"cause": fault})
            log.error("tls_reload_failed", cause=fault, note="the files read before stay in force")

    def _look_at_files(self) -> _Seen:
        return tuple(map(_look_at, self._files.named().values()))


def _look_at(path: Path) -> tuple[int, ...] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _build_next(before: _InForce, files: TlsFiles, modes: Modes, now_s: float) -> _InForce:
    """What may take the place of `before`. Raises TlsFault."""
    built = _build(files, modes, now_s)
    if built.trust is not None and before.trust is not None:
        try:
            built.trust.require_not_older(before.trust)
        except UnfitTrust as fault:
            raise TlsFault(f"tls.client_crl {fault}: put the newest in place") from None
    return built


def _build(files: TlsFiles, modes: Modes, now_s: float) -> _InForce:
    """Raises TlsFault, also for what OpenSSL passes over and for a file that goes away between two looks at it."""
    try:
        return _build_all(files, modes, now_s)
    except (OSError, *MALFORMED) as fault:
        raise TlsFault(
            f"a TLS file is malformed, or changed while it was read ({type(fault).__name__}): put it in place anew"
        ) from None


def _build_all(files: TlsFiles, modes: Modes, now_s: float) -> _InForce:
    trust = _read_trust(files) if any(mode != "off" for mode in modes.values()) else None
    contexts = {
        listener: server_context(
            files.certificate,
            files.key,
            now=datetime.fromtimestamp(now_s, UTC),
            profile=files.profile,
            groups_configured=files.groups_configured,
            clients=_demand(files, mode, trust),
        )
        for listener, mode in modes.items()
    }
    chain = x509.load_pem_x509_certificates(files.certificate.read_bytes())
    fingerprint = chain[0].fingerprint(SHA256()).hex()
    return _InForce(contexts, trust, _ends(chain, trust), fingerprint, certificate_hosts(files.certificate))


def _demand(files: TlsFiles, mode: ClientCertificates, trust: ClientTrust | None) -> ClientDemand | None:
    if mode == "off" or trust is None:
        return None
    authorities = b"".join(each.public_bytes(Encoding.DER) for each in trust.authorities)
    return ClientDemand(authorities=authorities, lists=files.client_crl, required=mode == "required")


def _read(path: Path, name: str) -> bytes:
    demand_readable(path, name)
    return path.read_bytes()


def _read_trust(files: TlsFiles) -> ClientTrust:
    if files.client_ca is None:
        raise TlsFault("client certificates are asked for and tls.client_ca names no authorities: name their file")
    bundle = _read(files.client_ca, "client_ca")
    lists = None if files.client_crl is None else _read(files.client_crl, "client_crl")
    try:
        return read_client_trust(bundle, lists)
    except UnfitTrust as fault:
        raise TlsFault(f"tls.client_ca or tls.client_crl {fault}: replace it") from None


def _ends(chain: list[x509.Certificate], trust: ClientTrust | None) -> tuple[FileEnd, ...]:
    ends = {"certificate": min(each.not_valid_after_utc.timestamp() for each in chain)}
    if trust is not None:
        ends["client_ca"] = trust.authorities_end_s
        if trust.lists_end_s is not None:
            ends["client_crl"] = trust.lists_end_s
    return tuple(FileEnd(name, ends_s) for name, ends_s in ends.items())


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat()
