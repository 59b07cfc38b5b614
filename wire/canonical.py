"""Strict JSON in, canonical JSON (RFC 8785, JCS) out.

One parser serves the public API and everything that is hashed or signed, so that no two readers of the same
bytes can see two meanings (R8): no duplicate names, no NaN or infinity, no integer above 2^53 - 1, no lone
surrogate, only NFC text.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import rfc8785

# Any, because a JSON value is inspected field by field by its reader.
Json: TypeAlias = Any

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 32

# Strings are skipped as a whole, so brackets inside them do not count. Possessive, and matching a string
# that never ends too: with a way back, such a string is scanned again from each quote in it (quadratic).
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


class CanonicalError(ValueError):
    """Bytes that are not strict JSON; `field` is the path of the value at fault ("" for the document)."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


def parse_json(data: bytes, *, max_bytes: int = 1 << 20) -> Json:
    """Parse strict JSON; floats pass here (the reader of a field refuses them where it wants an integer).

    data: UTF-8 bytes. Raises CanonicalError. Cost is linear in len(data), which is checked first.
    """
    if len(data) > max_bytes:
        raise CanonicalError(f"larger than {max_bytes} bytes")
    _check_depth(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CanonicalError("not UTF-8") from error
    try:
        value = json.loads(text, object_pairs_hook=_unique_names, parse_constant=_no_constant)
    except CanonicalError:
        raise
    except (ValueError, RecursionError) as error:
        # A ValueError also covers integers beyond Python's digit limit.
        raise CanonicalError("not valid JSON") from error
    check_value(value)
    return value


def canonical_bytes(value: Json) -> bytes:
    """The RFC 8785 serialisation of `value`. Raises CanonicalError for what R8 refuses."""
    check_value(value)
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise CanonicalError("has no canonical form") from error


def parse_canonical(data: bytes, *, max_bytes: int = 1 << 20) -> Json:
    """Parse JSON that must already be in canonical form, so that the same value has one byte string only."""
    value = parse_json(data, max_bytes=max_bytes)
    if canonical_bytes(value) != data:
        raise CanonicalError("not in canonical form (RFC 8785)")
    return value


def check_value(value: Json, field: str = "") -> None:
    """Raise CanonicalError where a value breaks R8's rules for text and numbers."""
    if isinstance(value, str):
        _check_text(value, field)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise CanonicalError("integers above 2^53 - 1 must be strings", field)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise CanonicalError("not a finite number", field)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                raise CanonicalError("names must be text", field)
            _check_text(name, field)
            check_value(item, f"{field}.{name}" if field else name)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for position, item in enumerate(value):
            check_value(item, f"{field}[{position}]")
    else:
        raise CanonicalError(f"no JSON form for {type(value).__name__}", field)


def _check_text(text: str, field: str) -> None:
    if text.isascii():
        return
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise CanonicalError("contains a lone surrogate", field)
    if not unicodedata.is_normalized("NFC", text):
        raise CanonicalError("is not in Unicode normal form C", field)


def _check_depth(data: bytes) -> None:
    depth = 0
    for match in _STRUCTURE.finditer(data):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise CanonicalError(f"nested deeper than {MAX_DEPTH} levels")
        elif token in (b"]", b"}"):
            depth -= 1


def _unique_names(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for name, value in pairs:
        if name in result:
            raise CanonicalError("appears twice", name)
        result[name] = value
    return result


def _no_constant(name: str) -> Json:
    raise CanonicalError(f"{name} is not JSON")
