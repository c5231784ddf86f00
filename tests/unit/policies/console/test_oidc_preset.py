"""What the presets say, held against what the products send."""

from typing import get_args

import pytest

from policies.console.oidc_preset import OIDC_PRESETS, OidcPresetName


def test_every_name_has_a_preset() -> None:
    assert set(OIDC_PRESETS) == set(get_args(OidcPresetName))


@pytest.mark.parametrize("name", get_args(OidcPresetName))
def test_every_preset_asks_for_an_id_token(name: OidcPresetName) -> None:
    assert OIDC_PRESETS[name].scopes[0] == "openid"


def test_who_a_person_is_never_follows_from_what_they_may_change() -> None:
    changeable = {"email", "preferred_username", "upn", "name", "unique_name"}
    assert not changeable & {preset.subject_claim for preset in OIDC_PRESETS.values()}
