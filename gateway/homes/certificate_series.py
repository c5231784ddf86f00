"""The next of the server certificates that `corral init` made in advance, put in place while the last one still holds.

The home's authority forgot its key when it had signed, so that nobody can sign another; and the guidelines bear
certificates of 90 days only. So it signed a row of them, each for 90 days, which lie in `later.pem` beside the one
in force. One is due when its time has begun, which is 39 days before the one in force ends; it is for the same key,
from the same authority. A certificate that an operator put in place has another key or issuer: then none is due.
"""

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.homes.private_file import sync_directory, write_private

LATER = "later.pem"


def due_certificate(
    current: x509.Certificate, later: Iterable[x509.Certificate], now: datetime
) -> x509.Certificate | None:
    """The one of `later` that shall replace `current` at `now` (aware), None when none shall."""
    fitting = (
        each
        for each in later
        if each.issuer == current.issuer
        and each.public_key() == current.public_key()
        and current.not_valid_before_utc < each.not_valid_before_utc <= now
    )
    return max(fitting, key=lambda each: each.not_valid_before_utc, default=None)


def put_due_in_place(certificate: Path, now: datetime) -> bool:
    """Whether the file `certificate` was replaced by the next of its series. Raises OSError and ValueError."""
    series = certificate.with_name(LATER)
    if not (series.is_file() and certificate.is_file()):
        return False
    (current, *_) = x509.load_pem_x509_certificates(certificate.read_bytes())
    due = due_certificate(current, x509.load_pem_x509_certificates(series.read_bytes()), now)
    if due is None:
        return False
    fresh = certificate.with_name(f".{certificate.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    write_private(fresh, due.public_bytes(Encoding.PEM), mode=0o644)
    fresh.replace(certificate)
    sync_directory(certificate.parent)
    return True
