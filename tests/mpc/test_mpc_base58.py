"""Base58Check and HASH160 agree with published values and with independent code."""

import hashlib

import pytest
from embit import base58 as independent
from hypothesis import given
from hypothesis import strategies as st

from mpc import hash160 as module
from mpc.base58 import b58decode, b58decode_check, b58encode, b58encode_check
from mpc.errors import EncodingError
from mpc.hash160 import hash160, ripemd160


@given(st.binary(max_size=80))
def test_base58_round_trips_as_in_an_independent_library(data: bytes) -> None:
    assert b58encode(data) == independent.encode(data)
    assert b58decode(b58encode(data)) == data
    assert b58decode_check(b58encode_check(data)) == data


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "1 ", "é"])
def test_characters_outside_the_alphabet_are_refused(text: str) -> None:
    with pytest.raises(EncodingError, match="alphabet"):
        b58decode(text)


def test_a_wrong_checksum_and_a_missing_one_are_refused() -> None:
    good = b58encode_check(b"payload")
    for text in (good[:-1] + ("1" if good[-1] != "1" else "2"), "", "1", b58encode(b"abc")):
        with pytest.raises(EncodingError, match="checksum"):
            b58decode_check(text)


def test_14_long_text_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(EncodingError, match="longer"):
        b58decode("2" * 1_000_000)


@pytest.mark.parametrize(
    ("message", "digest"),
    # Dobbertin, Bosselaers, Preneel: "RIPEMD-160", Appendix B.
    [
        (b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        (b"a", "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe"),
        (b"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        (b"message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
        (b"1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
    ],
)
def test_ripemd160_known_answers(message: bytes, digest: str) -> None:
    assert ripemd160(message).hex() == digest


def test_hash160_is_the_same_where_openssl_lacks_ripemd160(monkeypatch: pytest.MonkeyPatch) -> None:
    # HASH160 of the generator of secp256k1, the key hash of the private key 1.
    generator = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    expected = "751e76e8199196d454941c45d1b3a323f1433bd6"
    assert hash160(generator).hex() == expected

    def lacking(name: str, data: bytes = b"") -> None:
        raise ValueError(f"unsupported hash type {name}")

    monkeypatch.setattr(hashlib, "new", lacking)
    assert module.hash160(generator).hex() == expected
