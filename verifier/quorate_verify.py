#!/usr/bin/env python3
"""Check, on any machine, what a Quorate site says about a request, a root key and an address.

Needs this one file and Python 3.9 or newer: no package, no network, no key, nothing of Quorate. All that it
computes with is public, so its arithmetic is written to be read and takes no care to be constant-time.

    signer anchor export VAULT > anchor.json                     on a node of yours: the root of trust
    GET /v2/requests/{id}/intent            > request.json       from the site: claims, each checked here
    python3 quorate_verify.py --anchor anchor.json request.json
    python3 quorate_verify.py --anchor anchor.json request.json --path m/0/7 --address bc1q...

Exit status 0 proves, if SHA-256, Ed25519 and the curves are sound:
  - the digest is that of the intent shown, and rosters and policies are the ones that the intent names;
  - every decision is signed by the key of a holder of source or target group, and enough of them approve;
  - the share set that the request made is signed twice by every participant, its public shares are one
    sharing of the root key with exactly the threshold that is shown, and its dealers were approving holders;
  - certificates signed by enough holders of the set before lead from it to the anchor's KeyGen, with the same
    root keys and chain codes all the way;
  - the address or extended public key is that child of the anchor's root key.

It does not prove:
  - that the P-256 signature of a passkey is good: it says so wherever a vote rests on one. All else about
    such a vote is checked, and the holder's node has signed the same decision;
  - that the anchor is yours: fetch it from your own node, and compare its twelve words with another holder;
  - who stands behind a node id, or that two ids are two people (compare fingerprints; the site alone keeps
    the rule that a requester's own vote does not count);
  - that holders still have their shares, keep them secret, or have erased old ones;
  - that no later request has replaced this set, and that times, which are the holders' own words, are true;
  - anything below an Ed25519 root key: only the root itself is compared;
  - with --open, whatever a line that begins with OPEN names.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import re
import sys
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_SAFE_INTEGER = 2**53 - 1
MAX_PARTICIPANTS = 100
MAX_ATTEMPTS = 5
MAX_LIFETIME_MS = 7 * 24 * 3600 * 1000
HARDENED = 2**31
ROLES = ("main", "signing", "recovery")
CURVE_NAMES = ("secp256k1", "ed25519")
CEREMONY_TYPES = ("KeyGen", "KeyGenFromKeyGroup", "Recovery", "Refresh", "Reshare")
TYPES = (*CEREMONY_TYPES, "RoleChange", "PolicyChange")


class Fault(Exception):
    """Something does not hold. what: the thing, as a path into the input; message: what is wrong with it."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(f"{what}: {message}")
        self.what = what
        self.message = message


def require(condition: bool, what: str, message: str) -> None:
    if not condition:
        raise Fault(what, message)


# --- JSON: one text for one meaning (RFC 8785, and stricter) -----------------------------------------------


def parse_json(text: str, what: str) -> Any:
    """Raises Fault for duplicate names, numbers with a fraction, and what is no JSON at all."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        require(len(names) == len(pairs), what, "has a name twice")
        return names

    def refuse(number: str) -> Any:
        raise Fault(what, f"contains {number}, which is no integer")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_float=refuse, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Fault(what, "is not JSON") from None


def canonical(value: Any) -> str:
    """RFC 8785 of a value without fractions: names in the order of their UTF-16 code units."""

    def ordered(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: ordered(item[name]) for name in sorted(item, key=lambda n: n.encode("utf-16-be"))}
        return [ordered(each) for each in item] if isinstance(item, list) else item

    return json.dumps(ordered(value), ensure_ascii=False, separators=(",", ":"))


def is_canonical(text: str, value: Any) -> bool:
    """Is `text` the one text of `value`, and text that everybody can encode?"""
    try:
        text.encode()  # a lone surrogate has no UTF-8
        return canonical(value) == text and unicodedata.is_normalized("NFC", text)
    except (UnicodeEncodeError, RecursionError):
        return False


def parse_canonical(text: Any, what: str) -> Any:
    """Raises Fault unless `text` is in its one canonical form."""
    require(isinstance(text, str), what, "must be text")
    value = parse_json(text, what)
    require(is_canonical(text, value), what, "is not in canonical form (RFC 8785, NFC)")
    return value


# --- Shapes of the signed documents: an unknown field is a meaning that this program does not know ----------

Check = Callable[[Any, str], None]


def hexadecimal(size: int, *, optional: bool = False) -> Check:
    def check(value: Any, what: str) -> None:
        fits = isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", value) is not None
        require(fits or (optional and value == ""), what, f"must be {2 * size} lower-case hex digits")

    return check


def hex_text(limit: int) -> Check:
    """Of 1 to `limit` bytes."""

    def check(value: Any, what: str) -> None:
        fits = isinstance(value, str) and re.fullmatch(r"(?:[0-9a-f]{2})+", value) is not None
        require(fits and len(value) <= 2 * limit, what, f"must be lower-case hex digits, {2 * limit} at most")

    return check


def integer(low: int = 0, high: int = MAX_SAFE_INTEGER) -> Check:
    def check(value: Any, what: str) -> None:
        # By type, because True equals 1 in Python.
        require(type(value) is int and low <= value <= high, what, f"must be an integer, {low} to {high}")

    return check


def string(limit: int, *, visible: bool = False) -> Check:
    def check(value: Any, what: str) -> None:
        require(isinstance(value, str) and len(value) <= limit, what, f"must be text, {limit} at most")
        if visible:
            require(re.fullmatch(r"[!-~]+", value) is not None, what, "must be visible ASCII characters")

    return check


def one_of(*choices: Any) -> Check:
    def check(value: Any, what: str) -> None:
        known = any(type(value) is type(choice) and value == choice for choice in choices)
        require(known, what, f"must be one of {', '.join(map(repr, choices))}")

    return check


def list_of(entry: Check, limit: int = MAX_PARTICIPANTS) -> Check:
    def check(value: Any, what: str) -> None:
        require(isinstance(value, list) and len(value) <= limit, what, f"must be a list, {limit} at most")
        for position, item in enumerate(value):
            entry(item, f"{what}[{position}]")

    return check


def nullable(inner: Check) -> Check:
    def check(value: Any, what: str) -> None:
        if value is not None:
            inner(value, what)

    return check


def record(**fields: Check) -> Check:
    def check(value: Any, what: str) -> None:
        require(isinstance(value, dict), what, "must be an object")
        for name in sorted(set(value) ^ set(fields)):
            raise Fault(f"{what}.{name}", "is missing" if name in fields else "is not known here")
        for name, inner in fields.items():
            inner(value[name], f"{what}.{name}")

    return check


def expected_key(value: Any, what: str) -> None:
    """A root key and its chain code, as intents and anchors name them."""
    is_secp256k1 = isinstance(value, dict) and value.get("curve") == "secp256k1"
    record(
        curve=one_of(*CURVE_NAMES),
        root_key=hexadecimal(33 if is_secp256k1 else 32),
        chain_code=hexadecimal(32),
    )(value, what)


def creators(value: Any, what: str) -> None:
    require(isinstance(value, dict), what, "must be an object")
    for name, who in value.items():
        one_of(*TYPES)(name, f"{what}: name")
        list_of(one_of("admin", "operator", "approver", "robot"))(who, f"{what}.{name}")


IDENTIFIER = string(64, visible=True)
VERSION = one_of(1)
BOOLEAN = one_of(True, False)
COUNT = integer(1, MAX_PARTICIPANTS)

GROUP = record(
    group_id=IDENTIFIER,
    role=one_of(*ROLES),
    manifest_hash=hexadecimal(32),
    threshold=integer(2, MAX_PARTICIPANTS),
    participants=COUNT,
    epoch=integer(1),
    certificate_hash=hexadecimal(32, optional=True),
)
INTENT = record(
    v=VERSION,
    domain=one_of("vault"),
    organisation_id=IDENTIFIER,
    vault_id=IDENTIFIER,
    request_id=string(32, visible=True),
    type=one_of(*TYPES),
    source=nullable(GROUP),
    target=GROUP,
    expected=list_of(expected_key, len(CURVE_NAMES)),
    eligible=list_of(IDENTIFIER),
    replaces=list_of(record(old=IDENTIFIER, new=IDENTIFIER)),
    retires=list_of(
        record(group_id=IDENTIFIER, epoch=integer(1), certificate_hash=hexadecimal(32)), limit=16
    ),
    new_policy_hash=hexadecimal(32, optional=True),
    original_main=one_of("", "retired", "signing"),
    operators_needed=COUNT,
    overlap_accepted=BOOLEAN,
    curves=list_of(one_of(*CURVE_NAMES), len(CURVE_NAMES)),
    protocol=one_of("", "keygen/1", "reshare/1"),
    min_software=string(32, visible=True),
    policy_hash=hexadecimal(32),
    requester=record(kind=one_of("member", "robot"), id=string(64), api_key=string(66)),
    not_before=integer(),
    expires=integer(),
    nonce=hexadecimal(32),
    description=string(1000),
)
PASSKEY = record(
    id=hex_text(255),
    algorithm=one_of("ES256", "EdDSA"),
    public_key=hex_text(33),
    rp_id=string(128),
    origins=list_of(string(128), limit=4),
    user_verification=one_of("required"),
    label=string(40),
)
CARD = record(
    v=VERSION,
    node_id=IDENTIFIER,
    signing_key=hexadecimal(32),
    encryption_key=hexadecimal(32),
    kind=one_of("api", "service"),
    version=integer(1),
    method=one_of("node", "passkey", "both"),
    credentials=list_of(PASSKEY, limit=4),
)
MANIFEST = record(
    v=VERSION,
    organisation_id=IDENTIFIER,
    vault_id=IDENTIFIER,
    group_id=IDENTIFIER,
    role=one_of(*ROLES),
    epoch=integer(1),
    threshold=integer(2, MAX_PARTICIPANTS),
    participants=COUNT,
    holders=list_of(record(index=COUNT, card=CARD, signature=hexadecimal(64))),
)
POLICY = record(
    v=VERSION,
    vault_id=IDENTIFIER,
    creators=creators,
    request_lifetime=integer(60_000, MAX_LIFETIME_MS),
    required_approvals=integer(2, MAX_PARTICIPANTS),
    erase_grace=integer(0, 90 * 24 * 3600 * 1000),
    shared_nodes=BOOLEAN,
    predecessor=hexadecimal(32, optional=True),
)
APPROVAL = record(
    v=VERSION,
    digest=hexadecimal(32),
    decision=one_of("approve", "reject", "withdraw"),
    node_id=IDENTIFIER,
    time=integer(),
    reason=string(500),
    signature=hexadecimal(64),
)
PASSKEY_APPROVAL = record(
    v=VERSION,
    digest=hexadecimal(32),
    decision=one_of("approve", "reject", "withdraw"),
    node_id=IDENTIFIER,
    credential_id=hex_text(255),
    time=integer(),
    reason=string(500),
    authenticator_data=hex_text(1024),
    client_data=hex_text(2048),
    signature=hex_text(128),
)
ANCHOR = record(
    v=VERSION,
    organisation_id=IDENTIFIER,
    vault_id=IDENTIFIER,
    certificate_hash=hexadecimal(32),
    root_keys=list_of(expected_key, len(CURVE_NAMES)),
    policy_hash=hexadecimal(32),
    main_group_id=IDENTIFIER,
    main_since=integer(),
)


# --- Hashes and texts ---------------------------------------------------------------------------------------


def tagged_hash(tag: str, *fields: bytes) -> bytes:
    """SHA-256 of u16 length and tag, u32 count, then u32 length and bytes of each field."""
    parts = [len(tag).to_bytes(2, "big"), tag.encode(), len(fields).to_bytes(4, "big")]
    for each in fields:
        parts += [len(each).to_bytes(4, "big"), each]
    return hashlib.sha256(b"".join(parts)).digest()


def base58(data: bytes) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = alphabet[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def base58check(payload: bytes) -> str:
    return base58(payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4])


def segwit_address(prefix: str, version: int, program: bytes) -> str:
    """BIP 173, and BIP 350's checksum from witness version 1 on."""
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    number = int.from_bytes(program, "big") << (-8 * len(program) % 5)
    size = (8 * len(program) + 4) // 5
    data = [version] + [number >> 5 * at & 31 for at in reversed(range(size))]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    checksum = 1
    for value in [*expanded, *data, 0, 0, 0, 0, 0, 0]:
        top, checksum = checksum >> 25, (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if top >> bit & 1 else 0
    checksum ^= 0x2BC830A3 if version else 1
    data += [checksum >> 5 * at & 31 for at in reversed(range(6))]
    return prefix + "1" + "".join(alphabet[value] for value in data)


def ripemd160(data: bytes) -> bytes:
    """Dobbertin, Bosselaers, Preneel 1996; many builds of OpenSSL 3, hence of hashlib, lack it."""
    # Rotations by message word, a row for each round; additive constants and functions of the left line.
    shifts = (
        "befc5879bdef6798",
        "cdbf6997cfbd7877",
        "dfeb7768dedc5569",
        "ebce8655fcfe9986",
        "fcdd9586ebcb8655",
    )
    left_constants = (0, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
    right_constants = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0)
    functions: tuple[Callable[[int, int, int], int], ...] = (
        lambda x, y, z: x ^ y ^ z,
        lambda x, y, z: (x & y) | (~x & z),
        lambda x, y, z: (x | ~y) ^ z,
        lambda x, y, z: (x & z) | (y & ~z),
        lambda x, y, z: x ^ (y | ~z),
    )
    rho = (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8)

    def rotated(value: int, count: int) -> int:
        value &= 0xFFFFFFFF
        return (value << count | value >> (32 - count)) & 0xFFFFFFFF

    def line(
        order: list[int], constants: Sequence[int], mixers: Sequence[Callable[[int, int, int], int]]
    ) -> list[int]:
        a, b, c, d, e = state
        for number, mix in enumerate(mixers):
            for word in order:
                total = a + mix(b, c, d) + words[word] + constants[number]
                total = rotated(total, int(shifts[number][word], 16))
                a, b, c, d, e = e, (total + e) & 0xFFFFFFFF, b, rotated(c, 10), d
            order = [rho[word] for word in order]
        return [a, b, c, d, e]

    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0]
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + (8 * len(data)).to_bytes(8, "little")
    for at in range(0, len(padded), 64):
        words = [int.from_bytes(padded[i : i + 4], "little") for i in range(at, at + 64, 4)]
        left = line(list(range(16)), left_constants, functions)
        right = line([(9 * i + 5) % 16 for i in range(16)], right_constants, functions[::-1])
        state = [(state[(i + 1) % 5] + left[(i + 2) % 5] + right[(i + 3) % 5]) & 0xFFFFFFFF for i in range(5)]
    return b"".join(word.to_bytes(4, "little") for word in state)


def hash160(data: bytes) -> bytes:
    return ripemd160(hashlib.sha256(data).digest())


def keccak256(data: bytes) -> bytes:
    """As Ethereum has it: the original padding, without the two bits that SHA3-256 puts before it."""
    return sponge(data, 0x01)


def sponge(data: bytes, padding: int) -> bytes:
    """Keccak[512], 32 bytes; padding: the byte after the message."""
    rate = 136
    padded = bytearray(data + bytes(rate - len(data) % rate))
    padded[len(data)] ^= padding
    padded[-1] ^= 0x80
    lanes = [0] * 25
    for block in range(0, len(padded), rate):
        for at in range(rate // 8):
            lanes[at] ^= int.from_bytes(padded[block + 8 * at : block + 8 * at + 8], "little")
        lanes = keccak_f(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def keccak_f(lanes: list[int]) -> list[int]:
    """The permutation of FIPS 202, 3.2 and 3.3; lane (x, y) at x + 5y."""

    def rotated(lane: int, count: int) -> int:
        return (lane << count | lane >> (64 - count)) & (2**64 - 1)

    register = 1
    for _ in range(24):
        sums = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        theta = [sums[(x + 4) % 5] ^ rotated(sums[(x + 1) % 5], 1) for x in range(5)]
        lanes = [lane ^ theta[at % 5] for at, lane in enumerate(lanes)]
        moved, x, y = lanes[:], 1, 0
        for step in range(24):
            lane = rotated(lanes[x + 5 * y], (step + 1) * (step + 2) // 2 % 64)
            x, y = y, (2 * x + 3 * y) % 5
            moved[x + 5 * y] = lane
        for at in range(25):
            row = at - at % 5
            lanes[at] = moved[at] ^ (~moved[row + (at + 1) % 5] & moved[row + (at + 2) % 5])
        for bit in range(7):
            lanes[0] ^= (register & 1) << ((1 << bit) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
    return lanes


# --- Curves -------------------------------------------------------------------------------------------------

Point = tuple[int, ...]


class Curve(ABC):
    """A group of prime `order` with `base`; `encode` is how points are compared."""

    order: int
    neutral: Point
    base: Point

    @abstractmethod
    def add(self, left: Point, right: Point) -> Point: ...

    @abstractmethod
    def negate(self, point: Point) -> Point: ...

    @abstractmethod
    def encode(self, point: Point) -> bytes: ...

    @abstractmethod
    def decode(self, data: bytes, what: str) -> Point:
        """Raises Fault for all but the one encoding of a point of the curve."""

    def multiply(self, scalar: int, point: Point) -> Point:
        result = self.neutral
        while scalar:
            if scalar & 1:
                result = self.add(result, point)
            point, scalar = self.add(point, point), scalar >> 1
        return result

    def is_neutral(self, point: Point) -> bool:
        return self.encode(point) == self.encode(self.neutral)

    def decode_key(self, data: bytes, what: str) -> Point:
        """A point that can be a public key or share: of the prime-order group, and not neutral."""
        point = self.decode(data, what)
        in_group = self.is_neutral(self.multiply(self.order, point)) and not self.is_neutral(point)
        require(in_group, what, "is no point of the prime-order group")
        return point


class Secp256k1(Curve):
    """SEC 2, 2.4.1; affine points, () for the point at infinity; compressed encoding of SEC 1, 2.3."""

    p = 2**256 - 2**32 - 977
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    neutral: Point = ()
    base: Point = (
        0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
        0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
    )

    def add(self, left: Point, right: Point) -> Point:
        if not left or not right:
            return left or right
        (x1, y1), (x2, y2) = left, right
        if x1 == x2:
            if (y1 + y2) % self.p == 0:
                return ()
            slope = 3 * x1 * x1 * pow(2 * y1, -1, self.p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, self.p)
        x = (slope * slope - x1 - x2) % self.p
        return (x, (slope * (x1 - x) - y1) % self.p)

    def negate(self, point: Point) -> Point:
        return (point[0], self.p - point[1]) if point else ()

    def encode(self, point: Point) -> bytes:
        return bytes([2 + point[1] % 2]) + point[0].to_bytes(32, "big") if point else b"\0"

    def decode(self, data: bytes, what: str) -> Point:
        x = int.from_bytes(data[1:], "big")
        square = (x**3 + 7) % self.p
        y = pow(square, (self.p + 1) // 4, self.p)
        valid = len(data) == 33 and data[0] in (2, 3) and x < self.p and y * y % self.p == square
        require(valid, what, "is no point of secp256k1")
        return (x, y if y % 2 == data[0] % 2 else self.p - y)


class Ed25519(Curve):
    """RFC 8032, 5.1; extended coordinates (X, Y, Z, T)."""

    p = 2**255 - 19
    order = 2**252 + 27742317777372353535851937790883648493
    d = -121665 * pow(121666, -1, p) % p
    neutral: Point = (0, 1, 1, 0)

    def __init__(self) -> None:
        self.base = self.decode(b"\x58" + b"\x66" * 31, "base point")

    def add(self, left: Point, right: Point) -> Point:
        p = self.p
        (x1, y1, z1, t1), (x2, y2, z2, t2) = left, right
        a, b = (y1 - x1) * (y2 - x2) % p, (y1 + x1) * (y2 + x2) % p
        c, d = 2 * t1 * t2 * self.d % p, 2 * z1 * z2 % p
        e, f, g, h = b - a, d - c, d + c, b + a
        return (e * f % p, g * h % p, f * g % p, e * h % p)

    def negate(self, point: Point) -> Point:
        x, y, z, t = point
        return (-x % self.p, y, z, -t % self.p)

    def encode(self, point: Point) -> bytes:
        inverse = pow(point[2], -1, self.p)
        x, y = point[0] * inverse % self.p, point[1] * inverse % self.p
        return (y | (x & 1) << 255).to_bytes(32, "little")

    def decode(self, data: bytes, what: str) -> Point:
        """RFC 8032, 5.1.3."""
        number = int.from_bytes(data, "little")
        y, sign = number & (1 << 255) - 1, number >> 255
        numerator, denominator = (y * y - 1) % self.p, (self.d * y * y + 1) % self.p
        square = numerator * pow(denominator, -1, self.p) % self.p
        x = pow(square, (self.p + 3) // 8, self.p)
        if x * x % self.p != square:
            x = x * pow(2, (self.p - 1) // 4, self.p) % self.p
        valid = len(data) == 32 and y < self.p and x * x % self.p == square and (x or not sign)
        require(bool(valid), what, "is no point of Ed25519")
        x = x if x & 1 == sign else self.p - x
        return (x, y, 1, x * y % self.p)


SECP256K1, ED25519 = Secp256k1(), Ed25519()
CURVES: Mapping[str, Curve] = {"secp256k1": SECP256K1, "ed25519": ED25519}


def is_signed(verify_key: bytes, message: bytes, signature: bytes) -> bool:
    """Ed25519, RFC 8032, 5.1.7 without the cofactor, and as strict as the nodes' library: canonical S and
    encodings only, no key and no nonce of small order."""
    scalar = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or scalar >= ED25519.order:
        return False
    try:
        key = ED25519.decode(verify_key, "verify key")
    except Fault:
        return False
    digest = hashlib.sha512(signature[:32] + verify_key + message).digest()
    challenge = int.from_bytes(digest, "little") % ED25519.order
    nonce = ED25519.add(
        ED25519.multiply(scalar, ED25519.base), ED25519.negate(ED25519.multiply(challenge, key))
    )
    small = any(ED25519.is_neutral(ED25519.multiply(8, point)) for point in (key, nonce))
    return ED25519.encode(nonce) == signature[:32] and not small


def is_sharing(curve: Curve, values: Sequence[Point], threshold: int) -> bool:
    """Do values at 0, 1, 2... lie on one polynomial of degree exactly threshold - 1? Then its differences of
    that order are all equal and not neutral."""
    level = list(values)
    for _ in range(threshold - 1):
        level = [curve.add(level[i + 1], curve.negate(level[i])) for i in range(len(level) - 1)]
    differences = {curve.encode(point) for point in level}
    return len(level) > 1 and len(differences) == 1 and curve.encode(curve.neutral) not in differences


# --- Certificates -------------------------------------------------------------------------------------------


class Reader:
    """Reads the binary records of docs/protocol.md: unsigned big-endian integers, u32 lengths."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.at, self.what = data, 0, what

    def take(self, size: int) -> bytes:
        require(self.at + size <= len(self.data), self.what, "is truncated")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def variable(self) -> bytes:
        return self.take(self.integer(4))

    def text(self) -> str:
        data = self.variable()
        require(bool(re.fullmatch(rb"[ -~]+", data)), self.what, "has a text that is no printable ASCII")
        return data.decode("ascii")

    def version(self) -> None:
        require(self.integer(1) == 1, self.what, "is of a version that is not known here")

    def end(self) -> None:
        require(self.at == len(self.data), self.what, "has bytes after its end")


@dataclass(frozen=True)
class Member:
    node_id: str
    verify_key: bytes


@dataclass(frozen=True)
class KeyResult:
    """One curve's part of a share set; public_shares: of holders 1, 2, ..."""

    root_key: bytes
    public_shares: tuple[bytes, ...]
    chain_code: bytes


@dataclass(frozen=True)
class Certificate:
    """A share set, the ceremony that made it, and what all its participants signed.

    members: all participants, holders first; dealers: index -> index of the share that it dealt, of a
    reshare; holders: how many of the members hold a share of this set.
    """

    name: str
    statement: bytes
    domain: str
    protocol: str
    digest: bytes
    attempt: int
    role: str
    epoch: int
    manifest_hash: bytes
    previous: bytes
    threshold: int
    members: tuple[Member, ...]
    dealers: Mapping[int, int]
    holders: int
    keys: Mapping[str, KeyResult]
    prepared: tuple[bytes, ...]
    activated: tuple[bytes, ...]

    @property
    def hash(self) -> bytes:
        """Of what was certified and not of the signatures: those can be made in many valid ways."""
        return tagged_hash("quorate/certificate/v1", self.statement_hash)

    @property
    def statement_hash(self) -> bytes:
        return tagged_hash("quorate/statement/v1", self.statement)

    def verify(self) -> None:
        """Every signature with the keys in it, and the algebra of its public shares. Raises Fault."""
        digest = self.statement_hash
        signatures = tagged_hash("quorate/prepared-signatures/v1", *self.prepared)
        for kind, given, message in (
            ("prepared", self.prepared, tagged_hash("quorate/prepared/v1", digest)),
            ("activated", self.activated, tagged_hash("quorate/activated/v1", digest, signatures)),
        ):
            for position, member in enumerate(self.members):
                what = f"{self.name}.{kind}[{position}]"
                valid = is_signed(member.verify_key, message, given[position])
                require(valid, what, f"is no signature of {member.node_id}")
        for name, key in self.keys.items():
            curve, what = CURVES[name], f"{self.name}.{name}"
            points = [curve.decode_key(key.root_key, f"{what}.root_key")]
            for position, share in enumerate(key.public_shares):
                points.append(curve.decode_key(share, f"{what}.public_shares[{position}]"))
            whole = is_sharing(curve, points, self.threshold)
            require(whole, what, f"its public shares are no sharing of its root key by {self.threshold}")

    def check_follows(self, before: Certificate) -> None:
        """Did exactly t holders of `before` deal this set, and do all keys stay? Raises Fault."""
        require(self.domain == before.domain, f"{self.name}.domain", "is not that of the set before")
        same_curves = list(self.keys) == list(before.keys)
        require(same_curves, f"{self.name}.curves", "are not those of the set before")
        require(
            len(self.dealers) == before.threshold,
            f"{self.name}.dealers",
            f"must be {before.threshold} holders of the set before",
        )
        for index, source_index in self.dealers.items():
            known = 1 <= source_index <= before.holders
            holds = known and self.members[index - 1] == before.members[source_index - 1]
            require(holds, f"{self.name}.dealers", f"participant {index} is not the holder of its share")
        for name, key in self.keys.items():
            what = f"{self.name}.{name}"
            earlier = before.keys[name]
            require(key.root_key == earlier.root_key, f"{what}.root_key", "is not that of the set before")
            require(
                key.chain_code == earlier.chain_code, f"{what}.chain_code", "is not that of the set before"
            )


def parse_certificate(text: Any, name: str) -> Certificate:
    """From base64. Raises Fault."""
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise Fault(name, "is not base64") from None
    # One text for one certificate: base64 has spare bits.
    require(base64.b64encode(data).decode() == text, name, "is not base64")
    outer = Reader(data, name)
    outer.version()
    statement = outer.variable()
    inner = Reader(statement, f"{name}.statement")
    inner.version()
    context = Reader(inner.variable(), f"{name}.context")
    context.version()
    fields: dict[str, Any] = {
        "domain": context.text(),
        "protocol": context.text(),
        "digest": context.take(32),
        "attempt": context.integer(4),
        "role": context.text(),
        "epoch": context.integer(4),
        "manifest_hash": context.take(32),
        "previous": context.variable(),
        "threshold": context.integer(2),
    }
    size = context.integer(2)
    require(1 <= size <= MAX_PARTICIPANTS, f"{name}.participants", f"must be 1 to {MAX_PARTICIPANTS}")
    members = tuple(Member(context.text(), context.take(32)) for _ in range(size))
    curves = [context.text() for _ in range(context.integer(1))]
    dealers = [(context.integer(2), context.integer(2)) for _ in range(context.integer(2))]
    holders = size - context.integer(2)
    context.end()
    check_context(name, fields, members, curves, dealers, holders)

    inner.take(32)  # ssid: of the ceremony's transcript, which is not here
    keys = {}
    for curve in curves:
        point_size = 33 if curve == "secp256k1" else 32
        root_key = inner.take(point_size)
        shares = tuple(inner.take(point_size) for _ in range(holders))
        keys[curve] = KeyResult(root_key, shares, inner.take(32))
    require(inner.integer(1) == 0, f"{name}.pair_setup_kind", "is not known here")
    inner.take(32)
    inner.end()
    prepared = tuple(outer.take(64) for _ in range(size))
    activated = tuple(outer.take(64) for _ in range(size))
    outer.end()
    return Certificate(
        name=name,
        statement=statement,
        members=members,
        dealers=dict(dealers),
        holders=holders,
        keys=keys,
        prepared=prepared,
        activated=activated,
        **fields,
    )


def check_context(
    name: str,
    fields: Mapping[str, Any],
    members: Sequence[Member],
    curves: Sequence[str],
    dealers: Sequence[tuple[int, int]],
    holders: int,
) -> None:
    """Can a ceremony have had these parameters? Raises Fault."""
    size, reshare = len(members), fields["protocol"] == "reshare/1"
    require(fields["protocol"] in ("keygen/1", "reshare/1"), f"{name}.protocol", "is not known here")
    require(1 <= fields["attempt"] <= MAX_ATTEMPTS, f"{name}.attempt", f"must be 1 to {MAX_ATTEMPTS}")
    expected_size = 32 if reshare else 0
    require(len(fields["previous"]) == expected_size, f"{name}.previous", "goes with a reshare")
    require(2 <= fields["threshold"] <= holders, f"{name}.threshold", "must be 2 to the number of holders")
    for one in ({each.node_id for each in members}, {each.verify_key for each in members}):
        require(len(one) == size, f"{name}.participants", "one of them is there twice")
    in_order = list(curves) == [curve for curve in CURVE_NAMES if curve in curves]
    require(bool(curves) and in_order, f"{name}.curves", "must be known ones, in their order")
    indices, sources = [index for index, _ in dealers], [source for _, source in dealers]
    require(bool(dealers) == reshare, f"{name}.dealers", "go with a reshare")
    require(sources == sorted(set(sources)), f"{name}.dealers", "must deal different shares, in order")
    valid = len(set(indices)) == len(indices) and all(1 <= index <= size for index in indices)
    require(valid, f"{name}.dealers", "must be different participants")
    pure = set(range(holders + 1, size + 1))
    require(holders >= 1 and pure <= set(indices), f"{name}.pure_dealers", "must be dealers")


def check_chain(pool: Sequence[Certificate], anchor: Mapping[str, Any]) -> dict[bytes, Certificate]:
    """Verify all certificates, each down to the anchor's KeyGen; returns them by hash. Raises Fault.

    A certificate's hash covers its predecessor's, so they cannot point in a circle: if each of them follows
    one that is there, or is the KeyGen, then all of them descend from the KeyGen.
    """
    by_hash = {certificate.hash: certificate for certificate in pool}
    keys = {each["curve"]: (each["root_key"], each["chain_code"]) for each in anchor["root_keys"]}
    for certificate in pool:
        certificate.verify()
        if certificate.protocol == "keygen/1":
            is_anchor = certificate.hash.hex() == anchor["certificate_hash"]
            require(is_anchor, certificate.name, "is a KeyGen, and not the one that the anchor names")
            for name, key in certificate.keys.items():
                same = keys.get(name) == (key.root_key.hex(), key.chain_code.hex())
                require(same, f"anchor.root_keys.{name}", "is not what its KeyGen made")
            require(len(keys) == len(certificate.keys), "anchor.root_keys", "are not those of its KeyGen")
        else:
            before = by_hash.get(certificate.previous)
            if before is None:
                raise Fault(certificate.name, f"follows {certificate.previous.hex()}, which is not here")
            certificate.check_follows(before)
    return by_hash


# --- The request --------------------------------------------------------------------------------------------

ANSWER = (
    *("intent", "canonical", "digest", "manifest", "source_manifest", "policy", "new_policy"),
    *("approvals", "certificate", "certificates"),
)


@dataclass
class Report:
    """passed: (thing, words) of all that was found to hold; notes: what the caller should know beside it."""

    passed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def holds(self, thing: str, words: str) -> None:
        self.passed.append((thing, words))


@dataclass(frozen=True)
class Vote:
    side: str
    node_ids: Sequence[str]
    needed: int


def check_intent(document: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The intent and its digest. Raises Fault."""
    text = document["canonical"]
    intent: dict[str, Any] = parse_canonical(text, "canonical")
    INTENT(intent, "canonical")
    # As texts: True equals 1 in Python.
    require(is_canonical(text, document["intent"]), "intent", "is not what the canonical text says")
    digest = hashlib.sha256(b"quorate/intent/v1" + text.encode()).digest()
    require(document["digest"] == digest.hex(), "digest", f"is not the intent's, which is {digest.hex()}")
    kind, source = intent["type"], intent["source"]
    runs, fresh = kind in CEREMONY_TYPES, kind == "KeyGen"
    curves = [] if fresh else intent["curves"]
    for name, fits in {
        "source": (source is None) == fresh and (fresh or source["certificate_hash"] != ""),
        "expected": [key["curve"] for key in intent["expected"]] == curves,
        "eligible": bool(intent["eligible"]) != fresh,
        "protocol": intent["protocol"] == ("keygen/1" if fresh else "reshare/1" if runs else ""),
        "replaces": not intent["replaces"] or kind in ("Recovery", "Reshare"),
        "retires": not intent["retires"] or runs,
        "new_policy_hash": bool(intent["new_policy_hash"]) == (kind == "PolicyChange"),
        "original_main": bool(intent["original_main"]) == (kind == "RoleChange"),
        "expires": 0 < intent["expires"] - intent["not_before"] <= MAX_LIFETIME_MS,
    }.items():
        require(fits, f"intent.{name}", f"does not fit a {kind}")
    return intent, digest


def check_manifest(
    text: Any, reference: Mapping[str, Any], intent: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """The roster that `reference`, a group of the intent, names. Raises Fault."""
    manifest: dict[str, Any] = parse_canonical(text, what)
    MANIFEST(manifest, what)
    named = tagged_hash("quorate/manifest/v1", text.encode()).hex() == reference["manifest_hash"]
    require(named, what, "is not the one that the intent names")
    for name in ("organisation_id", "vault_id"):
        require(manifest[name] == intent[name], f"{what}.{name}", "is not the intent's")
    for name in ("group_id", "role", "threshold", "participants", "epoch"):
        require(manifest[name] == reference[name], f"{what}.{name}", "is not the intent's")
    holders = manifest["holders"]
    whole = manifest["threshold"] <= manifest["participants"] == len(holders)
    require(whole, f"{what}.holders", "must be as many as participants, and the threshold no more")
    for index, holder in enumerate(holders, start=1):
        where, card = f"{what}.holders[{index - 1}]", holder["card"]
        require(holder["index"] == index, f"{where}.index", f"must be {index}")
        signing_key = bytes.fromhex(card["signing_key"])
        identity = hashlib.sha256(signing_key + bytes.fromhex(card["encryption_key"])).digest()
        require(card["node_id"] == "quo" + base58(identity), f"{where}.node_id", "is not that of its keys")
        message = tagged_hash("quorate/holder-card/v1", canonical(card).encode())
        signed = is_signed(signing_key, message, bytes.fromhex(holder["signature"]))
        require(signed, f"{where}.signature", "is not the holder's of this card")
    for name in ("node_id", "signing_key", "encryption_key"):
        distinct = len({holder["card"][name] for holder in holders}) == len(holders)
        require(distinct, f"{what}.holders", f"two have the same {name}")
    passkeys = [each for holder in holders for each in holder["card"]["credentials"]]
    for name in ("id", "public_key"):
        distinct = len({each[name] for each in passkeys}) == len(passkeys)
        require(distinct, f"{what}.holders", f"two passkeys have the same {name}")
    return manifest


def check_policies(document: Mapping[str, Any], intent: Mapping[str, Any]) -> dict[str, Any]:
    """The policy that governs; a new one must name it as its predecessor. Raises Fault."""

    def check(name: str, hash_field: str) -> dict[str, Any]:
        policy: dict[str, Any] = parse_canonical(document[name], name)
        POLICY(policy, name)
        found = tagged_hash("quorate/policy/v1", document[name].encode()).hex()
        require(found == intent[hash_field], name, "is not the one that the intent names")
        require(policy["vault_id"] == intent["vault_id"], f"{name}.vault_id", "is not the intent's")
        return policy

    policy = check("policy", "policy_hash")
    require(intent["type"] in policy["creators"], "policy.creators", f"allows no {intent['type']}")
    lifetime = intent["expires"] - intent["not_before"]
    require(lifetime <= policy["request_lifetime"], "intent.expires", "is later than the policy allows")
    if intent["type"] == "PolicyChange":
        after = check("new_policy", "new_policy_hash")["predecessor"]
        require(after == intent["policy_hash"], "new_policy.predecessor", "is not the policy that governs")
    else:
        require(not document["new_policy"], "new_policy", f"does not belong to a {intent['type']}")
    return policy


def votes_of(intent: Mapping[str, Any], holders: Sequence[str], policy: Mapping[str, Any]) -> list[Vote]:
    """All votes that the request must win; holders: node ids of the target group."""
    everyone = Vote("target", holders, len(holders))
    if intent["type"] in ("KeyGen", "Refresh"):
        return [everyone]
    needed = max(intent["source"]["threshold"], policy["required_approvals"])
    source = Vote("source", intent["eligible"], needed)
    if intent["type"] == "PolicyChange":
        return [source]
    if intent["type"] == "RoleChange":
        return [source, Vote("target", holders, intent["target"]["threshold"])]
    return [source, everyone]


def check_approvals(
    approvals: Any, intent: Mapping[str, Any], digest: bytes, keys: Mapping[str, bytes]
) -> dict[str, str]:
    """Every decision's signature; keys: of all holders. Returns node id -> decision. Raises Fault."""
    list_of(APPROVAL, limit=2 * MAX_PARTICIPANTS)(approvals, "approvals")
    decisions: dict[str, str] = {}
    for position, each in enumerate(approvals):
        what, node_id = f"approvals[{position}]", each["node_id"]
        require(each["digest"] == digest.hex(), f"{what}.digest", "is another request's")
        require(node_id in keys, f"{what}.node_id", "is no holder of source or target group")
        require(node_id not in decisions, f"{what}.node_id", "has decided twice")
        texts = (each["decision"].encode(), node_id.encode(), each["time"].to_bytes(8, "big"))
        message = tagged_hash("quorate/approval/v1", digest, *texts, each["reason"].encode())
        signed = is_signed(keys[node_id], message, bytes.fromhex(each["signature"]))
        require(signed, f"{what}.signature", f"is not that of {node_id}")
        in_time = intent["not_before"] <= each["time"] <= intent["expires"]
        require(in_time or each["decision"] != "approve", f"{what}.time", "is not in the request's life")
        decisions[node_id] = each["decision"]
    return decisions


def check_passkeys(
    approvals: Any,
    intent: Mapping[str, Any],
    digest: bytes,
    cards: Mapping[str, Mapping[str, Any]],
    report: Report,
) -> dict[str, str]:
    """What passkeys decided; cards: of all holders. Returns node id -> decision. Raises Fault.

    P-256 is not among this program's curves: of an ES256 vote everything but the signature is checked.
    """
    list_of(PASSKEY_APPROVAL, limit=MAX_PARTICIPANTS)(approvals, "approvals")
    decisions: dict[str, str] = {}
    for position, each in enumerate(approvals):
        what, node_id = f"approvals (of passkeys)[{position}]", each["node_id"]
        require(each["digest"] == digest.hex(), f"{what}.digest", "is another request's")
        require(node_id in cards and node_id not in decisions, f"{what}.node_id", "is no holder, or is twice")
        listed = [key for key in cards[node_id]["credentials"] if key["id"] == each["credential_id"]]
        require(bool(listed), f"{what}.credential_id", "is not on the holder's card")
        signed_fields = ("credential_id", "decision", "digest", "node_id", "reason", "time")
        text = canonical({name: each[name] for name in signed_fields})
        challenge = hashlib.sha256(b"quorate/webauthn/v1" + text.encode()).digest()
        client_data, data = bytes.fromhex(each["client_data"]), bytes.fromhex(each["authenticator_data"])
        said = parse_json(client_data.decode(errors="replace"), f"{what}.client_data")
        require(isinstance(said, dict), f"{what}.client_data", "must be an object")
        expected = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
        about = (said.get("type"), said.get("challenge"), said.get("crossOrigin", False))
        require(
            about == ("webauthn.get", expected, False), f"{what}.client_data", "is not about this decision"
        )
        require(said.get("origin") in listed[0]["origins"], f"{what}.client_data.origin", "is another site's")
        site = hashlib.sha256(listed[0]["rp_id"].encode()).digest()
        flags = data[32] if len(data) >= 37 and data[:32] == site else 0
        require(flags & 0x45 == 0x05, f"{what}.authenticator_data", "is another site's or lacks the user")
        in_time = intent["not_before"] <= each["time"] <= intent["expires"]
        require(in_time or each["decision"] != "approve", f"{what}.time", "is not in the request's life")
        if listed[0]["algorithm"] == "EdDSA":
            message, key = data + hashlib.sha256(client_data).digest(), bytes.fromhex(listed[0]["public_key"])
            signed = is_signed(key, message, bytes.fromhex(each["signature"]))
            require(signed, f"{what}.signature", "is not the passkey's")
        else:
            report.notes.append(f"NOT CHECKED: the P-256 signature of the passkey vote of {node_id}")
        decisions[node_id] = each["decision"]
    return decisions


def check_votes(votes: Sequence[Vote], decisions: Mapping[str, str], is_open: bool, report: Report) -> None:
    """Raises Fault for a vote that is lost; an open request's may be undecided."""
    for node_id, decision in decisions.items():
        if decision == "reject" and not is_open:
            raise Fault("approvals", f"{node_id} has rejected this request")
    for vote in votes:
        approving = [node_id for node_id in vote.node_ids if decisions.get(node_id) == "approve"]
        words = f"{len(approving)} of {len(vote.node_ids)} holders approve, {vote.needed} are needed"
        if len(approving) >= vote.needed:
            report.holds(f"{vote.side} vote", f"{words}: {', '.join(approving)}")
        else:
            require(is_open, f"{vote.side} vote", words)
            report.notes.append(f"OPEN: {vote.side} vote: {words}")


def roster(manifest: Mapping[str, Any]) -> tuple[Member, ...]:
    cards = [holder["card"] for holder in manifest["holders"]]
    return tuple(Member(card["node_id"], bytes.fromhex(card["signing_key"])) for card in cards)


def check_holders(certificate: Certificate, manifest: Mapping[str, Any]) -> None:
    """Is this the share set of that roster? Raises Fault."""
    name, held = certificate.name, certificate.members[: certificate.holders]
    text_hash = tagged_hash("quorate/manifest/v1", canonical(manifest).encode())
    require(certificate.manifest_hash == text_hash, f"{name}.manifest_hash", "is another roster's")
    for each in ("role", "threshold", "epoch"):
        require(getattr(certificate, each) == manifest[each], f"{name}.{each}", "is not the roster's")
    require(held == roster(manifest), f"{name}.participants", "are not the roster's")


def check_result(
    final: Certificate,
    intent: Mapping[str, Any],
    digest: bytes,
    source: Mapping[str, Any] | None,
    approved: set[str],
) -> None:
    """Is this the set that the request, with these approvals, allows? Its roster is checked. Raises Fault."""
    name = final.name
    require(final.digest == digest, f"{name}.digest", "is another request's")
    require(final.domain == intent["domain"], f"{name}.domain", "is not the intent's")
    require(final.protocol == intent["protocol"], f"{name}.protocol", "is not the intent's")
    require(list(final.keys) == intent["curves"], f"{name}.curves", "are not the intent's")
    if source is None:
        require(final.holders == len(final.members), f"{name}.participants", "are more than the holders")
        return
    named = final.previous.hex() == intent["source"]["certificate_hash"]
    require(named, f"{name}.previous", "is not the set that the intent names as source")
    dealing = [roster(source)[source_index - 1] for source_index in final.dealers.values()]
    for dealer in dealing:
        may = dealer.node_id in intent["eligible"] and dealer.node_id in approved
        require(may, f"{name}.dealers", f"{dealer.node_id} was not asked or did not approve")
    receivers = final.members[: final.holders]
    pure = tuple(dealer for dealer in dealing if dealer not in receivers)
    require(final.members[final.holders :] == pure, f"{name}.participants", "are not holders and dealers")


def check_request(
    document: Mapping[str, Any], anchor: Mapping[str, Any] | None, is_open: bool, report: Report
) -> None:
    """All of one answer of the site. Raises Fault at the first thing that does not hold."""
    for name in ANSWER:
        require(name in document, name, "is missing")
    intent, digest = check_intent(document)
    kind, words = intent["type"], f"vault {intent['vault_id']}, digest {digest.hex()}"
    report.holds("intent", f"{kind} {intent['request_id']}, {words}")
    target, source = check_rosters(document, intent, report)
    policy = check_policies(document, intent)
    report.holds("policy", intent["policy_hash"])

    members = (*roster(target), *(roster(source) if source else ()))
    keys = {member.node_id: member.verify_key for member in members}
    cards = newest_cards(source, target)
    require(isinstance(document["approvals"], list), "approvals", "must be a list")
    by_kind: tuple[list[Any], list[Any]] = ([], [])
    for each in document["approvals"]:
        by_kind[isinstance(each, dict) and "credential_id" in each].append(each)
    by_passkey = check_passkeys(by_kind[1], intent, digest, cards, report)
    decisions = both_signed(check_approvals(by_kind[0], intent, digest, keys), by_passkey, cards)
    votes = votes_of(intent, [member.node_id for member in roster(target)], policy)
    check_votes(votes, decisions, is_open, report)

    if anchor is None:
        require(is_open and kind == "KeyGen", "anchor", "is needed: nothing else ties this to your key")
        report.notes.append("OPEN: a KeyGen has no anchor before it is done; this proves consistency only")
        return
    for name in ("organisation_id", "vault_id"):
        require(anchor[name] == intent[name], f"anchor.{name}", "is not the request's")
    expected = kind == "KeyGen" or intent["expected"] == anchor["root_keys"]
    require(expected, "intent.expected", "are not the root keys of the anchor")
    if anchor["policy_hash"] not in (intent["policy_hash"], intent["new_policy_hash"]):
        report.notes.append("the anchor names another policy: it was exported under an earlier or later one")

    named = [group for group in (intent["source"], intent["target"]) if group]
    main = [group["group_id"] for group in named if group["role"] == "main" or kind == "RoleChange"]
    if main and anchor["main_group_id"] not in main:
        report.notes.append("the anchor names another Main group: it was exported before or after a change")

    own, pool = parse_certificates(document)
    by_hash = check_chain(pool, anchor)
    start = f"the anchor's KeyGen {anchor['certificate_hash']}"
    report.holds("chain", f"{len(by_hash)} certificates, each signed by all its participants, from {start}")
    check_sets_before(intent, target, source, by_hash)
    if kind not in CEREMONY_TYPES:
        require(own is None, "certificate", f"a {kind} makes no share set")
    elif own is None:
        require(is_open, "certificate", "is missing: the request has made no share set")
        report.notes.append("OPEN: the request has made no share set")
    else:
        check_holders(own, target)
        approved = {node_id for node_id, decision in decisions.items() if decision == "approve"}
        check_result(own, intent, digest, source, approved)
        report.holds("share set", f"{own.hash.hex()}, made in attempt {own.attempt}")


def newest_cards(*manifests: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Node id -> card; of a holder in two rosters the later version."""
    cards: dict[str, Mapping[str, Any]] = {}
    for manifest in manifests:
        for holder in manifest["holders"] if manifest else ():
            card = holder["card"]
            known = cards.get(card["node_id"])
            if known is None or card["version"] >= known["version"]:
                cards[card["node_id"]] = card
    return cards


def both_signed(
    by_node: Mapping[str, str], by_passkey: Mapping[str, str], cards: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """A holder approves with every signature that its card asks for, and rejects or withdraws with one."""
    decisions = dict(by_node)
    for node_id, decision in by_node.items():
        if decision == "approve" and cards[node_id]["method"] != "node" and node_id not in by_passkey:
            del decisions[node_id]
    for node_id, decision in by_passkey.items():
        if decision != "approve" and decisions.get(node_id) != "reject":
            decisions[node_id] = decision
    return decisions


def check_rosters(
    document: Mapping[str, Any], intent: Mapping[str, Any], report: Report
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The target's manifest and the source's. Raises Fault."""
    target, source = check_manifest(document["manifest"], intent["target"], intent, "manifest"), None
    if intent["source"] is None:
        require(not document["source_manifest"], "source_manifest", "does not belong to a KeyGen")
    else:
        source = check_manifest(document["source_manifest"], intent["source"], intent, "source_manifest")
        eligible = set(intent["eligible"])
        known = eligible <= {member.node_id for member in roster(source)}
        distinct = len(eligible) == len(intent["eligible"])
        require(known and distinct, "intent.eligible", "are not different source holders")
    for side, manifest in (("source", source), ("target", target)):
        if manifest:
            ids = ", ".join(member.node_id for member in roster(manifest))
            service = sum(holder["card"]["kind"] == "service" for holder in manifest["holders"])
            beside = manifest["threshold"] - service
            require(beside >= 1, f"{side} roster", "gives the service's own nodes a whole threshold")
            size = f"{manifest['threshold']} of {manifest['participants']} ({beside} beside the service)"
            group = f"{manifest['role']} group {manifest['group_id']}, epoch {manifest['epoch']}"
            report.holds(f"{side} roster", f"{group}, {size}: {ids}")
    return target, source


def check_sets_before(
    intent: Mapping[str, Any],
    target: Mapping[str, Any],
    source: Mapping[str, Any] | None,
    by_hash: Mapping[bytes, Certificate],
) -> None:
    """Are the sets that the intent rests on certified, and held by the rosters shown? Raises Fault."""

    def certified(side: str) -> Certificate:
        certificate = by_hash.get(bytes.fromhex(intent[side]["certificate_hash"]))
        if certificate is None:
            raise Fault(f"intent.{side}.certificate_hash", "is of a set whose certificate is not here")
        return certificate

    if source is not None:
        check_holders(certified("source"), source)
    epoch = 1
    if intent["target"]["certificate_hash"]:
        before = certified("target")
        epoch = before.epoch + 1
        if intent["type"] not in CEREMONY_TYPES:
            epoch = before.epoch
            check_holders(before, target)
    require(target["epoch"] == epoch, "intent.target.epoch", f"must be {epoch}")


def parse_certificates(document: Mapping[str, Any]) -> tuple[Certificate | None, list[Certificate]]:
    """The request's own certificate, and all certificates, each once. Raises Fault."""
    list_of(string(1 << 20))(document["certificates"], "certificates")
    names = {text: f"certificates[{position}]" for position, text in enumerate(document["certificates"])}
    own = document["certificate"]
    string(1 << 20)(own, "certificate")
    if own:
        names[own] = "certificate"
    parsed = {text: parse_certificate(text, name) for text, name in names.items()}
    return parsed.get(own), list(parsed.values())


# --- From root key to address -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExtendedKey:
    """BIP 32; key: 33 bytes, as in the text of the key."""

    key: bytes
    chain_code: bytes
    depth: int = 0
    parent: bytes = bytes(4)
    number: int = 0

    def text(self) -> str:
        place = bytes([self.depth]) + self.parent + self.number.to_bytes(4, "big")
        return base58check(bytes.fromhex("0488b21e") + place + self.chain_code + self.key)

    def child(self, number: int) -> ExtendedKey:
        """CKDpub, on secp256k1. Raises Fault for the child that BIP 32 skips."""
        digest = hmac.digest(self.chain_code, self.key + number.to_bytes(4, "big"), "sha512")
        tweak = int.from_bytes(digest[:32], "big")
        parent = SECP256K1.decode(self.key, "key")
        point = SECP256K1.add(SECP256K1.multiply(tweak, SECP256K1.base), parent)
        require(tweak < SECP256K1.order and bool(point), "path", f"has no child {number}")
        return ExtendedKey(
            SECP256K1.encode(point), digest[32:], self.depth + 1, hash160(self.key)[:4], number
        )


def parse_path(text: str) -> list[int]:
    """ "m/0/7" as [0, 7]. Raises Fault."""
    plain = re.fullmatch(r"m(/(0|[1-9][0-9]{0,9}))*", text) is not None
    steps = [int(step) for step in text.split("/")[1:]] if plain else []
    valid = plain and len(steps) <= 255 and all(step < HARDENED for step in steps)
    require(valid, "path", "must be m and at most 255 non-hardened steps: m/0/7")
    return steps


def addresses(key: bytes) -> dict[str, str]:
    """Kind -> address of a secp256k1 key, 33 bytes."""
    digest = hash160(key)
    point = SECP256K1.decode(key, "key")
    # BIP 86 on BIP 341: the key with the even y, and a tweak that commits to no script.
    even = SECP256K1.decode(b"\x02" + key[1:], "key")
    tag = hashlib.sha256(b"TapTweak").digest()
    tweak = int.from_bytes(hashlib.sha256(tag + tag + key[1:]).digest(), "big")
    output = SECP256K1.encode(SECP256K1.add(even, SECP256K1.multiply(tweak, SECP256K1.base)))[1:]
    found = {}
    for network, version, prefix in (("Bitcoin", 0, "bc"), ("Bitcoin testnet", 0x6F, "tb")):
        found[f"{network} P2PKH"] = base58check(bytes([version]) + digest)
        found[f"{network} P2WPKH"] = segwit_address(prefix, 0, digest)
        found[f"{network} P2TR (BIP 86)"] = segwit_address(prefix, 1, output)
    plain = keccak256(b"".join(number.to_bytes(32, "big") for number in point))[-20:].hex()
    # EIP-55
    mask = keccak256(plain.encode()).hex()
    found["Ethereum"] = "0x" + "".join(c.upper() if mask[i] >= "8" else c for i, c in enumerate(plain))
    return found


def check_address(
    anchor: Mapping[str, Any], path: str, address: str | None, xpub: str | None, report: Report
) -> None:
    """The keys of the anchor, the child at `path`, and whether xpub and address are that child's."""
    steps = parse_path(path)
    names: dict[str, str] = {}
    xpubs = []
    for each in anchor["root_keys"]:
        curve, is_secp256k1 = each["curve"], each["curve"] == "secp256k1"
        prefix = b"" if is_secp256k1 else b"\0"
        key = ExtendedKey(prefix + bytes.fromhex(each["root_key"]), bytes.fromhex(each["chain_code"]))
        report.holds(f"{curve} root key", key.text())
        if is_secp256k1:
            for step in steps:
                key = key.child(step)
            names = addresses(key.key)
        if is_secp256k1 or not steps:
            xpubs.append(key.text())
    require(xpub is None or xpub in xpubs, "xpub", f"is not of the anchor's key at {path}")
    if xpub is not None:
        report.holds("xpub", f"{xpub} is the key at {path}")
    if address is None:
        for kind, name in names.items():
            report.holds(f"{kind} address at {path}", name)
    else:
        # EIP-55 is a checksum that an Ethereum address may do without.
        plain = {**names, "Ethereum, without checksum": names.get("Ethereum", "").lower()}
        kinds = [kind for kind, name in plain.items() if name and name == address]
        require(bool(kinds), "address", f"is none of the anchor's secp256k1 key at {path}")
        report.holds("address", f"{address} is the key at {path} ({kinds[0]})")


# --- Command line -------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """What the site sent must not move the cursor of whoever reads about it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def verify(
    request_text: str,
    anchor_text: str | None,
    *,
    is_open: bool = False,
    path: str = "m",
    address: str | None = None,
    xpub: str | None = None,
) -> tuple[Report, Fault | None]:
    """Check everything; the report has what holds up to the first fault."""
    report = Report()
    try:
        anchor = None
        if anchor_text is not None:
            anchor = parse_canonical(anchor_text.rstrip("\r\n"), "anchor")
            ANCHOR(anchor, "anchor")
        document = parse_json(request_text, "request")
        require(isinstance(document, dict), "request", "must be an object")
        check_request(document, anchor, is_open, report)
        if anchor is not None:
            check_address(anchor, path, address, xpub, report)
        else:
            require(address is None and xpub is None, "address", "needs an anchor")
    except Fault as fault:
        return report, fault
    return report, None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("request", type=Path, help="answer of GET /v2/requests/{id}/intent")
    parser.add_argument("--anchor", type=Path, help="what a node of yours exported (signer anchor export)")
    parser.add_argument("--open", action="store_true", help="the request need not be approved or done yet")
    parser.add_argument("--path", default="m", help="non-hardened path below the secp256k1 root, as m/0/7")
    parser.add_argument("--address", help="must be an address of the key at --path")
    parser.add_argument("--xpub", help="must be the extended public key at --path, or the Ed25519 root")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args(arguments)
    try:
        request_text = given.request.read_text("utf-8")
        anchor_text = given.anchor.read_text("utf-8") if given.anchor else None
    except (OSError, UnicodeDecodeError) as error:
        parser.error(str(error))
    report, fault = verify(
        request_text, anchor_text, is_open=given.open, path=given.path, address=given.address, xpub=given.xpub
    )
    if given.json:
        found = {
            "valid": fault is None,
            "holds": [{"thing": thing, "words": words} for thing, words in report.passed],
            "notes": report.notes,
            "fault": {"what": fault.what, "message": fault.message} if fault else None,
        }
        print(json.dumps(found, indent=2))
        return 1 if fault else 0
    for thing, words in report.passed:
        print(printable(f"ok      {thing}: {words}"))
    for note in report.notes:
        print(printable(f"note    {note}"))
    if fault:
        print(printable(f"FAILED  {fault}"))
        print("Nothing after this was checked, and what is above rests on it. Do not rely on this request.")
        return 1
    print("Everything that was checked holds. What that does not prove: --help.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
