"""secp256k1 (libsecp256k1) and the prime-order subgroup of Ed25519 (libsodium) behind one interface.

A scalar is its own 32-byte encoding in [1, order - 1]: big-endian for secp256k1 (SEC 1), little-endian for
Ed25519 (RFC 8032). A Point is an element of the prime-order group other than the neutral one; a sum that is
neutral raises PointAtInfinity.

Constant time: k*G and all scalar arithmetic run in the libraries' constant-time code, on bytes. `multiply`
(k*P) is variable time on secp256k1 and only ever gets public scalars. What Python adds (copies, object
handling) is not constant time.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import nacl.bindings as sodium
from coincurve import PublicKey
from coincurve._libsecp256k1 import ffi, lib  # type: ignore[import-not-found]
from coincurve.context import GLOBAL_CONTEXT
from nacl.exceptions import RuntimeError as SodiumError

from mpc.errors import InvalidParameters, InvalidPoint, InvalidScalar, PointAtInfinity

SCALAR_SIZE = 32


class Point:
    """An opaque, validated group element; compares and hashes by its encoding."""

    __slots__ = ("encoded", "raw")

    def __init__(self, encoded: bytes, raw: Any = None) -> None:
        self.encoded = encoded
        # libsecp256k1's parsed form: parsing costs a square root, so it is done once.
        self.raw = raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.encoded == other.encoded

    def __hash__(self) -> int:
        return hash(self.encoded)

    def __repr__(self) -> str:
        return f"Point({self.encoded.hex()})"


class Curve(ABC):
    """A group of prime order with its encodings. point_size: bytes of an encoded point."""

    name: str
    order: int
    point_size: int

    @abstractmethod
    def encode_int(self, value: int) -> bytes:
        """The scalar `value` mod order, for public values only (Python integers are not constant time)."""

    @abstractmethod
    def parse_scalar(self, data: bytes) -> bytes:
        """Return `data` if it is a scalar in [1, order - 1].

        Raises InvalidScalar, which never carries the value.
        """

    @abstractmethod
    def scalar_from_uniform(self, data: bytes) -> bytes:
        """A scalar from 64 uniform bytes, with a bias below 2^-127.

        Raises InvalidScalar (probability 2^-250).
        """

    @abstractmethod
    def scalar_add(self, left: bytes, right: bytes) -> bytes:
        """left + right mod order. Raises InvalidScalar if that is 0."""

    def scalar_sum(self, scalars: Iterable[bytes]) -> bytes:
        """The sum of at least one scalar.

        Raises InvalidScalar for a total of 0, never for a partial sum of 0.
        """
        total: bytes | None = None
        for scalar in scalars:
            try:
                total = scalar if total is None else self.scalar_add(total, scalar)
            except InvalidScalar:
                # Of valid scalars only a sum of 0 raises: two dealers can agree on it.
                total = None
        if total is None:
            raise InvalidScalar("scalar", "sum is 0")
        return total

    @abstractmethod
    def scalar_multiply(self, left: bytes, right: bytes) -> bytes:
        """left * right mod order."""

    @abstractmethod
    def parse_point(self, data: bytes) -> Point:
        """The point with this canonical encoding. Raises InvalidPoint."""

    @abstractmethod
    def base_multiply(self, scalar: bytes) -> Point:
        """scalar * G, in constant time."""

    @abstractmethod
    def multiply(self, point: Point, scalar: bytes) -> Point:
        """scalar * point; `scalar` must be public."""

    @abstractmethod
    def add(self, left: Point, right: Point) -> Point:
        """left + right. Raises PointAtInfinity."""

    @abstractmethod
    def negate(self, point: Point) -> Point:
        """-point."""

    def subtract(self, left: Point, right: Point) -> Point:
        """left - right. Raises PointAtInfinity."""
        return self.add(left, self.negate(right))

    def sum(self, points: Iterable[Point]) -> Point:
        """The sum of at least one point.

        Raises PointAtInfinity for a neutral total, never for a neutral partial sum.
        """
        total: Point | None = None
        for point in points:
            if total is None:
                total = point
            elif self.negate(point) == total:
                total = None
            else:
                total = self.add(total, point)
        if total is None:
            raise PointAtInfinity(self.name)
        return total


class _Secp256k1(Curve):
    name = "secp256k1"
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    point_size = 33

    def encode_int(self, value: int) -> bytes:
        return (value % self.order).to_bytes(SCALAR_SIZE, "big")

    def parse_scalar(self, data: bytes) -> bytes:
        if len(data) != SCALAR_SIZE or not lib.secp256k1_ec_seckey_verify(GLOBAL_CONTEXT.ctx, data):
            raise InvalidScalar("scalar", "not in [1, order - 1]")
        return data

    def scalar_from_uniform(self, data: bytes) -> bytes:
        # Rejection instead of reduction keeps the secret out of Python integers; 2^-128 that the second half
        # is needed.
        try:
            return self.parse_scalar(data[:SCALAR_SIZE])
        except InvalidScalar:
            return self.parse_scalar(data[SCALAR_SIZE : 2 * SCALAR_SIZE])

    # coincurve's PrivateKey computes a public key at every step (40 us); these are the library's own scalar
    # operations.
    def scalar_add(self, left: bytes, right: bytes) -> bytes:
        result = ffi.new("unsigned char[32]", self.parse_scalar(left))
        if not lib.secp256k1_ec_seckey_tweak_add(GLOBAL_CONTEXT.ctx, result, self.parse_scalar(right)):
            raise InvalidScalar("scalar", "sum is 0")
        return bytes(ffi.buffer(result))

    def scalar_multiply(self, left: bytes, right: bytes) -> bytes:
        result = ffi.new("unsigned char[32]", self.parse_scalar(left))
        if not lib.secp256k1_ec_seckey_tweak_mul(GLOBAL_CONTEXT.ctx, result, self.parse_scalar(right)):
            raise InvalidScalar("scalar", "product is 0")
        return bytes(ffi.buffer(result))

    def parse_point(self, data: bytes) -> Point:
        # libsecp256k1 also reads uncompressed and hybrid forms: the length keeps the encoding unique (test
        # 18).
        if len(data) != self.point_size:
            raise InvalidPoint("point", "not 33 bytes")
        try:
            return Point(data, PublicKey(data))
        except ValueError:
            raise InvalidPoint("point", "not on secp256k1") from None

    def base_multiply(self, scalar: bytes) -> Point:
        return self._point(PublicKey.from_valid_secret(self.parse_scalar(scalar)))

    def multiply(self, point: Point, scalar: bytes) -> Point:
        return self._point(point.raw.multiply(self.parse_scalar(scalar)))

    def add(self, left: Point, right: Point) -> Point:
        return self.sum((left, right))

    def negate(self, point: Point) -> Point:
        # The prefix of a compressed point is the parity of y (SEC 1, 2.3.3).
        return self.parse_point(bytes([point.encoded[0] ^ 1]) + point.encoded[1:])

    def sum(self, points: Iterable[Point]) -> Point:
        keys = [point.raw for point in points]
        if not keys:
            # libsecp256k1 ends the process when asked to combine nothing.
            raise PointAtInfinity(self.name)
        try:
            return self._point(PublicKey.combine_keys(keys))
        except ValueError:
            raise PointAtInfinity(self.name) from None

    def _point(self, key: PublicKey) -> Point:
        return Point(key.format(), key)


class _Ed25519(Curve):
    name = "ed25519"
    order = 2**252 + 27742317777372353535851937790883648493
    point_size = 32
    _neutral = b"\x01" + bytes(31)

    def encode_int(self, value: int) -> bytes:
        return (value % self.order).to_bytes(SCALAR_SIZE, "little")

    def parse_scalar(self, data: bytes) -> bytes:
        canonical = len(data) == SCALAR_SIZE and data == self._reduce(data + bytes(32))
        if not canonical or data == bytes(SCALAR_SIZE):
            raise InvalidScalar("scalar", "not in [1, order - 1]")
        return data

    def scalar_from_uniform(self, data: bytes) -> bytes:
        return self.parse_scalar(self._reduce(data))

    def scalar_add(self, left: bytes, right: bytes) -> bytes:
        total = bytes(sodium.crypto_core_ed25519_scalar_add(left, right))
        if total == bytes(SCALAR_SIZE):
            raise InvalidScalar("scalar", "sum is 0")
        return total

    def scalar_multiply(self, left: bytes, right: bytes) -> bytes:
        return bytes(sodium.crypto_core_ed25519_scalar_mul(left, right))

    def parse_point(self, data: bytes) -> Point:
        # Rejects non-canonical, off-curve and small-order encodings and everything outside the prime-order
        # subgroup.
        if len(data) != self.point_size or not sodium.crypto_core_ed25519_is_valid_point(data):
            raise InvalidPoint("point", "not in the prime-order subgroup of Ed25519")
        return Point(data)

    def base_multiply(self, scalar: bytes) -> Point:
        return Point(bytes(sodium.crypto_scalarmult_ed25519_base_noclamp(self.parse_scalar(scalar))))

    def multiply(self, point: Point, scalar: bytes) -> Point:
        try:
            return Point(
                bytes(sodium.crypto_scalarmult_ed25519_noclamp(self.parse_scalar(scalar), point.encoded))
            )
        except SodiumError:
            raise PointAtInfinity(self.name) from None

    def add(self, left: Point, right: Point) -> Point:
        return self._point(sodium.crypto_core_ed25519_add(left.encoded, right.encoded))

    def subtract(self, left: Point, right: Point) -> Point:
        return self._point(sodium.crypto_core_ed25519_sub(left.encoded, right.encoded))

    def negate(self, point: Point) -> Point:
        return self._point(sodium.crypto_core_ed25519_sub(self._neutral, point.encoded))

    def sum(self, points: Iterable[Point]) -> Point:
        # libsodium's addition takes and returns the neutral element, so partial sums need no care.
        total = self._neutral
        for point in points:
            total = sodium.crypto_core_ed25519_add(total, point.encoded)
        return self._point(total)

    def _point(self, encoded: bytes) -> Point:
        if encoded == self._neutral:
            raise PointAtInfinity(self.name)
        return Point(bytes(encoded))

    def _reduce(self, data: bytes) -> bytes:
        return bytes(sodium.crypto_core_ed25519_scalar_reduce(data))


SECP256K1: Curve = _Secp256k1()
ED25519: Curve = _Ed25519()
_CURVES = {curve.name: curve for curve in (SECP256K1, ED25519)}


def curve_named(name: str) -> Curve:
    """The curve called "secp256k1" or "ed25519". Raises InvalidParameters."""
    if name not in _CURVES:
        raise InvalidParameters("curve", "must be secp256k1 or ed25519")
    return _CURVES[name]
