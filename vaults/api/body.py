"""Reading a request's JSON object: each field typed, an error names its path.

Fields that nobody reads are ignored, because SDKs may send what we do not know; they are never applied (A11).
"""

from typing import Any

from vaults.errors import ErrorCode, ServiceError, invalid, missing


class Body:
    """A JSON object; `path` is "" for the whole body. null counts as absent, unless `is_null` is asked."""

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, dict):
            raise ServiceError(ErrorCode.INVALID, f"{path or 'the body'}: must be a JSON object", path)
        self._value = value
        self._path = path

    def text(self, name: str) -> str:
        """A required text. Raises ServiceError 2003, 2006."""
        value = self.optional_text(name)
        if not value:
            raise missing(self._field(name))
        return value

    def optional_text(self, name: str) -> str:
        """A text, "" where absent."""
        value = self._value.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise invalid(self._field(name), "must be a string")
        if "\x00" in value:
            raise invalid(self._field(name), "must not contain U+0000")
        return value

    def integer(self, name: str) -> int:
        """A required integer: neither "2" nor 2.0 nor true."""
        value = self._value.get(name)
        if value is None:
            raise missing(self._field(name))
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(self._field(name), "must be a JSON integer")
        return value

    def optional_integer(self, name: str) -> int | None:
        """As `integer`, None where absent."""
        return None if self._value.get(name) is None else self.integer(name)

    def texts(self, name: str, *, max_length: int) -> list[str] | None:
        """A list of texts, None where absent."""
        value = self._value.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid(self._field(name), "must be a list of strings")
        if any("\x00" in item for item in value):
            raise invalid(self._field(name), "must not contain U+0000")
        if len(value) > max_length:
            raise invalid(self._field(name), f"must have at most {max_length} entries")
        return value

    def child(self, name: str) -> "Body | None":
        """An object inside, None where absent."""
        value = self.object(name)
        return None if value is None else Body(value, self._field(name))

    def is_null(self, name: str) -> bool:
        """Whether the field was sent and is null, for the few fields where that means something."""
        return name in self._value and self._value[name] is None

    def boolean(self, name: str) -> bool:
        """A boolean, False where absent."""
        value = self._value.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise invalid(self._field(name), "must be true or false")
        return value

    def objects(self, name: str, *, max_length: int) -> list["Body"]:
        """A required list of objects."""
        value = self._value.get(name)
        if value is None:
            raise missing(self._field(name))
        if not isinstance(value, list):
            raise invalid(self._field(name), "must be a list")
        if len(value) > max_length:
            raise invalid(self._field(name), f"must have at most {max_length} entries")
        return [Body(item, f"{self._field(name)}[{position}]") for position, item in enumerate(value)]

    def fields(self) -> dict[str, Any]:
        """Everything that was sent, for a document with a parser of its own."""
        return dict(self._value)

    def object(self, name: str) -> dict[str, Any] | None:
        """An object as it came, None where absent."""
        value = self._value.get(name)
        if value is not None and not isinstance(value, dict):
            raise invalid(self._field(name), "must be a JSON object")
        return value

    def _field(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name
