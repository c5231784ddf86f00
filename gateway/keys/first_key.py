"""The first key, where no terminal could show it: a file beside the home's other secrets, until it is used."""

from gateway.homes.home import Home
from gateway.homes.private_file import write_private
from policies.credentials.api_key import read_api_key


def leave_first_key(home: Home, text: str) -> None:
    """Write the key, and nothing else, to a new file of mode 0600."""
    write_private(home.first_key, text.encode("ascii"), mode=0o600)


def forget_first_key(home: Home, key_id: str) -> bool:
    """Delete the file with the first key if it holds the one called `key_id`; True when it did.

    Made to be called at every accepted request: without the file it costs one failed open. A file that
    holds no key is left alone. Raises OSError when the file cannot be read or deleted.
    """
    try:
        text = home.first_key.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return False
    try:
        key = read_api_key(text.strip())
    except ValueError:
        return False
    if key.id != key_id:
        return False
    home.first_key.unlink(missing_ok=True)
    return True
