"""Reading a signed JSON object: every field known, typed and in range, or a WireError that names it."""

import re
from collections.abc import Mapping, Sequence

from wire.canonical import MAX_SAFE_INTEGER, Json

_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_VISIBLE = re.compile(r"[!-~]+")


class WireError(ValueError):
    """A signed object that does not have its one valid form; `field` is the path at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Fields:
    """A JSON object whose fields are taken one by one.

    What is left over at `end()` is an unknown field (R8).
    """

    def __init__(self, value: Json, path: str) -> None:
        if not isinstance(value, Mapping):
            raise WireError(path, "must be an object")
        self._left = dict(value)
        self._path = path

    def path(self, name: str) -> str:
        return f"{self._path}.{name}"

    def take(self, name: str) -> Json:
        try:
            return self._left.pop(name)
        except KeyError:
            raise WireError(self.path(name), "is missing") from None

    def text(
        self, name: str, *, choices: Sequence[str] | None = None, max_length: int = 1024, empty: bool = False
    ) -> str:
        value = self.take(name)
        if not isinstance(value, str):
            raise WireError(self.path(name), "must be text")
        if (not value and not empty) or len(value) > max_length:
            raise WireError(self.path(name), f"must have 1 to {max_length} characters")
        if "\x00" in value:  # no database stores it
            raise WireError(self.path(name), "must not contain U+0000")
        if choices is not None and value not in choices:
            raise WireError(self.path(name), f"must be one of {', '.join(choices)}")
        return value

    def identifier(self, name: str, *, max_length: int = 64) -> str:
        """An id or a version: visible ASCII only, for it is shown to people, logged and stored as it is."""
        value = self.text(name, max_length=max_length)
        if not _VISIBLE.fullmatch(value):
            raise WireError(self.path(name), "must be visible ASCII characters")
        return value

    def integer(self, name: str, *, low: int = 0, high: int = MAX_SAFE_INTEGER) -> int:
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise WireError(self.path(name), "must be an integer")
        if not low <= value <= high:
            raise WireError(self.path(name), f"must be between {low} and {high}")
        return value

    def hex(self, name: str, size: int) -> bytes:
        """A lower-case hex string of `size` bytes."""
        value = self.take(name)
        if not isinstance(value, str) or len(value) != 2 * size or not _HEX.fullmatch(value):
            raise WireError(self.path(name), f"must be {2 * size} lower-case hex digits")
        return bytes.fromhex(value)

    def hexes(self, name: str, size: int, *, max_length: int) -> tuple[bytes, ...]:
        """A list of lower-case hex strings of `size` bytes each."""
        values = self.list(name, max_length=max_length)
        entries = [Fields({"entry": value}, f"{self.path(name)}[{i}]") for i, value in enumerate(values)]
        return tuple(entry.hex("entry", size) for entry in entries)

    def data(self, name: str, *, low: int = 0, high: int) -> bytes:
        """A lower-case hex string of `low` to `high` bytes."""
        value = self.take(name)
        if not isinstance(value, str) or len(value) > 2 * high or not _HEX.fullmatch(value):
            raise WireError(self.path(name), f"must be at most {2 * high} lower-case hex digits")
        if len(value) < 2 * low:
            raise WireError(self.path(name), f"must be at least {2 * low} lower-case hex digits")
        return bytes.fromhex(value)

    def optional_hex(self, name: str, size: int) -> bytes:
        """As `hex`, or the empty string for "none"."""
        if self._left.get(name) == "":
            self.take(name)
            return b""
        return self.hex(name, size)

    def boolean(self, name: str) -> bool:
        value = self.take(name)
        if not isinstance(value, bool):
            raise WireError(self.path(name), "must be true or false")
        return value

    def objects(self, name: str, *, max_length: int = 256) -> "list[Fields]":
        """A list of objects, each to be read and ended by the caller."""
        entries = self.list(name, max_length=max_length)
        return [Fields(entry, f"{self.path(name)}[{position}]") for position, entry in enumerate(entries)]

    def list(self, name: str, *, max_length: int = 256) -> Sequence[Json]:
        value = self.take(name)
        if not isinstance(value, list):
            raise WireError(self.path(name), "must be a list")
        if len(value) > max_length:
            raise WireError(self.path(name), f"must have at most {max_length} entries")
        return value

    def texts(
        self, name: str, *, choices: Sequence[str] | None = None, max_length: int = 256
    ) -> tuple[str, ...]:
        values = self.list(name, max_length=max_length)
        for position, value in enumerate(values):
            if not isinstance(value, str) or not value or (choices is not None and value not in choices):
                raise WireError(f"{self.path(name)}[{position}]", "is not an allowed text")
        if len(set(values)) != len(values):
            raise WireError(self.path(name), "has an entry twice")
        return tuple(values)

    def null(self, name: str) -> None:
        if self.take(name) is not None:
            raise WireError(self.path(name), "must be null for this type")

    def version(self, expected: int = 1) -> None:
        # By type too: True equals 1 in Python, and would be a second text of the same object (R8).
        value = self.take("v")
        if type(value) is not int or value != expected:
            raise WireError(self.path("v"), f"unknown version, this software knows {expected}")

    def end(self) -> None:
        if self._left:
            raise WireError(self.path(min(self._left)), "unknown field")
