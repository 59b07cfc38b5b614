"""What a node says when it will not or cannot do something. Codes are stable; messages hold no secret."""


class NodeError(Exception):
    """The node cannot go on with what its operator asked for; `code` is stable, the message says what to
    do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Refusal(NodeError):
    """The node will not take part in a request; the coordinator is told code and message."""


class SessionAbort(NodeError):
    """A running ceremony must end; `blamed` is the index of the participant at fault or 0."""

    def __init__(self, code: str, message: str, blamed: int = 0) -> None:
        super().__init__(code, message)
        self.blamed = blamed
