"""A home in which two persons must agree, and the people who sign, with the real ssh-keygen."""

import json
from pathlib import Path

from policies.approval.two_persons import NAMESPACE
from tests.ssh_people import Person
from tests.unit.gateway.cli.command_line import Corral


def name_signers(home: Path, *people: Person, required: int = 1) -> None:
    """Have config.yaml name these signers, in the place of any before."""
    config = home / "config.yaml"
    kept = config.read_text().partition("\npolicy:\n")[0]
    keys = "".join(f'      - "{person.public.strip()}"\n' for person in people)
    config.write_text(f"{kept}\npolicy:\n  signers:\n    required: {required}\n    keys:\n{keys}")


class SigningHome:
    """Commands on a home with the signers anna and ben; carla is none."""

    def __init__(self, corral: Corral, folder: Path) -> None:
        folder.mkdir()
        self.corral = corral
        self.folder = folder
        self.anna, self.ben, self.carla = (Person(folder, name) for name in ("anna", "ben", "carla"))
        name_signers(corral.home.path, self.anna, self.ben)

    def ask(self, *words: str) -> dict:
        """Give a command that needs two persons; its request."""
        status, out, err = self.corral.run(*words, "--json")
        assert (status, "asked, not done" in err) == (1, True), (status, out, err)
        return json.loads(out)["asked"]

    def approve(self, request: str, person: Person, text: str | None = None) -> tuple[int, str, str]:
        """Sign the exact text that `corral approve ID` shows, and hand the signature in."""
        shown = self.corral.run("approve", request)[1] if text is None else text
        path = self.folder / f"{request}.{person.key.name}.sig"
        path.write_bytes(person.sign(shown.encode(), NAMESPACE))
        return self.corral.run("approve", request, "--signature", str(path))

    def approved(self, *words: str) -> str:
        """Ask, and have both sign; the request's id."""
        request = self.ask(*words)["id"]
        for person in (self.anna, self.ben):
            status, _, err = self.approve(request, person)
            assert (status, err) == (0, "")
        return request

    def records(self, event: str) -> list[dict]:
        """The stored records of an event, oldest first, as they stand in the log."""
        return [each for each in self.lines() if each["event"] == event]

    def lines(self) -> list[dict]:
        """Every stored record of the home."""
        found = []
        for path in sorted(self.corral.home.audit.glob("*/*.jsonl")):
            found += [json.loads(line) for line in path.read_bytes().splitlines()]
        return found
