"""Records as ArcSight Common Event Format, version 0: one line each.

Source: "Common Event Format, implementation standard" (Micro Focus). Rules:
 (1) In the header a backslash and a pipe are escaped by a backslash, and nothing ends the line.
 (2) In a value a backslash and an equals sign are escaped; what cannot be printed, line ends too, is written as a
     backslash escape before that. Keys are ours alone.
 (3) `rawEvent` is the record's exact line.
"""

from collections.abc import Iterator

from policies.auditing.exported import PRODUCT, Exported, printable

FORMAT_VERSION = "1"
"""Of this mapping: it changes when the meaning of a key does."""
SEVERITIES = {"I": 3, "W": 6, "E": 8}
_HEADER = str.maketrans({"\\": "\\\\", "|": "\\|"})
_VALUE = str.maketrans({"\\": "\\\\", "=": "\\="})


def line(exported: Exported) -> str:
    """The line of one record, with its newline."""
    code = exported.text("code") or "C0000"
    head = ("CEF:0", PRODUCT, PRODUCT, FORMAT_VERSION, code, exported.text("event") or "unknown")
    header = "|".join(printable(each).translate(_HEADER) for each in head)
    severity = SEVERITIES.get(exported.severity(), 5)
    extension = " ".join(f"{key}={_value(value)}" for key, value in _fields(exported))
    return f"{header}|{severity}|{extension}\n"


def _fields(exported: Exported) -> Iterator[tuple[str, object]]:
    """Keys of the dictionary and their values, those that the record says."""
    for key, value in (*_plain(exported), *_custom(exported), ("rawEvent", exported.line)):
        if value not in ("", None):
            yield key, value


def _plain(exported: Exported) -> Iterator[tuple[str, object]]:
    facts = exported.facts()
    yield "rt", facts.at_us // 1000
    yield "externalId", exported.place
    yield "deviceExternalId", exported.text("instance") or exported.chain
    yield "dvchost", exported.text("node")
    yield "cat", facts.stage
    yield "act", facts.outcome
    yield "outcome", {"": "", "allow": "success"}.get(facts.outcome, "failure")
    yield "reason", facts.reason
    yield "suser", exported.name()
    yield "suid", facts.actor
    address = exported.address()
    yield ("c6a2" if ":" in address else "src"), address
    yield "c6a2Label", "Source IPv6 Address" if ":" in address else ""
    yield "requestMethod", exported.text("action", "verb")
    yield "request", facts.route
    yield "in", exported.whole("result", "bytes_in")
    yield "out", exported.whole("result", "bytes_out")


def _custom(exported: Exported) -> Iterator[tuple[str, object]]:
    """The numbered fields, each behind its label."""
    facts = exported.facts()
    texts = (
        ("team", facts.team),
        ("keyId", facts.key),
        ("model", facts.model),
        ("requestId", facts.request),
        ("changed", exported.text("change", "object")),
        ("policyHash", exported.text("decision", "policy_hash")),
    )
    numbers = (("promptTokens", "prompt_tokens"), ("outputTokens", "output_tokens"), ("durationMs", "dur_ms"))
    for number, (label, value) in enumerate(texts, 1):
        if value:
            yield f"cs{number}Label", label
            yield f"cs{number}", value
    for number, (label, name) in enumerate(numbers, 1):
        if (count := exported.whole("result", name)) is not None:
            yield f"cn{number}Label", label
            yield f"cn{number}", count


def _value(value: object) -> str:
    return printable(str(value)).translate(_VALUE)
