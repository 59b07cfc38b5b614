"""What can go wrong, and whom to blame.

The ladder follows ChillDKG: a participant who is proved faulty; a participant or the coordinator, when only
one of the two can have done it; nobody who can be named. Every error has a stable `code`; no message ever
contains a secret.
"""


class MPCError(Exception):
    """Base of all errors of this package; `code` is stable and fit for a database or an API."""

    code = "mpc_error"


class InvalidParameters(MPCError):
    """The caller passed something unusable; `field` names it."""

    code = "invalid_parameters"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class EncodingError(MPCError):
    """Bytes that are not the one encoding of a record; `field` names the part at fault."""

    code = "bad_encoding"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class InvalidPoint(EncodingError):
    """Not the canonical encoding of an element of the prime-order group other than the neutral one."""

    code = "invalid_point"


class InvalidScalar(EncodingError):
    """Not the canonical encoding of an integer in [1, order - 1]. Never carries the value."""

    code = "invalid_scalar"


class PointAtInfinity(MPCError):
    """A sum of points is the neutral element, which no valid run produces (probability about 2^-252)."""

    code = "point_at_infinity"


class DecryptionFailed(MPCError):
    """A sealed message does not open under this key and context."""

    code = "decryption_failed"


class InvalidCertificate(MPCError):
    """A certificate, statement or key share that contradicts itself or lacks a valid signature."""

    code = "invalid_certificate"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class WrongState(MPCError):
    """A call that the machine's round does not allow, or stored state that belongs to another session."""

    code = "wrong_state"


class ProtocolAbort(MPCError):
    """The run must end. `index` is the participant at fault or under suspicion (0: nobody in particular)."""

    def __init__(self, index: int, code: str, detail: str) -> None:
        super().__init__(f"participant {index}: {code}: {detail}" if index else f"{code}: {detail}")
        self.index = index
        self.code = code
        self.detail = detail


class FaultyParticipant(ProtocolAbort):
    """Participant `index` broke the protocol; its own signed messages prove it."""


class MalformedMessage(FaultyParticipant):
    """Participant `index` signed a body that is no message of its round; `field` is the part at fault."""

    def __init__(self, index: int, field: str, detail: str) -> None:
        super().__init__(index, "malformed_message", f"{field}: {detail}")
        self.field = field


class FaultyParticipantOrCoordinator(ProtocolAbort):
    """Participant `index` equivocates or was shown something else; both signed copies decide."""


class UnknownFault(ProtocolAbort):
    """The result is unusable and no single participant can be blamed for it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(0, code, detail)
