"""What a refused form shows again."""

from gateway.console.keys.form_fields import ids_only, kept, why
from policies.credentials.api_key import mint
from tests.flow.gates import deterministic_bytes


def test_the_reason_and_the_ticket():
    assert why({"reason": "left", "ticket": "T-1", "team": "lab"}) == {"reason": "left", "ticket": "T-1"}
    assert why({}) == {"reason": "", "ticket": ""}


def test_what_was_typed_is_kept_but_for_secrets():
    key = mint(deterministic_bytes())
    shown = kept({"purpose": f"for {key.text}", "team": "lab", "csrf": "c", "form_id": "f"})
    assert shown == {"purpose": "for corral_[masked]", "team": "lab"}


def test_a_whole_key_in_an_address_becomes_its_id():
    one, two = mint(deterministic_bytes()), mint(lambda count: b"x" * count)
    asked = {"q": f"{one.text} or{two.text}", "team": "lab"}
    assert ids_only(asked) == {"q": f"{one.id} or{two.id}", "team": "lab"}
    assert ids_only({"q": "corral_x"}) == {"q": "corral_x"}
