"""A sealed share opens for its recipient in its context and for nobody else."""

import pytest

from mpc.errors import DecryptionFailed, InvalidPoint
from mpc.sealing import OVERHEAD, hkdf_sha256, is_usable, public_key, seal, unseal
from tests.mpc.vectors import load

PRIVATE, EPHEMERAL = bytes(range(32)), bytes(range(32, 64))
CONTEXT = b"ssid, dealer 1, recipient 2"

# RFC 5869, Appendix A: input key, salt, info, size, output.
RFC5869 = [
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        "0b" * 22,
        "",
        "",
        42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


def _hkdf_vectors() -> list[tuple[str, str, str, int, str]]:
    vectors = list(RFC5869)
    for document in load("wycheproof/hkdf_sha256_test.json"):
        for test in (test for group in document["testGroups"] for test in group["tests"]):
            if test["result"] == "valid":
                vectors.append((test["ikm"], test["salt"], test["info"], test["size"], test["okm"]))
    return vectors


def test_hkdf_gives_the_published_outputs() -> None:
    for secret, salt, info, size, expected in _hkdf_vectors():
        output = hkdf_sha256(bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), size)
        assert output.hex() == expected


def test_it_opens_for_its_recipient() -> None:
    sealed = seal(b"share", public_key(PRIVATE), CONTEXT, EPHEMERAL)
    assert len(sealed) == len(b"share") + OVERHEAD
    assert b"share" not in sealed
    assert unseal(sealed, PRIVATE, CONTEXT) == b"share"


def test_4_another_recipient_cannot_open_it() -> None:
    sealed = seal(b"share", public_key(PRIVATE), CONTEXT, EPHEMERAL)
    with pytest.raises(DecryptionFailed):
        unseal(sealed, EPHEMERAL, CONTEXT)


def test_7_it_does_not_open_in_another_context() -> None:
    sealed = seal(b"share", public_key(PRIVATE), CONTEXT, EPHEMERAL)
    with pytest.raises(DecryptionFailed):
        unseal(sealed, PRIVATE, b"another session")


def test_5_every_altered_truncated_or_extended_form_is_refused() -> None:
    sealed = seal(b"share", public_key(PRIVATE), CONTEXT, EPHEMERAL)
    for at in range(len(sealed)):
        # The top bit of an X25519 key is ignored by the exchange (RFC 7748, 5); the key derivation still sees
        # it.
        for bit in (0x01, 0x80):
            altered = sealed[:at] + bytes([sealed[at] ^ bit]) + sealed[at + 1 :]
            with pytest.raises(DecryptionFailed):
                unseal(altered, PRIVATE, CONTEXT)
        with pytest.raises(DecryptionFailed):
            unseal(sealed[:at], PRIVATE, CONTEXT)
    with pytest.raises(DecryptionFailed):
        unseal(sealed + b"\x00", PRIVATE, CONTEXT)


def test_every_message_has_a_key_of_its_own() -> None:
    one = seal(b"share", public_key(PRIVATE), CONTEXT, EPHEMERAL)
    other = seal(b"share", public_key(PRIVATE), CONTEXT, bytes(range(64, 96)))
    assert one[32:] != other[32:]


@pytest.mark.parametrize(
    "key",
    [
        "00" * 32,
        "01" + "00" * 31,
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ],
)
def test_keys_of_small_order_are_refused_on_both_sides(key: str) -> None:
    recipient = bytes.fromhex(key)
    assert not is_usable(recipient)
    assert is_usable(public_key(PRIVATE))
    with pytest.raises(InvalidPoint):
        seal(b"share", recipient, CONTEXT, EPHEMERAL)
    with pytest.raises(DecryptionFailed):
        unseal(recipient + bytes(32), PRIVATE, CONTEXT)
