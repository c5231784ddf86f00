"""Whether the gateway takes requests yet."""

import http.client
import ssl
from urllib.parse import urlsplit

TIMEOUT_S = 2.0


def is_ready(url: str, ca_file: str) -> bool:
    """Whether the gateway at `url` says so; it is trusted by `ca_file` alone and never asked through a proxy."""
    connection = _connection(url, ca_file)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connection(url: str, ca_file: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http":  # config.yaml says unsafe_no_tls
        return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    context = ssl.create_default_context(cafile=ca_file)
    return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=context)
