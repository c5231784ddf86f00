"""The command line as a user runs it, on one home."""

import json

from gateway.cli.main import main
from gateway.homes.home import Home


class Corral:
    """Runs commands on one home."""

    def __init__(self, path, capsys) -> None:
        self.home = Home(path)
        self._capsys = capsys

    def run(self, *words: str) -> tuple[int, str, str]:
        status = main([*words, "--home", str(self.home.path)])
        printed = self._capsys.readouterr()
        return status, printed.out, printed.err

    def json(self, *words: str):
        status, out, err = self.run(*words, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)
