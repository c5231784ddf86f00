"""Host names as certificates carry them: lower-case letters, digits and hyphens (RFC 1123 section 2.1)."""

import re

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def read_host_name(text: str) -> str:
    """The name in lower case, without a final dot. Raises ValueError with a sentence for an operator."""
    name = text.lower().removesuffix(".")
    if len(name) > 253 or not _HOST_NAME.fullmatch(name):
        raise ValueError(f"{text!r} is neither an IP address nor a host name of letters, digits, '-' and '.'")
    return name
