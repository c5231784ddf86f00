"""Witnesses and anchors in config.yaml: each fault names its place."""

from typing import Any

import pytest

from gateway.configuration.anchor_checks import anchor_misfits
from gateway.configuration.settings import AnchorSettings, AuditSettings, WitnessSettings
from policies.auditing.cosignature import CosignatureVerifier

VKEY = CosignatureVerifier("w1", bytes(32)).vkey
FILE = AnchorSettings(file="/volume/kept")


def faults(**settings: Any) -> list[str]:
    found = anchor_misfits(AuditSettings(**settings))
    return [f"{'.'.join(map(str, each.path))} {each.text}" for each in found]


def test_what_is_sound_has_no_fault() -> None:
    witness = WitnessSettings(url="https://w.example:8446", vkey=VKEY, ca_file="ca.pem")
    anchors = (
        FILE,
        AnchorSettings(syslog="logs.example:6514", ca_file="ca.pem"),
        AnchorSettings(syslog="[::1]:6514"),
        AnchorSettings(http="http://127.0.0.1:9/notes", api_key_file="key"),
    )
    assert faults(witnesses=(witness,), anchors=anchors, anchor_max_age_s=60.0) == []
    assert faults() == []


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"count_every_s": 0.5}, "audit.count_every_s"),
        ({"witnesses": (WitnessSettings(url="ftp://w", vkey=VKEY),)}, "audit.witnesses.0.url"),
        ({"witnesses": (WitnessSettings(url="http://w.example", vkey=VKEY),)}, "audit.witnesses.0.url"),
        ({"witnesses": (WitnessSettings(url="https://u:p@w.example", vkey=VKEY),)}, "audit.witnesses.0.url"),
        ({"witnesses": (WitnessSettings(url="https://w.example:99999", vkey=VKEY),)}, "audit.witnesses.0.url"),
        ({"witnesses": (WitnessSettings(url="https://w.example", vkey="w1+0+AA=="),)}, "audit.witnesses.0.vkey"),
        ({"anchors": (AnchorSettings(),)}, "audit.anchors.0"),
        ({"anchors": (FILE, AnchorSettings(file="/a", http="https://h"))}, "audit.anchors.1"),
        ({"anchors": (AnchorSettings(http="nowhere"),)}, "audit.anchors.0.http"),
        ({"anchors": (AnchorSettings(syslog="logs.example"),)}, "audit.anchors.0.syslog"),
        ({"anchors": (AnchorSettings(syslog="logs.example:x"),)}, "audit.anchors.0.syslog"),
        ({"anchors": (AnchorSettings(syslog="u@logs.example:1"),)}, "audit.anchors.0.syslog"),
        ({"anchors": (AnchorSettings(file="/a", api_key_file="k"),)}, "audit.anchors.0.api_key_file"),
        ({"anchors": (AnchorSettings(file="/a", ca_file="c"),)}, "audit.anchors.0.ca_file"),
        ({"anchors": (FILE,), "anchor_max_age_s": 5.0}, "audit.anchor_max_age_s"),
        ({"anchor_max_age_s": 60.0}, "audit.anchor_max_age_s"),
    ],
)
def test_each_fault_names_its_place(settings: dict[str, Any], place: str) -> None:
    (fault,) = faults(**settings)
    assert fault.startswith(f"{place} ")
