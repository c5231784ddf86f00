"""axe-core on a page: the vendored engine, by the rules of WCAG 2.2 A and AA and axe's own good practice."""

import hashlib
import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parents[1] / "vendored" / "axe-core"
ENGINE = FOLDER / "axe.min.js"
GRAVE = ("serious", "critical")


def vendored_sha256() -> dict[str, str]:
    """By file name, the hash that was written down when it was taken."""
    return dict(json.loads((FOLDER / "VENDORED.json").read_text())["sha256"])


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def findings(page: Page, *rules: str) -> list[str]:
    """One line for each grave finding on the page as it stands; of `rules` alone, or of all.

    The context must have been given ENGINE as an init script: the pages' own policy lets nobody add a script.
    """
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    told = page.evaluate("(options) => axe.run(document, options)", options)
    return [line for found in told["violations"] if found["impact"] in GRAVE for line in _lines(found)]


def _lines(found: dict[str, Any]) -> list[str]:
    return [f"{found['id']} ({found['impact']}): {node['html'][:200]}" for node in found["nodes"]]
