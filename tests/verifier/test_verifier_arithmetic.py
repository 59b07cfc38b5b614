"""The verifier's own arithmetic against published vectors and independent libraries.

It is written from the texts and shares no line with mpc/, so that a mistake in one shows in the other.
"""

import hashlib
import json
from itertools import pairwise, product

import pytest
from embit import script
from embit.bip32 import HDKey
from embit.ec import PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from mpc.curves import ED25519 as FAST_ED25519
from mpc.curves import SECP256K1 as FAST_SECP256K1
from tests.mpc.test_mpc_xpub import STEPS
from tests.mpc.vectors import load
from verifier.quorate_verify import (
    ED25519,
    SECP256K1,
    Curve,
    ExtendedKey,
    Fault,
    Point,
    addresses,
    base58check,
    canonical,
    is_sharing,
    is_signed,
    keccak256,
    parse_path,
    ripemd160,
    segwit_address,
    sponge,
)
from wire.canonical import CanonicalError, canonical_bytes
from wire.signatures import verify_signature

# RFC 8032, 7.1: tests 1 to 3 (public key, message, signature).
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_rfc_8032_vectors(key: str, message: str, signature: str) -> None:
    assert is_signed(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))
    assert not is_signed(bytes.fromhex(key), bytes.fromhex(message) + b"x", bytes.fromhex(signature))


def torsion() -> Point:
    """A point of order 8."""
    for y in range(2, 100):
        try:
            point = ED25519.multiply(ED25519.order, ED25519.decode(y.to_bytes(32, "little"), "y"))
        except Fault:
            continue
        if not ED25519.is_neutral(ED25519.multiply(4, point)):
            return point
    raise AssertionError("no such point")


def strange_signatures() -> list[tuple[bytes, bytes, bytes]]:
    """(key, message, signature) that implementations of Ed25519 are known to disagree about."""
    order, small = ED25519.order, torsion()
    secret, secret_nonce = 12345678901234567890, 987654321
    found = []
    for key_torsion in range(0, 8, 3):
        for nonce_torsion in (0, 1, 4):
            key = ED25519.add(ED25519.multiply(secret, ED25519.base), ED25519.multiply(key_torsion, small))
            commitment = ED25519.add(
                ED25519.multiply(secret_nonce, ED25519.base), ED25519.multiply(nonce_torsion, small)
            )
            for number in range(8):
                message, r, a = bytes([number]), ED25519.encode(commitment), ED25519.encode(key)
                challenge = int.from_bytes(hashlib.sha512(r + a + message).digest(), "little")
                s = (secret_nonce + challenge * secret) % order
                found.append((a, message, r + s.to_bytes(32, "little")))
                found.append((a, message, r + (s + order).to_bytes(32, "little")))
    encodings = [ED25519.encode(ED25519.multiply(k, small)) for k in range(8)]
    encodings += [(ED25519.p + 1).to_bytes(32, "little"), b"\x01" + bytes(30) + b"\x80"]
    found += [(key, b"any", nonce + bytes(32)) for key, nonce in product(encodings, encodings)]
    return found


def test_it_takes_and_refuses_the_same_signatures_as_the_nodes_do() -> None:
    """A signature that one of them accepts alone would be a request that only half the world believes."""
    answers = {True: 0, False: 0}
    for key, message, signature in strange_signatures():
        answer = is_signed(key, message, signature)
        assert answer == verify_signature(key, message, signature), (key.hex(), signature.hex())
        answers[answer] += 1
    assert min(answers.values()) > 5


@settings(max_examples=40, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=80), at=st.integers(0, 511))
def test_signatures_of_another_library(seed: bytes, message: bytes, at: int) -> None:
    key = SigningKey(seed)
    signature = key.sign(message).signature
    assert is_signed(bytes(key.verify_key), message, signature)
    flipped = bytearray(signature)
    flipped[at // 8] ^= 1 << at % 8
    assert not is_signed(bytes(key.verify_key), message, bytes(flipped))


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_size_is_none(size: int) -> None:
    key, message, signature = (bytes.fromhex(each) for each in RFC_8032[0])
    assert not is_signed(key, message, (signature + signature)[:size])


@settings(max_examples=25, deadline=None)
@given(left=st.integers(1, 2**251), right=st.integers(1, 2**251))
def test_points_of_the_libraries_that_the_nodes_use(left: int, right: int) -> None:
    for own, fast in ((SECP256K1, FAST_SECP256K1), (ED25519, FAST_ED25519)):
        one = fast.base_multiply(fast.encode_int(left))
        both = fast.add(one, fast.base_multiply(fast.encode_int(right)))
        mine = own.multiply(left, own.base)
        assert own.encode(mine) == one.encoded
        assert own.encode(own.add(mine, own.multiply(right, own.base))) == both.encoded
        assert own.encode(own.decode_key(one.encoded, "key")) == one.encoded
        assert own.is_neutral(own.add(mine, own.negate(mine)))


@pytest.mark.parametrize(
    "encoding", ["00" * 33, "04" + "11" * 32, "02" + "ff" * 32, "02" + "00" * 31 + "05", "02" * 32]
)
def test_what_is_no_point_of_secp256k1_is_refused(encoding: str) -> None:
    with pytest.raises(Fault):
        SECP256K1.decode_key(bytes.fromhex(encoding), "key")


def test_points_outside_of_the_prime_order_group_are_refused() -> None:
    mixed = ED25519.add(ED25519.base, torsion())
    for data in (ED25519.encode(mixed), ED25519.encode(torsion()), ED25519.encode(ED25519.neutral)):
        with pytest.raises(Fault, match="prime-order"):
            ED25519.decode_key(data, "key")
    for data in ((2).to_bytes(32, "little"), b"\x01" + bytes(30) + b"\x80", b"\xff" * 32):
        with pytest.raises(Fault, match="no point"):
            ED25519.decode(data, "key")


@pytest.mark.parametrize("curve", [SECP256K1, ED25519])
def test_a_sharing_has_exactly_its_degree(curve: Curve) -> None:
    def values(*coefficients: int) -> list[Point]:
        return [
            curve.multiply(sum(c * x**k for k, c in enumerate(coefficients)) % curve.order, curve.base)
            for x in range(5)
        ]

    quadratic, linear = values(7, 11, 13), values(7, 11)
    assert is_sharing(curve, quadratic, 3)
    assert is_sharing(curve, linear, 2)
    assert not is_sharing(curve, quadratic, 2)
    assert not is_sharing(curve, linear, 3)
    assert not is_sharing(curve, [*quadratic[:4], linear[4]], 3)
    # As many values as the threshold lie on some polynomial whatever they are.
    assert not is_sharing(curve, quadratic[:3], 3)


def bip32_steps() -> list[tuple[str, int, str]]:
    steps = list(STEPS)
    for document in load("bip32/bip32_vectors.json"):
        for vector in document["valid"]:
            for parent, child in pairwise(vector["chains"]):
                number = child["path"].rsplit("/", 1)[1]
                if not number.endswith("'"):
                    steps.append((parent["xpub"], int(number), child["xpub"]))
    return steps


@pytest.mark.parametrize(("parent", "number", "child"), bip32_steps())
def test_bip32_published_steps(parent: str, number: int, child: str) -> None:
    key = HDKey.from_string(parent)
    own = ExtendedKey(key.key.sec(), key.chain_code, key.depth, key.fingerprint, key.child_number)
    assert own.text() == parent
    assert own.child(number).text() == child


@pytest.mark.parametrize(
    "path", ["", "0", "m/", "m/0'", "m/0h", "m/2147483648", "m/01", "m/-1", "m/ 1", "m/٣"]
)
def test_55_only_plain_non_hardened_paths_are_taken(path: str) -> None:
    with pytest.raises(Fault, match="path"):
        parse_path(path)
    assert parse_path("m") == []
    assert parse_path("m/0/2147483647") == [0, 2147483647]


@pytest.mark.parametrize(
    ("kind", "key", "address"),
    [
        # BIP 84 and BIP 86, test vectors: the first receiving address.
        (
            "Bitcoin P2WPKH",
            "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c",
            "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
        ),
        (
            "Bitcoin P2TR (BIP 86)",
            "03cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115",
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        ),
        # The keys with secrets 1, 2 and 3, whose addresses everybody knows.
        (
            "Bitcoin P2PKH",
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            "1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH",
        ),
        (
            "Ethereum",
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
        ),
        (
            "Ethereum",
            "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
            "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF",
        ),
        (
            "Ethereum",
            "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
            "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69",
        ),
    ],
)
def test_published_addresses(kind: str, key: str, address: str) -> None:
    assert addresses(bytes.fromhex(key))[kind] == address


@settings(max_examples=20, deadline=None)
@given(secret=st.integers(1, 2**255))
def test_bitcoin_addresses_of_another_library(secret: int) -> None:
    key = SECP256K1.encode(SECP256K1.multiply(secret, SECP256K1.base))
    theirs = PublicKey.parse(key)
    own = addresses(key)
    assert own["Bitcoin P2PKH"] == script.p2pkh(theirs).address()
    assert own["Bitcoin P2WPKH"] == script.p2wpkh(theirs).address()
    assert own["Bitcoin P2TR (BIP 86)"] == script.p2tr(theirs).address()


def test_bip_173_and_350_addresses() -> None:
    key = bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    program = bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6")
    assert segwit_address("bc", 0, program) == "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    assert segwit_address("tb", 0, program) == "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
    taproot = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
    assert segwit_address("bc", 1, key) == taproot


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak_known_answers(message: bytes, digest: str) -> None:
    assert keccak256(message).hex() == digest


@pytest.mark.parametrize("size", [0, 1, 134, 135, 136, 137, 271, 272, 500])
def test_the_same_sponge_with_its_own_padding_is_sha3(size: int) -> None:
    message = bytes(range(256)) * 2
    assert sponge(message[:size], 0x06) == hashlib.sha3_256(message[:size]).digest()


# The RIPEMD-160 page of its authors.
@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        (b"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        (b"abcdefghijklmnopqrstuvwxyz", "f71c27109c692c1b56bbdceb5b9d2865b3708dbc"),
        (b"1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
    ],
)
def test_ripemd160_known_answers(message: bytes, digest: str) -> None:
    assert ripemd160(message).hex() == digest


def test_base58check_keeps_leading_zeros() -> None:
    assert base58check(bytes(21)) == "1111111111111111111114oLvT2"


# RFC 8785, 3.2.3: the order of names is that of UTF-16 code units, not of code points.
def test_rfc_8785_order_of_names() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = json.loads(canonical(dict.fromkeys(names, 0)))
    assert [ord(name) for name in ordered] == [0x0D, 0x31, 0x80, 0xF6, 0x20AC, 0x1F600, 0xFB33]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_canonical_json_is_the_nodes_canonical_json(value: object) -> None:
    try:
        theirs = canonical_bytes(value)
    except CanonicalError:
        return  # text that is not NFC
    assert canonical(value).encode() == theirs
