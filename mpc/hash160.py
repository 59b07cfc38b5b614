"""HASH160 = RIPEMD-160(SHA-256(data)), BIP 32's key identifier.

OpenSSL 3.0.0 to 3.0.6 ship without RIPEMD-160 in the default provider, so hashlib lacks it on some supported
systems; there this module's own implementation (Dobbertin, Bosselaers, Preneel: "RIPEMD-160", 1996) answers.
It only ever hashes public keys.
"""

import hashlib
import struct

# Message word order, rho(i), and its line-wise powers; the right line starts at pi(i) = 9 i + 5 mod 16.
_RHO = (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8)
# Rotation by message word, one row a round (both lines use the same rows).
_SHIFTS = (
    (11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8),
    (12, 13, 11, 15, 6, 9, 9, 7, 12, 15, 11, 13, 7, 8, 7, 7),
    (13, 15, 14, 11, 7, 7, 6, 8, 13, 14, 13, 12, 5, 5, 6, 9),
    (14, 11, 12, 14, 8, 6, 5, 5, 15, 12, 15, 14, 9, 9, 8, 6),
    (15, 12, 13, 13, 9, 5, 8, 6, 14, 11, 12, 11, 8, 6, 5, 5),
)
_LEFT_CONSTANTS = (0, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
_RIGHT_CONSTANTS = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0)
_MASK = 0xFFFFFFFF


def hash160(data: bytes) -> bytes:
    """20 bytes."""
    inner = hashlib.sha256(data).digest()
    try:
        return hashlib.new("ripemd160", inner).digest()
    except ValueError:
        return ripemd160(inner)


def ripemd160(data: bytes) -> bytes:
    """20 bytes."""
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + struct.pack("<Q", 8 * len(data))
    for at in range(0, len(padded), 64):
        words = struct.unpack("<16I", padded[at : at + 64])
        left = _line(state, words, list(range(16)), _LEFT_CONSTANTS, range(5))
        right = _line(state, words, [(9 * i + 5) % 16 for i in range(16)], _RIGHT_CONSTANTS, range(4, -1, -1))
        state = (
            (state[1] + left[2] + right[3]) & _MASK,
            (state[2] + left[3] + right[4]) & _MASK,
            (state[3] + left[4] + right[0]) & _MASK,
            (state[4] + left[0] + right[1]) & _MASK,
            (state[0] + left[1] + right[2]) & _MASK,
        )
    return struct.pack("<5I", *state)


def _line(
    state: tuple[int, int, int, int, int],
    words: tuple[int, ...],
    order: list[int],
    constants: tuple[int, ...],
    functions: range,
) -> tuple[int, int, int, int, int]:
    a, b, c, d, e = state
    for number, function in enumerate(functions):
        for word in order:
            total = (a + _mix(function, b, c, d) + words[word] + constants[number]) & _MASK
            a, e, d, c, b = e, d, _rotate(c, 10), b, (_rotate(total, _SHIFTS[number][word]) + e) & _MASK
        order = [_RHO[word] for word in order]
    return a, b, c, d, e


def _rotate(value: int, count: int) -> int:
    return (value << count | value >> (32 - count)) & _MASK


def _mix(function: int, x: int, y: int, z: int) -> int:
    if function == 0:
        return x ^ y ^ z
    if function == 1:
        return (x & y) | (~x & _MASK & z)
    if function == 2:
        return (x | (~y & _MASK)) ^ z
    if function == 3:
        return (x & z) | (y & (~z & _MASK))
    return x ^ (y | (~z & _MASK))
