"""Which key exchange groups a handshake may use: Mozilla's guidelines 6.0, set in the only way there is.

Python's `ssl` can name one group or leave OpenSSL's own list, which holds X448 and P-521. A list can only be set by
the OpenSSL configuration file that OPENSSL_CONF names before anything uses `ssl`. OpenSSL passes in silence over a
file that is not there and over a list with a name it does not know: so what is in force is tried, not believed.
"""

import ssl
from pathlib import Path

FOLDER = Path(__file__).parent
HYBRID_SINCE = (3, 5)
OUTSIDE = "secp521r1"
"""In OpenSSL's own list of every version since 1.1.1, in none of the guidelines' lists."""


def openssl_config(version: tuple[int, ...] = ssl.OPENSSL_VERSION_INFO) -> Path:
    """The configuration file for a process whose OpenSSL has `version`."""
    return FOLDER / ("openssl-hybrid.cnf" if version[:2] >= HYBRID_SINCE else "openssl-classic.cnf")


def takes_only_ours(server: ssl.SSLContext) -> bool:
    """Whether `server`, its certificate loaded, refuses a client that offers no group but one outside the list."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_ecdh_curve(OUTSIDE)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    _step(client.wrap_bio(to_client, to_server))
    return not _step(server.wrap_bio(to_server, to_client, server_side=True))


def _step(side: ssl.SSLObject) -> bool:
    """Go on with a handshake; False when it failed, True when it waits for the other side."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return True
    except ssl.SSLError:
        return False
    return True
