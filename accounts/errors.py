"""What a person is told when something is refused."""


class AccountError(Exception):
    """status: HTTP; message: words for the person; field: what is at fault, "" for the whole."""

    def __init__(self, status: int, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.field = field


def invalid(field: str, message: str) -> AccountError:
    return AccountError(400, message, field)
