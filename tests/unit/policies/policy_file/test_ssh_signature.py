"""Signatures of `ssh-keygen -Y sign`, real ones and forged ones."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.credentials.public_key import BLOB_HEAD
from policies.policy_file.ssh_signature import MAX_SIGNATURE_BYTES, find_signers, read_signer
from tests.ssh_people import NAMESPACE, Person, needs_ssh_keygen

pytestmark = needs_ssh_keygen

MESSAGE = b"teams: {default: {}}\n"
KINDS = {"ed25519": (), "ecdsa-256": ("-b", "256"), "ecdsa-384": ("-b", "384"), "ecdsa-521": ("-b", "521"), "rsa": ()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def anna(folder: Path) -> Person:
    return Person(folder, "anna")


@pytest.fixture(scope="module")
def ben(folder: Path) -> Person:
    return Person(folder, "ben@corp.example", "rsa", "-b", "2048")


def names(signatures: list[bytes], *people: Person, message: bytes = MESSAGE) -> tuple[str, ...]:
    return find_signers(message, signatures, [each.signer for each in people], NAMESPACE).names


def fault(signature: bytes, *people: Person, message: bytes = MESSAGE) -> str:
    found = find_signers(message, [signature], [each.signer for each in people], NAMESPACE)
    assert found.names == ()
    return found.unfit[0]


# ---- what holds


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_every_key_type_of_ssh_keygen_holds_and_only_for_its_bytes(tmp_path: Path, kind: str, digest: str):
    person = Person(tmp_path, "carla", kind.partition("-")[0], *KINDS[kind])
    signature = person.sign(MESSAGE, NAMESPACE, "-O", f"hashalg={digest}")
    assert names([signature], person) == ("carla",)
    assert fault(signature, person, message=MESSAGE + b" ") == "by carla: not over this content"


def test_two_people_are_two_and_one_twice_is_one(anna: Person, ben: Person):
    assert names([ben.sign(MESSAGE), anna.sign(MESSAGE)], anna, ben) == ("anna", "ben@corp.example")
    assert names([anna.sign(MESSAGE), anna.sign(MESSAGE, NAMESPACE, "-O", "hashalg=sha256")], anna, ben) == ("anna",)


def test_an_unfit_signature_does_not_spoil_the_others(anna: Person, ben: Person):
    found = find_signers(
        MESSAGE, [b"junk", ben.sign(b"else"), anna.sign(MESSAGE)], [anna.signer, ben.signer], NAMESPACE
    )
    assert found.names == ("anna",)
    assert found.unfit == ("not a signature of ssh-keygen -Y sign", "by ben@corp.example: not over this content")


def test_nobody_signs_nothing(anna: Person):
    assert names([], anna) == ()


# ---- what does not


def test_another_namespace_is_another_purpose(anna: Person):
    assert fault(anna.sign(MESSAGE, "git"), anna) == "made for another purpose: its namespace is not ours"


def test_a_stranger_who_takes_a_signers_name_is_a_stranger(tmp_path: Path, anna: Person):
    assert fault(Person(tmp_path, "anna").sign(MESSAGE), anna) == "made with a key that is no signer's"


class Blob:
    """An SSHSIG taken apart, changed, and put together again."""

    def __init__(self, armoured: bytes) -> None:
        data = base64.b64decode(b"".join(armoured.split(b"-----")[2].split()))
        self.head, self.fields = data[:10], split(data[10:])
        self.rest = b""

    def armoured(self) -> bytes:
        data = self.head + b"".join(map(string, self.fields)) + self.rest
        return armour(base64.b64encode(data))


def armour(text: bytes) -> bytes:
    return b"-----BEGIN SSH SIGNATURE-----\n" + text + b"\n-----END SSH SIGNATURE-----\n"


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def split(data: bytes) -> list[bytes]:
    found = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        found.append(data[4:end])
        data = data[end:]
    return found


UNREADABLE = "its form cannot be read"


def test_the_helper_changes_nothing_by_itself(anna: Person):
    assert names([Blob(anna.sign(MESSAGE)).armoured()], anna) == ("anna",)


def test_a_weak_hash_is_refused(anna: Person):
    blob = Blob(anna.sign(MESSAGE))
    blob.fields[3] = b"sha1"
    assert fault(blob.armoured(), anna) == "by anna: made with a hash that is neither sha256 nor sha512"


def test_the_other_hash_is_not_what_was_signed(anna: Person):
    blob = Blob(anna.sign(MESSAGE))
    blob.fields[3] = b"sha256"
    assert fault(blob.armoured(), anna) == "by anna: not over this content"


@pytest.mark.parametrize("head", [b"SSHSIG\0\0\0\2", b"SSHSIX\0\0\0\1"])
def test_another_version_is_refused(anna: Person, head: bytes):
    blob = Blob(anna.sign(MESSAGE))
    blob.head = head
    assert fault(blob.armoured(), anna) == "of a version that is not known"


def test_sha1_of_rsa_is_refused(ben: Person):
    blob = Blob(ben.sign(MESSAGE))
    _, value = split(blob.fields[4])
    blob.fields[4] = string(b"ssh-rsa") + string(value)
    assert "must be rsa-sha2-256 or rsa-sha2-512" in fault(blob.armoured(), ben)
    blob.fields[4] = string(b"rsa-sha2-256") + string(value)
    assert fault(blob.armoured(), ben) == "by ben@corp.example: not over this content"


def test_the_algorithm_is_the_keys_own(anna: Person):
    blob = Blob(anna.sign(MESSAGE))
    _, value = split(blob.fields[4])
    blob.fields[4] = string(b"ecdsa-sha2-nistp256") + string(value)
    assert fault(blob.armoured(), anna) == "by anna: made by another algorithm than its key's"


def test_what_is_left_over_is_refused(tmp_path: Path, anna: Person):
    blob = Blob(anna.sign(MESSAGE))
    blob.rest = b"x"
    assert fault(blob.armoured(), anna) == UNREADABLE
    blob = Blob(anna.sign(MESSAGE))
    blob.fields[4] += b"x"
    assert fault(blob.armoured(), anna) == UNREADABLE
    dora = Person(tmp_path, "dora", "ecdsa")
    blob = Blob(dora.sign(MESSAGE))
    algorithm, value = split(blob.fields[4])
    for wrong in (value + b"x", string(b"\x80") + string(b"\1"), string(b"") + string(b"\1"), b"\0\0\0\x09"):
        blob.fields[4] = string(algorithm) + string(wrong)
        assert fault(blob.armoured(), dora) == UNREADABLE


@pytest.mark.parametrize("text", [b"", b"A", b"AAAA=AAA", b"U1NI"])
def test_what_is_no_signature_is_refused(anna: Person, text: bytes):
    assert fault(armour(text), anna) in (UNREADABLE, "not a signature of ssh-keygen -Y sign")


def test_a_signature_beyond_the_bound_is_not_looked_at(anna: Person):
    assert fault(anna.sign(MESSAGE) + b" " * MAX_SIGNATURE_BYTES, anna) == "not a signature of ssh-keygen -Y sign"


@given(st.data())
def test_no_changed_byte_is_another_signature(anna: Person, data: st.DataObject):
    if not SIGNED:
        SIGNED.append(anna.sign(MESSAGE))
    whole = bytearray(base64.b64decode(b"".join(SIGNED[0].split(b"-----")[2].split())))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for wrong in (whole, whole[:cut], whole[:cut] + whole):
        assert names([armour(base64.b64encode(bytes(wrong)))], anna) == ()


SIGNED: list[bytes] = []


# ---- who may sign


def test_a_signer_is_a_line_of_a_pub_file(anna: Person):
    assert (anna.signer.name, anna.signer.key_type) == ("anna", "ssh-ed25519")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be a public key and a name"),
        ("ssh-ed25519 AAAA", "must be a public key and a name"),
        ("ssh-ed25519 AAAA anna more", "must be a public key and a name"),
        ("sk-ssh-ed25519@openssh.com AAAA anna", "is on a security key, which is not supported"),
        ("ssh-dss AAAA anna", "key type must be one of ssh-ed25519, "),
        ("ssh-ed25519 AAAA ../anna", "the name after the key must be"),
        ("ssh-ed25519 AAAA anna", "holds no ssh-ed25519 key that can be read"),
        ("ssh-ed25519 ä anna", "holds no ssh-ed25519 key that can be read"),
        ("ssh-ed25519 A anna", "holds no ssh-ed25519 key that can be read"),
    ],
)
def test_what_is_no_signer_is_said(text: str, says: str):
    with pytest.raises(ValueError, match=says):
        read_signer(text)


def test_a_key_of_another_type_than_it_says_is_refused(anna: Person):
    with pytest.raises(ValueError, match="holds no ssh-rsa key"):
        read_signer(anna.public.replace("ssh-ed25519", "ssh-rsa"))


def test_a_key_that_anybody_can_sign_for_is_no_signers():
    neutral = base64.b64encode(BLOB_HEAD + b"\x01" + bytes(31)).decode()
    with pytest.raises(ValueError, match="anybody can sign"):
        read_signer(f"ssh-ed25519 {neutral} mallory")


def test_a_short_rsa_key_is_refused(tmp_path: Path):
    person = Person(tmp_path, "erik", "rsa", "-b", "1024")
    with pytest.raises(ValueError, match="an RSA key of 1024 bits: at least 2048 are needed"):
        read_signer(person.public)


@pytest.mark.parametrize("filler", [b"\n", b"A", b"A\n", b" A"])
def test_blanks_without_an_end_cost_no_time(anna: Person, filler: bytes):
    """A file that anybody may lay beside the policy: with two repetitions to share the blanks, hours."""
    text = b"-----BEGIN SSH SIGNATURE-----\n" + filler * ((MAX_SIGNATURE_BYTES - 40) // len(filler))
    assert fault(text, anna) == "not a signature of ssh-keygen -Y sign"
