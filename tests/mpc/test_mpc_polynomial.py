"""Shares and commitments agree with published vectors and with each other."""

from itertools import combinations
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.curves import ED25519, SECP256K1, Curve, curve_named
from mpc.errors import InvalidParameters, PointAtInfinity
from mpc.polynomial import (
    commit,
    evaluate,
    evaluate_commitment,
    has_exact_degree,
    interpolate_point,
    lagrange_coefficient,
    public_shares,
)
from tests.mpc.ceremony import byte_order, interpolate_secret
from tests.mpc.vectors import load

CURVES = pytest.mark.parametrize("curve", [SECP256K1, ED25519], ids=lambda curve: curve.name)


class ShamirVector(NamedTuple):
    """RFC 9591, Appendix E: a 2-of-3 sharing. All values hexadecimal."""

    curve: str
    secret: str
    coefficient: str
    public: str
    shares: tuple[str, str, str]


TRANSCRIBED_SHAMIR = [
    ShamirVector(
        "ed25519",
        "7b1c33d3f5291d85de664833beb1ad469f7fb6025a0ec78b3a790c6e13a98304",
        "178199860edd8c62f5212ee91eff1295d0d670ab4ed4506866bae57e7030b204",
        "15d21ccd7ee42959562fc8aa63224c8851fb3ec85a3faf66040d380fb9738673",
        (
            "929dcc590407aae7d388761cddb0c0db6f5627aea8e217f4a033f2ec83d93509",
            "a91e66e012e4364ac9aaa405fcafd370402d9859f7b6685c07eed76bf409e80d",
            "d3cb090a075eb154e82fdb4b3cb507f110040905468bb9c46da8bdea643a9a02",
        ),
    ),
    ShamirVector(
        "secp256k1",
        "0d004150d27c3bf2a42f312683d35fac7394b1e9e318249c1bfe7f0795a83114",
        "fbf85eadae3058ea14f19148bb72b45e4399c0b16028acaf0395c9b03c823579",
        "02f37c34b66ced1fb51c34a90bdae006901f10625cc06c4f64663b0eae87d87b4f",
        (
            "08f89ffe80ac94dcb920c26f3f46140bfc7f95b493f8310f5fc1ea2b01f4254c",
            "04f0feac2edcedc6ce1253b7fab8c86b856a797f44d83d82a385554e6e401984",
            "00e95d59dd0d46b0e303e500b62b7ccb0e555d49f5b849f5e748c071da8c0dbc",
        ),
    ),
]


def _shamir_vectors() -> list[ShamirVector]:
    vectors = list(TRANSCRIBED_SHAMIR)
    for name in ("ed25519-sha512", "secp256k1-sha256"):
        for document in load(f"rfc9591/frost-{name}.json"):
            inputs = document["inputs"]
            one, two, three = (each["participant_share"] for each in inputs["participant_shares"])
            vectors.append(
                ShamirVector(
                    document["config"]["group"],
                    inputs["group_secret_key"],
                    inputs["share_polynomial_coefficients"][0],
                    inputs["group_public_key"],
                    (one, two, three),
                )
            )
    return vectors


@pytest.mark.parametrize("vector", _shamir_vectors(), ids=lambda vector: vector.curve)
def test_rfc9591_shares(vector: ShamirVector) -> None:
    curve = curve_named(vector.curve)
    coefficients = [bytes.fromhex(vector.secret), bytes.fromhex(vector.coefficient)]
    shares = [evaluate(curve, coefficients, index) for index in (1, 2, 3)]
    assert [share.hex() for share in shares] == list(vector.shares)
    commitment = commit(curve, coefficients)
    assert commitment[0].encoded.hex() == vector.public
    assert public_shares(curve, commitment, 3) == tuple(curve.base_multiply(share) for share in shares)
    secret = int.from_bytes(coefficients[0], byte_order(curve))
    for pair in combinations((1, 2, 3), 2):
        assert interpolate_secret(curve, {index: shares[index - 1] for index in pair}) == secret


# frost-secp256k1 vectors_dkg.json (2-of-3): each participant's commitment and the shares it received; the
# public result.
TRANSCRIBED_DKG: dict[str, Any] = {
    "verifying_key": "037b5b0c4b6c91a16fb78499e8a74cc792f9ea79cb94860fcb90f801472930de47",
    "1": {
        "vss_commitments": [
            "02dd81b7019efd1d38352b8df26a47d8e6bcb4ce7db71b2f9739b01031105294e2",
            "03cad1d1bc9d75de15ed0b4cb49dbde670d70988aa96d7982a25ee5484c97d3efc",
        ],
        "signing_shares": {
            "2": "3c4ae6fe69d55280cb06a0551f8563e526ee6f133a99433addcbb722a4c6f438",
            "3": "e2454ec522749fc08388fed9c120b6ada8e1fd1e00026624c95b273f94dbf8a8",
        },
        "verifying_share": "02b2597e19a037ba2eef224402a50652be93c1ab5bbd6195fc07ae6f6ecfa1304d",
    },
    "2": {
        "vss_commitments": [
            "0280709e1bc38ca14a42f04dde31b33308d5a7ed7ef79a87c0cc14200783b519ac",
            "03490b38389a84ea57fde7b369962a92c53b367c221d5cd4728a7c6dfddb337c51",
        ],
        "signing_shares": {
            "1": "ead985c267f8e8cd367299ac12b3801eee809709a66d7fe83e789b4a5dedb080",
            "3": "39ee690094ac23a2373b35714ae7d3dc0e07e380bf547bf71758903d291a3e0b",
        },
        "verifying_share": "03037adc4e0f796b96fc639ac194c1e167ccc5dd57505c813b0533b2bcd6d6ddaa",
    },
    "3": {
        "vss_commitments": [
            "03f26b76678fe0174196430bb94e4e688044ae7bae2ccd7fef21c354429eb8bd61",
            "020d7a0d25b4ebed5157daf56aba2b89c3e0522f3bc293cc5e138f10e9c5efa465",
        ],
        "signing_shares": {
            "1": "6c746113ae6651496fb79286ea4d20b58581562b33b669fd58488745c89fdd69",
            "2": "e0b438a850bca1c3d4fd653829a58a31b309a1661020cebcbaf4d44163f63be0",
        },
        "verifying_share": "02f2198ff3f1e1de2249cdc59eb4ec926936892fa39fc1582861ad2e84681624b3",
    },
}


@pytest.mark.parametrize(
    "vector",
    [TRANSCRIBED_DKG, *(document["inputs"] for document in load("zf-frost/secp256k1/vectors_dkg.json"))],
)
def test_zcash_foundation_dkg_shares_fit_their_commitments(vector: dict[str, Any]) -> None:
    commitments = {
        dealer: tuple(
            SECP256K1.parse_point(bytes.fromhex(point)) for point in vector[dealer]["vss_commitments"]
        )
        for dealer in "123"
    }
    for recipient in "123":
        # The file lists under each participant what it received, by sender.
        for dealer, share in vector[recipient]["signing_shares"].items():
            dealt = SECP256K1.base_multiply(bytes.fromhex(share))
            assert evaluate_commitment(SECP256K1, commitments[dealer], int(recipient)) == dealt
            assert evaluate_commitment(SECP256K1, commitments[dealer], int(recipient) % 3 + 1) != dealt
    total = [SECP256K1.sum(points) for points in zip(*commitments.values(), strict=True)]
    assert total[0].encoded.hex() == vector["verifying_key"]
    shares = [share.encoded.hex() for share in public_shares(SECP256K1, total, 3)]
    assert shares == [vector[index]["verifying_share"] for index in "123"]


@CURVES
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_difference_table_equals_one_evaluation_each(curve: Curve, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(1, 2**250), min_size=1, max_size=8))
    size = data.draw(st.integers(1, 12))
    coefficients = [curve.encode_int(number) for number in numbers]
    commitment = commit(curve, coefficients)
    expected = tuple(
        curve.base_multiply(evaluate(curve, coefficients, index)) for index in range(1, size + 1)
    )
    assert public_shares(curve, commitment, size) == expected
    assert tuple(evaluate_commitment(curve, commitment, index) for index in range(1, size + 1)) == expected


@CURVES
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_threshold_of_shares_gives_the_root_and_fewer_do_not(curve: Curve, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(1, 2**250), min_size=2, max_size=5))
    threshold = len(numbers)
    size = data.draw(st.integers(threshold, 8))
    chosen = data.draw(st.lists(st.integers(1, size), min_size=threshold, max_size=size, unique=True))
    coefficients = [curve.encode_int(number) for number in numbers]
    shares = {index: evaluate(curve, coefficients, index) for index in chosen}
    assert interpolate_secret(curve, shares) == numbers[0] % curve.order
    points = {index: curve.base_multiply(share) for index, share in shares.items()}
    assert interpolate_point(curve, points) == curve.base_multiply(coefficients[0])
    too_few = {index: shares[index] for index in chosen[: threshold - 1]}
    assert interpolate_secret(curve, too_few) != numbers[0] % curve.order


@CURVES
def test_exact_degree_is_neither_lower_nor_higher(curve: Curve) -> None:
    coefficients = [curve.encode_int(number) for number in (11, 22, 33)]
    commitment = commit(curve, coefficients)
    values = [commitment[0], *public_shares(curve, commitment, 5)]
    assert has_exact_degree(curve, values, 3)
    assert not has_exact_degree(curve, values, 2)
    assert not has_exact_degree(curve, values, 4)
    bent = [*values[:-1], curve.add(values[-1], values[0])]
    assert not has_exact_degree(curve, bent, 3)


def test_exact_degree_refuses_an_empty_answer() -> None:
    point = SECP256K1.base_multiply(SECP256K1.encode_int(1))
    with pytest.raises(InvalidParameters, match="values"):
        has_exact_degree(SECP256K1, [point, point], 2)


@pytest.mark.parametrize(
    "indices", [(1, 1), (2, 3), (0, 1), (1, SECP256K1.order), (1, SECP256K1.order + 1), (1, -2)]
)
def test_27_interpolation_refuses_duplicate_zero_and_reduced_indices(indices: tuple[int, ...]) -> None:
    with pytest.raises(InvalidParameters, match="indices"):
        lagrange_coefficient(SECP256K1, indices, 1)


@CURVES
def test_a_commitment_that_vanishes_at_an_index_raises(curve: Curve) -> None:
    # f(x) = 6 - 3x is 0 at 2.
    commitment = commit(curve, [curve.encode_int(6), curve.encode_int(-3)])
    with pytest.raises(PointAtInfinity):
        evaluate_commitment(curve, commitment, 2)
    assert evaluate_commitment(curve, commitment, 1) == curve.base_multiply(curve.encode_int(3))
