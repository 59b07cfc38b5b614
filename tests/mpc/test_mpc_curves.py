"""Only canonical encodings of group elements and scalars come in, and the arithmetic is that of the
libraries.
"""

from collections.abc import Callable

import nacl.bindings as sodium
import pytest
from coincurve import PublicKey
from hypothesis import given
from hypothesis import strategies as st

from mpc.curves import ED25519, SECP256K1, Curve, curve_named
from mpc.errors import InvalidParameters, InvalidPoint, InvalidScalar, PointAtInfinity
from tests.mpc.ceremony import byte_order

CURVES = pytest.mark.parametrize("curve", [SECP256K1, ED25519], ids=lambda curve: curve.name)
scalars = st.integers(min_value=1, max_value=2**250)

# Points of order 1, 2, 4 and 8, and their non-canonical encodings: the list of libsodium's and of "Taming the
# many EdDSAs".
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def point_of(curve: Curve, scalar: int) -> bytes:
    return curve.base_multiply(curve.encode_int(scalar)).encoded


@CURVES
def test_scalars_add_up_even_if_two_of_them_cancel(curve: Curve) -> None:
    # Two dealers who know each other's share for a third party can make any partial sum 0.
    one, minus_one, three = curve.encode_int(1), curve.encode_int(-1), curve.encode_int(3)
    for order in ([one, minus_one, three], [three, one, minus_one], [one, three, minus_one]):
        assert curve.scalar_sum(order) == three
    for nothing in ([], [one, minus_one], [three, one, curve.encode_int(-4)]):
        with pytest.raises(InvalidScalar):
            curve.scalar_sum(nothing)


def test_known_multiples_of_the_generators() -> None:
    # SEC 2, 2.4.1, and RFC 8032, 5.1.
    assert (
        point_of(SECP256K1, 1).hex() == "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    )
    assert point_of(ED25519, 1).hex() == "58" + "66" * 31


@CURVES
@given(a=scalars, b=scalars)
def test_arithmetic_agrees_with_the_integers(curve: Curve, a: int, b: int) -> None:
    one, two = curve.encode_int(a), curve.encode_int(b)
    order = byte_order(curve)
    assert int.from_bytes(curve.scalar_add(one, two), order) == (a + b) % curve.order
    assert int.from_bytes(curve.scalar_multiply(one, two), order) == a * b % curve.order
    left, right = curve.base_multiply(one), curve.base_multiply(two)
    assert curve.add(left, right).encoded == point_of(curve, a + b)
    assert curve.multiply(left, two).encoded == point_of(curve, a * b)
    assert curve.sum([left, right, curve.negate(right), left]).encoded == point_of(curve, 2 * a)
    if a != b:
        assert curve.subtract(left, right).encoded == point_of(curve, a - b)


@CURVES
def test_neutral_results_raise(curve: Curve) -> None:
    point = curve.base_multiply(curve.encode_int(5))
    neutrals: list[Callable[[], object]] = [
        lambda: curve.add(point, curve.negate(point)),
        lambda: curve.subtract(point, point),
        lambda: curve.sum([point, curve.negate(point)]),
        lambda: curve.sum([]),
    ]
    for neutral in neutrals:
        with pytest.raises(PointAtInfinity):
            neutral()


@CURVES
def test_a_neutral_partial_sum_is_no_error(curve: Curve) -> None:
    point = curve.base_multiply(curve.encode_int(5))
    assert curve.sum([point, curve.negate(point), point]) == point


@CURVES
def test_25_scalars_are_canonical_and_not_zero(curve: Curve) -> None:
    order = byte_order(curve)
    for value in (0, curve.order, curve.order + 1, 2**256 - 1):
        with pytest.raises(InvalidScalar):
            curve.parse_scalar(value.to_bytes(32, order))
    for size in (0, 31, 33):
        with pytest.raises(InvalidScalar):
            curve.parse_scalar(bytes([1]) * size)
    last = (curve.order - 1).to_bytes(32, order)
    assert curve.parse_scalar(last) == last


@CURVES
def test_sums_of_scalars_that_vanish_raise_without_the_value(curve: Curve) -> None:
    with pytest.raises(InvalidScalar) as caught:
        curve.scalar_add(curve.encode_int(7), curve.encode_int(-7))
    assert "7" not in str(caught.value)


@CURVES
def test_uniform_bytes_become_scalars(curve: Curve) -> None:
    # All ones lie above both orders: reduced on Ed25519, refused on secp256k1 in both halves.
    if curve is ED25519:
        reduced = int.from_bytes(curve.scalar_from_uniform(b"\xff" * 64), "little")
        assert reduced == (2**512 - 1) % curve.order
    else:
        assert curve.scalar_from_uniform(b"\xff" * 32 + b"\x01" * 32) == b"\x01" * 32
        with pytest.raises(InvalidScalar):
            curve.scalar_from_uniform(b"\xff" * 64)


@CURVES
def test_18_points_have_one_encoding(curve: Curve) -> None:
    encoded = point_of(curve, 9)
    assert curve.parse_point(encoded).encoded == encoded
    for wrong in (b"", encoded[:-1], encoded + b"\x00", bytes(len(encoded))):
        with pytest.raises(InvalidPoint):
            curve.parse_point(wrong)


def test_18_secp256k1_refuses_every_other_form() -> None:
    key = PublicKey(point_of(SECP256K1, 9))
    uncompressed = key.format(compressed=False)
    hybrid = bytes([6 + uncompressed[64] % 2]) + uncompressed[1:]
    assert PublicKey(hybrid) == key, "the library itself reads the hybrid form"
    not_on_curve = b"\x02" + (7).to_bytes(32, "big")
    above_field = b"\x02" + b"\xff" * 32
    for wrong in (
        uncompressed,
        hybrid,
        not_on_curve,
        above_field,
        b"\x00" * 33,
        b"\x05" + uncompressed[1:33],
    ):
        with pytest.raises(InvalidPoint):
            SECP256K1.parse_point(wrong)


@pytest.mark.parametrize("encoded", SMALL_ORDER)
def test_18_ed25519_refuses_small_order(encoded: str) -> None:
    with pytest.raises(InvalidPoint):
        ED25519.parse_point(bytes.fromhex(encoded))


def test_18_ed25519_refuses_points_outside_the_prime_order_subgroup() -> None:
    of_order_eight = bytes.fromhex(SMALL_ORDER[4])
    mixed = sodium.crypto_core_ed25519_add(point_of(ED25519, 9), of_order_eight)
    with pytest.raises(InvalidPoint):
        ED25519.parse_point(mixed)


def test_points_show_their_encoding_and_compare_by_it() -> None:
    one, same, other = (SECP256K1.base_multiply(SECP256K1.encode_int(k)) for k in (3, 3, 4))
    assert one == same
    assert len({one, same, other}) == 2
    assert one.encoded.hex() in repr(one)


def test_unknown_curves_are_named_in_the_error() -> None:
    with pytest.raises(InvalidParameters, match="curve"):
        curve_named("p256")
