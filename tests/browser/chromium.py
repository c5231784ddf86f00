"""A real Chromium: Debian's, driven by Playwright, that can reach this machine alone and trusts one server's key."""

import base64
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, expect, sync_playwright

QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter,AutofillServerCommunication",
    # No name server is ever asked: whatever is not this machine is not found.
    "--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
PATIENCE_MS = 60_000
"""For one step of a page; far beyond what any takes, so that a stalled machine fails nothing."""
expect.set_options(timeout=PATIENCE_MS)  # it does not go by the context's


@contextmanager
def chromium(*certificates: Path) -> Iterator[Browser]:
    """A browser that takes TLS certificates of the keys in `certificates` (PEM) and of no other unknown key."""
    program = shutil.which("chromium")
    if program is None:
        raise FileNotFoundError("chromium: apt-get install chromium")
    trusted = f"--ignore-certificate-errors-spki-list={','.join(map(_key_hash, certificates))}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*QUIET, trusted], timeout=2 * PATIENCE_MS)
        try:
            yield browser
        finally:
            browser.close()


def _key_hash(certificate: Path) -> str:
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()
