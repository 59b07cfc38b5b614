"""Shamir's sharing and Feldman's commitments; participant j's share is the polynomial's value at j.

A polynomial of threshold t has exactly t coefficients, constant term first: t values determine it. Nothing
here puts a secret together again: interpolation of shares exists in the tests only.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from mpc.curves import Curve, Point
from mpc.errors import InvalidParameters, PointAtInfinity


def evaluate(curve: Curve, coefficients: Sequence[bytes], index: int) -> bytes:
    """The share f(index), a scalar, by Horner's rule.

    Raises InvalidScalar if a partial result is 0 (probability 2^-250).
    """
    position = curve.encode_int(index)
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = curve.scalar_add(curve.scalar_multiply(value, position), coefficient)
    return value


def commit(curve: Curve, coefficients: Sequence[bytes]) -> tuple[Point, ...]:
    """Feldman's commitment: each coefficient times G."""
    return tuple(curve.base_multiply(coefficient) for coefficient in coefficients)


def evaluate_commitment(curve: Curve, commitment: Sequence[Point], index: int) -> Point:
    """f(index) * G from the commitment to f. Raises PointAtInfinity if that is neutral."""
    powers = [commitment[0]]
    power = 1
    for point in commitment[1:]:
        # One multiplication a coefficient, and not Horner's rule: a dealer may choose a neutral partial
        # result.
        power = power * index % curve.order
        powers.append(curve.multiply(point, curve.encode_int(power)))
    return curve.sum(powers)


def public_shares(curve: Curve, commitment: Sequence[Point], size: int) -> tuple[Point, ...]:
    """f(1) * G ... f(size) * G from a commitment to f, with few multiplications.

    First the commitment becomes forward differences at 0: with the binomial basis b_k(x) =
    x(x-1)..(x-k+1)/k!, multiplying by x maps d_k to k * (d_k + d_(k-1)), so Horner's rule works on the
    differences with small factors. Then a table of additions yields the values one after the other (Newton's
    forward difference formula). Raises PointAtInfinity on a neutral intermediate result: probability 2^-250
    if one honest dealer is in the sum.
    """
    differences = [commitment[-1]]
    for point in reversed(commitment[:-1]):
        shifted = [point]
        for k in range(1, len(differences) + 1):
            below = differences[k - 1]
            both = curve.add(differences[k], below) if k < len(differences) else below
            shifted.append(curve.multiply(both, curve.encode_int(k)) if k > 1 else both)
        differences = shifted
    shares = []
    for _ in range(size):
        for k in range(len(differences) - 1):
            differences[k] = curve.add(differences[k], differences[k + 1])
        shares.append(differences[0])
    return tuple(shares)


def has_exact_degree(curve: Curve, values: Sequence[Point], threshold: int) -> bool:
    """Do `values`, at consecutive integers, lie on a polynomial of degree exactly threshold - 1?

    They do if the differences of that order are all equal and not neutral. Needs more than `threshold`
    values, else the answer would be empty. Raises InvalidParameters.
    """
    if len(values) <= threshold:
        raise InvalidParameters("values", "need more than threshold values")
    level = list(values)
    try:
        for _ in range(threshold - 1):
            level = [curve.subtract(right, left) for left, right in pairwise(level)]
    except PointAtInfinity:
        # Equal neighbours at some level: of a random polynomial with probability 2^-250, so refused rather
        # than followed.
        return False
    return all(value == level[0] for value in level)


def lagrange_coefficient(curve: Curve, indices: Iterable[int], index: int, at: int = 0) -> bytes:
    """The factor of `index`'s value when values at `indices` give the value at `at`: a public scalar.

    Raises InvalidParameters unless the indices are distinct, contain `index`, are not `at`, and lie in
    1..order - 1.
    """
    listed = list(indices)
    valid = (
        len(set(listed)) == len(listed) and index in listed and all(0 < each < curve.order for each in listed)
    )
    if not valid or at in listed:
        raise InvalidParameters("indices", "must be distinct, contain index, and lie in 1..order - 1")
    numerator = denominator = 1
    for other in listed:
        if other != index:
            numerator = numerator * (at - other) % curve.order
            denominator = denominator * (index - other) % curve.order
    return curve.encode_int(numerator * pow(denominator, -1, curve.order))


def interpolate_point(curve: Curve, values: dict[int, Point]) -> Point:
    """f(0) * G from f(i) * G for each i of `values`. Raises PointAtInfinity, InvalidParameters."""
    return curve.sum(
        curve.multiply(point, lagrange_coefficient(curve, values, index)) for index, point in values.items()
    )
