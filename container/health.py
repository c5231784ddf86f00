"""Whether the gateway in this container takes requests: exit status 0 when it does. Run by the image's HEALTHCHECK."""

import http.client
import os
import ssl
import sys
from pathlib import Path

PORT = 8443
TIMEOUT_S = 3.0


def main() -> int:
    """Ask the public listener as a client would, trusting the home's own authority alone."""
    try:
        context = ssl.create_default_context(cafile=Path(os.environ["CORRAL_HOME"]) / "tls" / "ca.pem")
        connection = http.client.HTTPSConnection("localhost", PORT, timeout=TIMEOUT_S, context=context)
        connection.request("GET", "/health/ready")
        return 0 if connection.getresponse().status == http.client.OK else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
