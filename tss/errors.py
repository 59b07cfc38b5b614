"""What can go wrong inside the workflow, apart from the answers of vaults.errors."""


class Stale(Exception):
    """Somebody else changed the row first; the whole step is to be done again with fresh state."""


class ItemRefused(ValueError):
    """One item of a node's call that is not accepted; `code` is stable, the other items go on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
