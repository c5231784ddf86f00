"""Where state lives: `$CORRAL_HOME`, by default `.corral` in the working directory.

Only `corral init` makes a home; every other command opens one or says that there is none.
"""

from dataclasses import dataclass
from pathlib import Path


class NoHome(Exception):
    """There is no home here, or none for this user; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one home. None of them is opened or made here."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def policy(self) -> Path:
        return self.path / "policy.yaml"

    @property
    def tls(self) -> Path:
        return self.path / "tls"

    @property
    def ca_certificate(self) -> Path:
        return self.tls / "ca.pem"

    @property
    def models(self) -> Path:
        return self.path / "models"

    @property
    def audit(self) -> Path:
        return self.path / "audit"

    @property
    def keys(self) -> Path:
        return self.path / "keys.db"

    @property
    def limits(self) -> Path:
        """What budgets of days and months have been used."""
        return self.path / "limits.db"

    @property
    def pepper(self) -> Path:
        """The secret that keys are hashed with; outside the key store on purpose."""
        return self.path / "pepper"

    @property
    def persons(self) -> Path:
        """The keys of what the audit log says of persons."""
        return self.path / "persons.db"

    @property
    def persons_key(self) -> Path:
        """The secret without which `persons` opens nothing."""
        return self.path / "persons.key"

    @property
    def content(self) -> Path:
        """Where prompts and answers lie, enciphered, of teams whose policy keeps them."""
        return self.audit / "content"

    @property
    def content_keys(self) -> Path:
        """The keys of what lies in `content`."""
        return self.path / "content.db"

    @property
    def content_key(self) -> Path:
        """The secret of what is kept of prompts and answers."""
        return self.path / "content.key"

    @property
    def first_key(self) -> Path:
        """Where `corral init` left the first key when it had no terminal; deleted at its first use."""
        return self.path / "first-key"

    @property
    def run(self) -> Path:
        """Sockets and pid files of the running processes; 0700, safe to delete when stopped."""
        return self.path / "run"

    @property
    def admin_socket(self) -> Path:
        return self.run / "admin.sock"

    @property
    def lock(self) -> Path:
        """Held by the running gateway, or by a command that changes state while none runs."""
        return self.path / "lock"


def open_home(path: Path) -> Home:
    """The home at `path`. Raises NoHome when `corral init` has not made it, or made it for another user."""
    home = Home(path.resolve())
    try:
        made = home.config.is_file()
    except PermissionError:
        raise NoHome(f"{home.path} is closed to this user: run the command as the home's owner") from None
    if not made:
        raise NoHome(f"no Corral home at {home.path}: run 'corral init' there, or set CORRAL_HOME")
    return home
