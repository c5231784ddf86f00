"""Does a client certificate that a handshake verified still hold? Asked for every request, not once a connection.

OpenSSL looks at authority, dates and revocation list in the handshake alone. A connection lives for hours, and a
resumed session (of TLS 1.2 OpenSSL keeps some in memory whatever is switched off) skips the look, so each request
asks again, against the files as they are now:
 (a) the certificate has not ended                                               certificate_expired
 (b) an authority of the bundle, not ended either, signed it itself              certificate_authority_gone
 (c) where revocation lists are asked for, that authority's is there             crl_missing
 (d) the certificate is not on it, and it is current                             certificate_revoked, crl_expired

(b) takes no intermediate authority that only the client sends: nobody here could say that it was revoked. The
bundle holds the authority that signs the clients' certificates, and need not hold those above it.

Signatures of lists are OpenSSL's to verify; one that does not fit lets nobody in there. An authority's list never
takes the place of a newer one: it is signed as well, and whoever hands us the files could bring back with it whom
the newer one revoked. What was in force before a start nobody remembers.
"""

import re
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from msgspec import Struct

from policies.credentials.client_certificate import ClientCertificate
from policies.errors import NotAuthenticated

MAX_KNOWN = 4096
"""Certificates remembered with who signed them; a signature takes 100 us to verify."""
_LISTS = re.compile(rb"-----BEGIN X509 CRL-----[^-]*-----END X509 CRL-----")


class UnfitTrust(ValueError):
    """The bundle or the lists cannot be used; the message ends a sentence for an operator."""


class RevocationList(Struct, frozen=True):
    """One authority's list: its serial numbers, when the next one is due (None: never), and when it was made.

    Both in Unix seconds.
    """

    issuer: x509.Name
    serials: frozenset[int]
    next_update_s: float | None
    made_s: float = 0.0


class _Known(Struct, frozen=True):
    """A certificate asked about before; `authority_ends_s` is 0 when none of ours signed it."""

    issuer: x509.Name
    serial: int
    authority_ends_s: float


class ClientTrust:
    """The authorities of clients and their revocation lists; `lists` None means that none is asked for."""

    def __init__(self, authorities: Iterable[x509.Certificate], lists: Iterable[RevocationList] | None) -> None:
        self.authorities = tuple(authorities)
        self.lists = None if lists is None else tuple(lists)
        self._known: dict[str, _Known] = {}

    @property
    def authorities_end_s(self) -> float:
        """When the first authority of the bundle ends, in Unix seconds."""
        return min(_end_s(authority) for authority in self.authorities)

    @property
    def lists_end_s(self) -> float | None:
        """When the first list is overdue, in Unix seconds; None without one that says so."""
        return min((each.next_update_s for each in self.lists or () if each.next_update_s is not None), default=None)

    def require_not_older(self, before: "ClientTrust") -> None:
        """Raises UnfitTrust when the newest list of an authority is older than that in `before`."""
        made_s = _made_s(self.lists or ())
        if any(made_s.get(issuer, before_s) < before_s for issuer, before_s in _made_s(before.lists or ()).items()):
            raise UnfitTrust("holds a revocation list older than the one in force")

    def require(self, certificate: ClientCertificate, now_s: float) -> None:
        """Raises NotAuthenticated unless `certificate` holds at `now_s` (Unix seconds)."""
        if now_s >= certificate.not_after_s:
            raise NotAuthenticated("certificate_expired", presented=True)
        known = self._know(certificate)
        if now_s >= known.authority_ends_s:
            raise NotAuthenticated("certificate_authority_gone", presented=True)
        if self.lists is not None:
            _require_unrevoked(known, [each for each in self.lists if each.issuer == known.issuer], now_s)

    def _know(self, certificate: ClientCertificate) -> _Known:
        known = self._known.get(certificate.sha256)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            leaf = x509.load_der_x509_certificate(certificate.der)
            ends_s = max((_end_s(each) for each in self.authorities if _signed(leaf, each)), default=0.0)
            known = self._known[certificate.sha256] = _Known(leaf.issuer, leaf.serial_number, ends_s)
        return known


def read_client_trust(bundle: bytes, lists: bytes | None) -> ClientTrust:
    """The trust that two PEM files make; `lists` None asks for no revocation list. Raises UnfitTrust."""
    try:
        authorities = x509.load_pem_x509_certificates(bundle)
    except (ValueError, x509.InvalidVersion):
        raise UnfitTrust("holds no usable PEM certificate") from None
    if lists is None:
        return ClientTrust(authorities, None)
    found = _LISTS.findall(lists)
    if not found:
        raise UnfitTrust("holds no PEM revocation list")
    return ClientTrust(authorities, map(_read_list, found))


def _read_list(pem: bytes) -> RevocationList:
    try:
        crl = x509.load_pem_x509_crl(pem)
        serials = frozenset(revoked.serial_number for revoked in crl)
        issuer, due, made = crl.issuer, crl.next_update_utc, crl.last_update_utc
    except (ValueError, x509.InvalidVersion):
        raise UnfitTrust("holds a revocation list that cannot be read") from None
    return RevocationList(issuer, serials, due.timestamp() if due else None, made.timestamp())


def _made_s(lists: Iterable[RevocationList]) -> dict[x509.Name, float]:
    """When the newest list of each authority was made."""
    return {each.issuer: each.made_s for each in sorted(lists, key=lambda each: each.made_s)}


def _require_unrevoked(known: _Known, lists: list[RevocationList], now_s: float) -> None:
    if not lists:
        raise NotAuthenticated("crl_missing", presented=True)
    if any(known.serial in each.serials for each in lists):
        raise NotAuthenticated("certificate_revoked", presented=True)
    if all(each.next_update_s is not None and now_s >= each.next_update_s for each in lists):
        raise NotAuthenticated("crl_expired", presented=True)


def _signed(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _end_s(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()
