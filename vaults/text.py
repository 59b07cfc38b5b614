"""What a name may look like: people compare names by eye, and Postgres stores no NUL."""

import unicodedata

from vaults.errors import invalid, missing


def check_name(value: str, *, field: str, max_length: int) -> str:
    """The name itself if it is 1 to max_length printable characters without space around them.

    Raises ServiceError.
    """
    if not value:
        raise missing(field)
    if len(value) > max_length:
        raise invalid(field, f"must have at most {max_length} characters")
    if value != value.strip():
        raise invalid(field, "must not begin or end with a space")
    if any(_invisible(character) for character in value):
        raise invalid(field, "must not contain control or invisible formatting characters")
    if not unicodedata.is_normalized("NFC", value):
        raise invalid(field, "must be in Unicode normal form C")
    return value


def check_text(value: str, *, field: str, max_length: int) -> str:
    """The text itself if it is at most max_length characters and has no controls but new lines and tabs.

    Raises ServiceError.
    """
    if len(value) > max_length:
        raise invalid(field, f"must have at most {max_length} characters")
    if any(unicodedata.category(character) == "Cc" and character not in "\n\r\t" for character in value):
        raise invalid(field, "must not contain control characters")
    return value


def _invisible(character: str) -> bool:
    # Cc: controls; Cf: bidirectional overrides and zero-width characters; Zl, Zp: line separators.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
