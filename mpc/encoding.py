"""One injective binary encoding for everything that is hashed, signed, sent or stored.

Ambiguous concatenation under a hash is what TSSHOCK (Verichains, 2023) exploited. Here every hash input
carries its tag, the number of its fields and the length of each; every record is read by a strict reader that
accepts exactly one byte string. Integers are unsigned and big-endian.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

from mpc.errors import EncodingError

T = TypeVar("T")

HASH_SIZE = 32


def encode_fields(tag: str, *fields: bytes) -> bytes:
    """u16 length of tag, tag, u32 count, then u32 length and bytes of each field: injective in (tag,
    fields).
    """
    name = tag.encode("ascii")
    parts = [len(name).to_bytes(2, "big"), name, len(fields).to_bytes(4, "big")]
    for field in fields:
        parts.append(len(field).to_bytes(4, "big"))
        parts.append(field)
    return b"".join(parts)


def tagged_hash(tag: str, *fields: bytes) -> bytes:
    """SHA-256 (32 bytes) of `encode_fields(tag, *fields)`."""
    return hashlib.sha256(encode_fields(tag, *fields)).digest()


class Writer:
    """Builds a record; each method returns the writer.

    Raises EncodingError for what its reader would refuse.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def unsigned(self, value: int, size: int, field: str) -> "Writer":
        if isinstance(value, bool) or not 0 <= value < 1 << (8 * size):
            raise EncodingError(field, f"not an unsigned integer of {size} bytes")
        self._parts.append(value.to_bytes(size, "big"))
        return self

    def u8(self, value: int, field: str = "u8") -> "Writer":
        return self.unsigned(value, 1, field)

    def u16(self, value: int, field: str = "u16") -> "Writer":
        return self.unsigned(value, 2, field)

    def u32(self, value: int, field: str = "u32") -> "Writer":
        return self.unsigned(value, 4, field)

    def u64(self, value: int, field: str = "u64") -> "Writer":
        return self.unsigned(value, 8, field)

    def fixed(self, data: bytes, size: int, field: str = "bytes") -> "Writer":
        if len(data) != size:
            raise EncodingError(field, f"must be {size} bytes")
        self._parts.append(data)
        return self

    def variable(self, data: bytes, limit: int, field: str = "bytes") -> "Writer":
        """u32 length and at most `limit` bytes."""
        if len(data) > limit:
            raise EncodingError(field, f"longer than {limit} bytes")
        return self.u32(len(data)).fixed(data, len(data), field)

    def text(self, value: str, limit: int, field: str = "text") -> "Writer":
        """Printable ASCII of at most `limit` characters."""
        if not (value.isascii() and value.isprintable()):
            raise EncodingError(field, "not printable ASCII")
        return self.variable(value.encode("ascii"), limit, field)

    def vector(self, items: Iterable[bytes], count: int, size: int, field: str = "vector") -> "Writer":
        """Exactly `count` items of `size` bytes; the count is implied by the context and is not written."""
        listed = list(items)
        if len(listed) != count:
            raise EncodingError(field, f"must have {count} items")
        for item in listed:
            self.fixed(item, size, field)
        return self

    def done(self) -> bytes:
        return b"".join(self._parts)


class Reader:
    """Reads a record strictly.

    Every method raises EncodingError that names `field`; lengths are checked before any loop.
    """

    def __init__(self, data: bytes, limit: int) -> None:
        if not isinstance(data, bytes):
            raise EncodingError("record", "not bytes")
        if len(data) > limit:
            raise EncodingError("record", f"longer than {limit} bytes")
        self._data = data
        self._at = 0

    def fixed(self, size: int, field: str = "bytes") -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise EncodingError(field, "truncated")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def unsigned(self, size: int, field: str) -> int:
        return int.from_bytes(self.fixed(size, field), "big")

    def u8(self, field: str = "u8") -> int:
        return self.unsigned(1, field)

    def u16(self, field: str = "u16") -> int:
        return self.unsigned(2, field)

    def u32(self, field: str = "u32") -> int:
        return self.unsigned(4, field)

    def u64(self, field: str = "u64") -> int:
        return self.unsigned(8, field)

    def variable(self, limit: int, field: str = "bytes") -> bytes:
        size = self.u32(field)
        if size > limit:
            raise EncodingError(field, f"longer than {limit} bytes")
        return self.fixed(size, field)

    def text(self, limit: int, field: str = "text") -> str:
        data = self.variable(limit, field)
        try:
            value = data.decode("ascii")
        except UnicodeDecodeError:
            raise EncodingError(field, "not printable ASCII") from None
        if not value.isprintable():
            raise EncodingError(field, "not printable ASCII")
        return value

    def vector(self, count: int, size: int, field: str = "vector") -> tuple[bytes, ...]:
        """Exactly `count` items of `size` bytes."""
        data = self.fixed(count * size, field)
        return tuple(data[at : at + size] for at in range(0, len(data), size))

    def end(self) -> None:
        if self._at != len(self._data):
            raise EncodingError("record", "has bytes after its end")


def parse_record(data: bytes, limit: int, read: Callable[[Reader], T]) -> T:
    """Read one whole record: `read` must consume all of `data`."""
    reader = Reader(data, limit)
    value = read(reader)
    reader.end()
    return value
