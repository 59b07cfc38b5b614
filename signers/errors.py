"""What a node says when it will not or cannot do something. Codes are stable; messages hold no secret."""

import unicodedata


def plain(text: str, limit: int = 1 << 15) -> str:
    """Text of others as part of one line for a terminal, a log or a database.

    What is not printable becomes "?": control characters, line breaks and marks that change the writing
    direction could make a screen show something else than what it says. NFC, so that it has a JSON form (R8).
    """
    safe = "".join(character if character.isprintable() else "?" for character in text[:limit])
    return unicodedata.normalize("NFC", safe)[:limit]


class NodeError(Exception):
    """The node cannot go on with what its operator asked for; `code` is stable, the message says what to
    do."""

    def __init__(self, code: str, message: str) -> None:
        # Messages quote what others wrote: a peer's reason, the coordinator's answer.
        self.code, self.message = plain(code, 64), plain(message)
        super().__init__(self.message)


class Refusal(NodeError):
    """The node will not take part in a request; the coordinator is told code and message."""


class SessionAbort(NodeError):
    """A running ceremony must end; `blamed` is the index of the participant at fault or 0."""

    def __init__(self, code: str, message: str, blamed: int = 0) -> None:
        super().__init__(code, message)
        self.blamed = blamed
