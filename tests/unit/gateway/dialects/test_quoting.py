from gateway.dialects.quoting import QUOTED_CHARS, quoted


def test_plain_words_stay() -> None:
    assert quoted("smollm2:135m and more") == "smollm2:135m and more"


def test_no_control_characters() -> None:
    assert quoted("a\r\nb\x1b[31mc\u2028d\u202ee\x00") == "ab[31mcde"


def test_short() -> None:
    assert len(quoted("x" * 10_000)) == QUOTED_CHARS
    assert quoted("\x00" * 10_000) == ""
