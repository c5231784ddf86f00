"""Values of config.yaml that hold themselves together: who must sign the policy."""

from pathlib import Path

import pytest

from gateway.configuration.config import ConfigFaults, parse_config
from gateway.configuration.settings import PolicySettings, SignerSettings

KEYS = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFimmLndxwwSPHr6TaQ+Zq6tKMYn0T0Uhn3Kr4jPHd5m",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPTCWJu9p+GcSeokhAcAnMXwS6eqVlMrEC8YwIh9YDRK",
)
ANNA, BEN = f"{KEYS[0]} anna", f"{KEYS[1]} ben"


def test_nobody_has_to_sign_unless_somebody_says_so():
    assert PolicySettings().signers is None


def test_signers_are_read_in_their_order():
    assert [each.name for each in SignerSettings(required=2, keys=(BEN, ANNA)).read()] == ["ben", "anna"]


@pytest.mark.parametrize(
    ("required", "keys", "says"),
    [
        (0, (ANNA,), "required must be 1 to 1, the number of keys"),
        (3, (ANNA, BEN), "required must be 1 to 2, the number of keys"),
        (1, (), "required must be 1 to 0, the number of keys"),
        (1, (ANNA, f"{KEYS[1]} anna"), "two of the keys have the same name: the names must differ"),
        (1, (ANNA, f"{KEYS[0]} ben"), "two of the keys have the same key: the keys must differ"),
        (1, (ANNA, "nonsense"), "key 2 must be a public key and a name"),
    ],
)
def test_signers_that_do_not_fit_are_said(required: int, keys: tuple[str, ...], says: str):
    with pytest.raises(ValueError, match=says):
        SignerSettings(required=required, keys=keys)


def test_the_file_says_it_with_its_line():
    text = f"policy:\n  signers:\n    required: 2\n    keys:\n      - {ANNA}\n"
    with pytest.raises(ConfigFaults, match=r"config\.yaml:2: policy\.signers: required must be 1 to 1"):
        parse_config(text.encode(), Path("config.yaml"))
    signers = parse_config(text.replace("2", "1", 1).encode(), Path("config.yaml")).policy.signers
    assert signers is not None
    assert signers.required == 1
