"""Errors that services raise; the API edge turns them into answers (docs/api.md)."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """The compatible API's error codes."""

    INTERNAL = 2000
    METHOD_UNSUPPORTED = 2002
    MISSING = 2003
    INVALID = 2006
    HEADERS_MISSING = 2022
    BAD_SIGNATURE = 2023
    KEY_UNKNOWN = 2024
    FORBIDDEN = 2025
    TOO_MANY = 2026
    NOT_FOUND = 2028
    WRONG_STATE = 2029
    DUPLICATE = 2040
    IDEMPOTENCY_MISMATCH = 12009


STATUS = {
    ErrorCode.INTERNAL: 500,
    ErrorCode.METHOD_UNSUPPORTED: 405,
    ErrorCode.MISSING: 400,
    ErrorCode.INVALID: 400,
    ErrorCode.HEADERS_MISSING: 401,
    ErrorCode.BAD_SIGNATURE: 401,
    ErrorCode.KEY_UNKNOWN: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.TOO_MANY: 429,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.WRONG_STATE: 400,
    ErrorCode.DUPLICATE: 400,
    ErrorCode.IDEMPOTENCY_MISMATCH: 422,
}


class ServiceError(Exception):
    """A request that cannot be carried out, and changed nothing.

    field: path of the input at fault, "" where no single one is.
    """

    def __init__(self, code: ErrorCode, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    @property
    def status(self) -> int:
        return STATUS[self.code]


class TooMany(ServiceError):
    """More calls than the key may make; retry_after: whole seconds, for the header Retry-After."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(ErrorCode.TOO_MANY, message)
        self.retry_after = retry_after


def missing(field: str) -> ServiceError:
    return ServiceError(ErrorCode.MISSING, f"{field} is required", field)


def invalid(field: str, message: str) -> ServiceError:
    return ServiceError(ErrorCode.INVALID, f"{field}: {message}", field)


def not_found(what: str) -> ServiceError:
    return ServiceError(ErrorCode.NOT_FOUND, f"{what} not found")


def wrong_state(message: str, field: str = "") -> ServiceError:
    return ServiceError(ErrorCode.WRONG_STATE, message, field)
