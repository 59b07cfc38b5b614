"""Extended public keys: BIP 32 on secp256k1, the documented form on Ed25519, both against independent
implementations.
"""

import hashlib
import hmac
from itertools import pairwise
from typing import NamedTuple

import pytest
from embit import bip32 as independent
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.base58 import b58decode_check, b58encode_check
from mpc.curves import ED25519, SECP256K1, Curve
from mpc.errors import EncodingError, InvalidParameters, InvalidScalar, MPCError, PointAtInfinity
from mpc.xpub import HARDENED, ExtendedPublicKey, parse_path
from tests.mpc.vectors import load

# BIP 32, Test vectors: (parent, child number, child) for the non-hardened steps of vectors 1 and 2.
STEPS = [
    (
        "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
        1,
        "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
    ),
    (
        "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
        2,
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
    ),
    (
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
        1000000000,
        "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
    ),
    (
        "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
        0,
        "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
    ),
    (
        "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
        1,
        "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon",
    ),
    (
        "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL",
        2,
        "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
    ),
]

# BIP 32, Test vector 5.
INVALID = [
    (
        "pubkey version / prvkey mismatch",
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6LBpB85b3D2yc8sfvZU521AAwdZafEz7mnzBBsz4wKY5fTtTQBm",
    ),
    (
        "invalid pubkey prefix 04",
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Txnt3siSujt9RCVYsx4qHZGc62TG4McvMGcAUjeuwZdduYEvFn",
    ),
    (
        "invalid pubkey prefix 01",
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6N8ZMMXctdiCjxTNq964yKkwrkBJJwpzZS4HS2fxvyYUA4q2Xe4",
    ),
    (
        "zero depth with non-zero parent fingerprint",
        "xpub661no6RGEX3uJkY4bNnPcw4URcQTrSibUZ4NqJEw5eBkv7ovTwgiT91XX27VbEXGENhYRCf7hyEbWrR3FewATdCEebj6znwMfQkhRYHRLpJ",
    ),
    (
        "zero depth with non-zero index",
        "xpub661MyMwAuDcm6CRQ5N4qiHKrJ39Xe1R1NyfouMKTTWcguwVcfrZJaNvhpebzGerh7gucBvzEQWRugZDuDXjNDRmXzSZe4c7mnTK97pTvGS8",
    ),
    (
        "point not on curve",
        "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Q5JXayek4PRsn35jii4veMimro1xefsM58PgBMrvdYre8QyULY",
    ),
    (
        "an extended private key",
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
    ),
]


def _steps() -> list[tuple[str, int, str]]:
    steps = list(STEPS)
    for document in load("bip32/bip32_vectors.json"):
        for vector in document["valid"]:
            for parent, child in pairwise(vector["chains"]):
                number = child["path"].rsplit("/", 1)[1]
                if not number.endswith("'"):
                    steps.append((parent["xpub"], int(number), child["xpub"]))
    return steps


def _invalid() -> list[str]:
    files = [each["key"] for document in load("bip32/bip32_vectors.json") for each in document["invalid"]]
    return [text for _, text in INVALID] + files


@pytest.mark.parametrize(("parent", "number", "child"), _steps())
def test_bip32_published_steps(parent: str, number: int, child: str) -> None:
    key = ExtendedPublicKey.parse(parent, "secp256k1")
    assert key.encode() == parent
    assert key.child(number).encode() == child


@pytest.mark.parametrize("text", _invalid())
def test_52_bip32_invalid_keys_are_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        ExtendedPublicKey.parse(text, "secp256k1")


@settings(max_examples=25, deadline=None)
@given(
    secret=st.integers(1, SECP256K1.order - 1),
    chain_code=st.binary(min_size=32, max_size=32),
    path=st.lists(st.integers(0, HARDENED - 1), max_size=4),
)
def test_an_independent_bip32_library_reads_and_derives_the_same(
    secret: int, chain_code: bytes, path: list[int]
) -> None:
    key = SECP256K1.base_multiply(SECP256K1.encode_int(secret)).encoded
    root = ExtendedPublicKey("secp256k1", key, chain_code)
    theirs = independent.HDKey.from_string(root.encode())
    assert theirs.key.sec() == key
    assert theirs.chain_code == chain_code
    assert root.derive(path).encode() == theirs.derive(path).to_base58()


class SoftChild(NamedTuple):
    """A child of ROOT_A and chain code 00..1f as bip_utils 2.x (Bip32KholawEd25519) derives and prints it."""

    path: str
    key: str
    chain_code: str
    parent_fingerprint: str
    text: str


# The group public key of RFC 9591, E.1.
ROOT_A = "15d21ccd7ee42959562fc8aa63224c8851fb3ec85a3faf66040d380fb9738673"
SOFT_CHILDREN = [
    SoftChild(
        "m/0",
        "fdf030d7725ab76049ae2fdbe85336a1e16fe5c6b6cac75d7ba8fe286db2cf81",
        "893173238a196c5c17296915c083b18e918d55951fa5fada71a518cfdd8eaf21",
        "cd7f13c7",
        "xpub69Q6wHFz1Rbr4XxT7U8P3S76CSaDJgWYRPE9odH9k5ZXHfusjbGJ1MqgyuqQcrDtjb91tv1Wq9k4mSVtJDUN9D2rFVdAgDMp8GNuT1Q2zML",
    ),
    SoftChild(
        "m/2147483647",
        "63e643c2dab959e0965abd4962f90c68b85ddd1dc6f803c962b80e06ba3a5569",
        "c7ec908f9dc531d28a71d42941668850173298aec8507da40de1946644dee596",
        "cd7f13c7",
        "xpub69Q6wHG8M68pCteEsWdWKLTSAx3VWSxMruTnLnAqpLYyDnU5xeCSc4VPcob1BfjSCVwYNt1g8bpjhfjjtBddj2TtPFac2wuSt1zfVeWnkFn",
    ),
    SoftChild(
        "m/0/7",
        "88fc10750f050a833c0891ce3f67c18131f5471da3f06f2c2f6ab826c4835565",
        "223196ddabc61337768fb32d5d35e9e6f5ccb2e6a57f10cf0f52879403eaca3e",
        "159134fa",
        "xpub69vpxf7GCr3zWfaLzYzQ9iQ1Z35xnL4LsrGmE1H4sG5LFWBLJAFVBNsvQx2JcbQYKVWChvd6u4caw9EffRjofav7v2mbogcSgYqPY5T3QPF",
    ),
    SoftChild(
        "m/44/501/0/0/19",
        "018d3a99ca14bc0c726816f92e71651230697b23040e44cbf724d601651226ea",
        "a8cb6944929fbf582db9d0ad2121abe79befb9b289d71e0462808157f1be0a6a",
        "edafcbfb",
        "xpub6HANJpVPD4qsJvJGL7YrVqsrrcuRumQGNxfyNoRL3Vpkc6wrsjBPwdwe27P3S96aF1QEhQPhuQT5gDTrF6Es568ioYkoqXGX1SVWX61esR3",
    ),
]


@pytest.mark.parametrize("child", SOFT_CHILDREN, ids=lambda child: child.path)
def test_ed25519_children_as_an_independent_implementation_derives_them(child: SoftChild) -> None:
    root = ExtendedPublicKey("ed25519", bytes.fromhex(ROOT_A), bytes(range(32)))
    derived = root.derive(parse_path(child.path))
    assert derived.key.hex() == child.key
    assert derived.chain_code.hex() == child.chain_code
    assert derived.parent_fingerprint.hex() == child.parent_fingerprint
    assert derived.encode() == child.text
    assert ExtendedPublicKey.parse(child.text, "ed25519") == derived


def test_ed25519_public_and_private_sides_agree() -> None:
    # bip_utils 2.x, Bip32KholawEd25519.FromSeed(00..3f), its private left half, and public child 3/5.
    secret = int.from_bytes(
        bytes.fromhex("78c6fea3905478df64979029b7c59fcd8227e1c1f8ddb1a85ef779c4d0da7250"), "little"
    )
    chain_code = bytes.fromhex("9df09053416e9189f3208dd7911d12a10c870372b5dbe3d2166aeddafe40e6eb")
    key = ExtendedPublicKey("ed25519", ED25519.base_multiply(ED25519.encode_int(secret)).encoded, chain_code)
    assert key.key.hex() == "1da32e4e1006db0e34a34de26e0527d407e3f917597c7d34c1c5007905860fe3"
    for index in (3, 5):
        tweak, _ = key.child_tweak(index)
        secret += int.from_bytes(tweak, "little")
        key = key.child(index)
    assert key.key.hex() == "70dbeb1e704327f2459a27a2cb8e158e58a7564c70d9739bbd7fd3e8f4019d4e"
    assert ED25519.base_multiply(ED25519.encode_int(secret)).encoded == key.key


def test_an_ed25519_text_is_no_bip32_key() -> None:
    text = ExtendedPublicKey("ed25519", bytes.fromhex(ROOT_A), bytes(32)).encode()
    assert text.startswith("xpub")
    with pytest.raises(EncodingError):
        ExtendedPublicKey.parse(text, "secp256k1")


def test_a_secp256k1_text_is_no_ed25519_key() -> None:
    with pytest.raises(EncodingError, match="Ed25519"):
        ExtendedPublicKey.parse(STEPS[0][0], "ed25519")


@pytest.mark.parametrize("curve", ["secp256k1", "ed25519"])
@pytest.mark.parametrize("index", [HARDENED, HARDENED + 1, -1, 2**32, True])
def test_55_hardened_and_impossible_indices_are_refused(curve: str, index: int) -> None:
    with pytest.raises(InvalidParameters, match="index"):
        _root(curve).child(index)


def test_56_a_tweak_beyond_the_order_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "digest", lambda key, message, digest: b"\xff" * 64)
    with pytest.raises(InvalidScalar):
        _root("secp256k1").child(0)


@pytest.mark.parametrize("curve", [SECP256K1, ED25519], ids=lambda curve: curve.name)
def test_56_a_child_at_infinity_is_refused(curve: Curve, monkeypatch: pytest.MonkeyPatch) -> None:
    # The root whose secret is minus the tweak that the stand-in digest gives.
    digest = bytes(31) + b"\x08" + bytes(32) if curve is SECP256K1 else b"\x01" + bytes(63)
    root = ExtendedPublicKey(curve.name, curve.base_multiply(curve.encode_int(-8)).encoded, bytes(32))
    monkeypatch.setattr(hmac, "digest", lambda key, message, name: digest)
    with pytest.raises(PointAtInfinity):
        root.child(0)


@pytest.mark.parametrize("curve", ["secp256k1", "ed25519"])
def test_57_depth_ends_at_255(curve: str) -> None:
    deep = _root(curve, depth=255, child_number=1)
    assert ExtendedPublicKey.parse(deep.encode(), curve) == deep
    with pytest.raises(InvalidParameters, match="depth"):
        deep.child(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "m/",
        "m//1",
        "m/0'",
        "m/0h",
        "m/2147483648",
        "m/-1",
        "m/01",
        "m/+1",
        "m/1_0",
        "m/ 1",
        "m/٣",
        "M/1",
    ],
)
def test_paths_have_one_plain_form(text: str) -> None:
    with pytest.raises(InvalidParameters, match="path"):
        parse_path(text)


def test_paths_parse() -> None:
    assert parse_path("m") == ()
    assert parse_path("m/0/2147483647/10") == (0, 2147483647, 10)
    with pytest.raises(InvalidParameters, match="path"):
        parse_path("m" + "/0" * 256)


def test_truncated_extended_and_foreign_versions_are_refused() -> None:
    payload = b58decode_check(STEPS[0][0])
    tpub = bytes.fromhex("043587cf") + payload[4:]
    for data in (payload[:-1], payload + b"\x00", tpub, b""):
        with pytest.raises(EncodingError):
            ExtendedPublicKey.parse(b58encode_check(data), "secp256k1")


@pytest.mark.parametrize(
    "change",
    [
        {"key": bytes(33)},
        {"chain_code": bytes(31)},
        {"depth": 256},
        {"depth": -1},
        {"parent_fingerprint": bytes(3)},
    ],
)
def test_impossible_keys_cannot_be_made(change: dict[str, object]) -> None:
    fields: dict[str, object] = {"curve": "secp256k1", "key": _root("secp256k1").key, "chain_code": bytes(32)}
    with pytest.raises(MPCError):
        ExtendedPublicKey(**{**fields, **change})  # type: ignore[arg-type]


def _root(curve: str, depth: int = 0, child_number: int = 0) -> ExtendedPublicKey:
    group = SECP256K1 if curve == "secp256k1" else ED25519
    key = group.base_multiply(group.encode_int(5)).encoded
    return ExtendedPublicKey(
        curve, key, hashlib.sha256(b"chain code").digest(), depth, bytes(4), child_number
    )
