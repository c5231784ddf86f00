"""What one `corral serve` runs on."""

from pathlib import Path

from msgspec import Struct

from gateway.configuration.settings import Config
from gateway.homes.home import Home


class Site(Struct, frozen=True, kw_only=True):
    """The home, and the two files that were checked."""

    home: Home
    config_file: Path
    policy_file: Path
    config: Config
