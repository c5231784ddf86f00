from policies.tokens.issuer_preset import ACCESS_TYPES, PRESETS


def test_only_products_may_send_the_type_of_id_tokens() -> None:
    assert PRESETS["none"].typ == ACCESS_TYPES
    assert all("jwt" in preset.typ for name, preset in PRESETS.items() if name != "none")


def test_types_are_in_lower_case_as_they_are_compared() -> None:
    assert all(typ == typ.lower() for preset in PRESETS.values() for typ in preset.typ)
