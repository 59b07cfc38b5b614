"""Base58 and Base58Check as BIP 32 uses them (the alphabet without 0, O, I and l)."""

import hashlib

from mpc.errors import EncodingError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}
MAX_TEXT = 512


def b58encode(data: bytes) -> str:
    """Base58 text; each leading zero byte becomes a leading "1"."""
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\x00"))) + text


def b58decode(text: str) -> bytes:
    """The bytes behind Base58 text of at most MAX_TEXT characters. Raises EncodingError."""
    # Decoding is quadratic, so the length is bounded first.
    if len(text) > MAX_TEXT:
        raise EncodingError("base58", f"longer than {MAX_TEXT} characters")
    number = 0
    for character in text:
        if character not in _DIGITS:
            raise EncodingError("base58", "has a character outside the alphabet")
        number = number * 58 + _DIGITS[character]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def b58encode_check(data: bytes) -> str:
    """Base58 of `data` and its 4-byte checksum."""
    return b58encode(data + _checksum(data))


def b58decode_check(text: str) -> bytes:
    """The payload of Base58Check text. Raises EncodingError."""
    data = b58decode(text)
    if len(data) < 4 or _checksum(data[:-4]) != data[-4:]:
        raise EncodingError("base58", "checksum does not match")
    return data[:-4]


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
