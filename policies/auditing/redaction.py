"""Masks what in a text names a person or opens a door, before the text is kept.

It is a net with a mesh, not a proof: a name, an address of a house, a diagnosis pass through it. Who may not have
those kept uses `hmac`. Rules, in this order, so that the widest thing is named:

 (1) keys: ours, and whatever looks like one (`sk-...`, `ghp_...`, `AKIA...`, a JWT, a PEM private key)       [key]
 (2) e-mail addresses                                                                                       [email]
 (3) IBANs whose check digits are right (ISO 13616, mod 97), with or without blanks                          [iban]
 (4) card numbers: 13 to 19 digits whose Luhn sum is right (ISO/IEC 7812), with blanks or hyphens            [card]
 (5) telephone numbers: a plus or a zero and 7 to 15 digits (E.164), in the usual groups                    [phone]
 (6) any other run of 6 or more digits, in groups too: accounts, insurance numbers, dates of birth         [number]

Every digit of Unicode counts as one: a number in Arabic-Indic or full-width digits is masked as well.
"""

import re

from policies.credentials.api_key import mask_api_keys

KEYS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"
    r"|\b(?:sk|pk|rk|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs]|hf|npm|pypi|AKIA|ASIA|AIza|corral)[-_A-Za-z0-9]{12,}",
    re.DOTALL,
)
_MAIL = r"[^\s@<>\"'(),;:\[\]]"
EMAIL = re.compile(rf"(?<!{_MAIL}){_MAIL}+@{_MAIL}+")
"""Looked for from where a word begins only, so that a long text without an address takes no longer than its length."""
IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}\b", re.IGNORECASE)
CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]?\d)")
PHONE = re.compile(r"(?<![\w+])(?:\+|00|\(?0)\(?\d(?:[ ./()-]{0,2}\d){5,14}(?!\d)")
NUMBER = re.compile(r"\d(?:[ .\-/]?\d){5,}")
MIN_IBAN, MAX_IBAN = 15, 34


def redacted(text: str) -> str:
    """`text` with everything that the rules know masked."""
    text = KEYS.sub("[key]", mask_api_keys(text))
    text = EMAIL.sub("[email]", text)
    text = IBAN.sub(_iban, text)
    text = CARD.sub(_card, text)
    text = PHONE.sub("[phone]", text)
    return NUMBER.sub("[number]", text)


def _iban(found: re.Match[str]) -> str:
    """The longest beginning that is an IBAN is masked: the words behind it may look like more of it."""
    text = found[0]
    for end in range(len(text), MIN_IBAN - 1, -1):
        if text[end - 1].isalnum() and _is_iban(re.sub(r"[ -]", "", text[:end])):
            return "[iban]" + text[end:]
    return text


def _is_iban(code: str) -> bool:
    if not (MIN_IBAN <= len(code) <= MAX_IBAN and code.isascii()):
        return False
    digits = "".join(str(int(sign, 36)) for sign in code[4:] + code[:4])
    return int(digits) % 97 == 1


def _card(found: re.Match[str]) -> str:
    digits = [int(sign) for sign in found[0] if sign.isdigit()]
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return "[card]" if sum(doubled) % 10 == 0 else found[0]
