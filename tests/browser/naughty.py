"""The Big List of Naughty Strings, for fields and records; and what would show that one was taken for markup."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from gateway.cli.output import CommandFault
from tests.browser.console_house import ConsoleHouse
from tests.browser.watched import STATUS_TOLD, Watched

FILE = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "strings" / "blns.json"
SIGNS = ("<", ">", "javascript:", "onerror", "{{", "{%", "${", "&#", "\\x", "%n", "`", "\u202e", "\u2066", "\ufeff")
"""What makes a string one that could be run, filled in or shown backwards."""
GREW = """
() => document.querySelectorAll(
  "main script, main iframe, main object, main embed, main video, main audio, main marquee, main math, main style, " +
  "main link, main meta, main base, main img, main [onerror], main [onload], main [onmouseover], main [onclick], " +
  "main [style*=expression], main a[href^='javascript' i], main a[href^='data' i], main a[href^='vbscript' i]"
).length
"""
"""How many elements there are that no page of the console has of itself."""
FILL = """
([index, text]) => {
  const form = document.forms[index];
  form.noValidate = true;
  const open = "input[type=text], input[type=search], input[type=number], input:not([type]), textarea";
  const fields = [...form.elements].filter((field) => field.matches(open));
  for (const field of fields) {
    field.removeAttribute("maxlength");
    field.type === "number" && (field.type = "text");
    field.value = text;
  }
  return fields.map((field) => field.name);
}
"""


def all_strings() -> list[str]:
    """The 515."""
    return list(json.loads(FILE.read_text(encoding="utf-8")))


def live_strings() -> list[str]:
    """Those of them that a careless page would run, fill in or turn round."""
    return [text for text in all_strings() if any(sign in text for sign in SIGNS)]


def joined(strings: list[str], most: int) -> list[str]:
    """The strings behind one another with a space between, in texts of at most `most` characters (or one string)."""
    texts = [""]
    for each in strings:
        texts[-1:] = [f"{texts[-1]} {each}"] if len(texts[-1]) + len(each) < most else [texts[-1], each]
    return [text.strip(" ") for text in texts if text.strip(" ")]


def forms_of(page: Page) -> dict[int, str]:
    """The forms with a field that takes any text, by their place on the page: where each is sent to."""
    found = {}
    for index in range(page.evaluate("() => document.forms.length")):
        fields = page.evaluate(FILL, [index, ""])
        if fields:
            found[index] = page.evaluate("(index) => document.forms[index].getAttribute('action') ?? ''", index)
    return found


def submit(page: Page, index: int, text: str) -> None:
    """Fill `text` into every such field of the form at `index`, and send it past what the browser would check."""
    page.evaluate(FILL, [index, text])
    with page.expect_navigation():
        page.evaluate("(index) => document.forms[index].requestSubmit()", index)


def look(watch: Watched, page: Page) -> None:
    """Fails when the page holds what is not its own, or the browser told of anything but a refused form."""
    assert page.evaluate(GREW) == 0, page.url
    assert [each for each in watch.faults if STATUS_TOLD not in each] == []
    watch.faults.clear()


def through_fields(watch: Watched, page: Page, addresses: Iterable[str], texts: list[str]) -> dict[str, int]:
    """Every text through every field of the forms at `addresses`; how many forms there were, and how often they were
    sent. The chat's form is left out: its answers are written by a script.
    """
    done: set[str] = set()
    sent = 0
    for address in addresses:
        page.goto(address)
        look(watch, page)
        for index, action in forms_of(page).items():
            if _kind(action) in done or action == "/chat":
                continue
            done.add(_kind(action))
            for text in texts:
                page.goto(address)
                submit(page, index, text)
                look(watch, page)
                sent += 1
    return {"forms": len(done), "sent": sent}


def _kind(action: str) -> str:
    """The address without the id of a key at its end."""
    return action.rpartition("/")[0] if action.startswith("/keys/") and action != "/keys/new" else action


def into_records(house: ConsoleHouse, team: str, strings: list[str]) -> dict[str, Any]:
    """Each string as owner, purpose, reason and ticket of a key; the keys' `ids`, and how many were `refused`."""
    ids, refused = [], 0
    for text in strings:
        try:
            ids.append(house.new_key(team, owner=text, purpose=text, reason=text, ticket=text)["id"])
        except CommandFault:
            refused += 1
    return {"ids": ids, "refused": refused}


def as_models(house: ConsoleHouse, key: str, strings: Sequence[str]) -> Counter[int]:
    """Each string as the model that a caller asks for, and as their User-Agent so far as a header may hold it; the
    answers by status.
    """
    printable = ["".join(char for char in text if " " <= char <= "~") for text in strings]
    return Counter(house.chat(key, text, agent=agent).status for text, agent in zip(strings, printable, strict=True))


def shown_at(team: str, ids: Iterable[str]) -> list[str]:
    """Where the console shows what such records say."""
    lists = [
        f"/keys?team={team}",
        f"/teams/{team}",
        "/audit?event=key.created&since=1h",
        "/audit?ask=changes",
        "/models",
    ]
    lists += ["/audit?event=request.denied&since=1h", "/audit?event=request.rejected&since=1h", "/"]
    return [*lists, *(page for key_id in ids for page in (f"/keys/{key_id}", f"/audit/key/{key_id}"))]
