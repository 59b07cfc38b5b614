"""The body of an ABORT envelope: why a participant left a ceremony."""

from dataclasses import dataclass

from wire.canonical import canonical_bytes, parse_canonical
from wire.fields import Fields
from wire.manifest import MAX_PARTICIPANTS


@dataclass(frozen=True)
class Abort:
    """code: stable; message: for people, no secrets; blamed: index of the participant at fault or 0.

    The sender's word only: the coordinator steers retries by it, nodes believe a proof (R21).
    """

    code: str
    message: str
    blamed: int = 0

    def encode(self) -> bytes:
        return canonical_bytes({"v": 1, "code": self.code, "message": self.message, "blamed": self.blamed})

    @classmethod
    def parse(cls, data: bytes) -> "Abort":
        """Parse a canonical abort. Raises CanonicalError or WireError."""
        fields = Fields(parse_canonical(data, max_bytes=4096), "abort")
        fields.version()
        abort = cls(
            code=fields.text("code", max_length=64),
            message=fields.text("message", max_length=500, empty=True),
            blamed=fields.integer("blamed", high=MAX_PARTICIPANTS),
        )
        fields.end()
        return abort
