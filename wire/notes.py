"""What each participant tells the others in round 0 of a ceremony (R13, R26, R30).

The notes travel in the protocol's opaque `notes` field, so the sender's envelope signature and the echo cover
them.
"""

from dataclasses import dataclass

from wire.approval import Approval
from wire.canonical import Json, canonical_bytes, parse_canonical
from wire.fields import Fields
from wire.manifest import MAX_PARTICIPANTS
from wire.set_statement import SetStatement

SET_STATES = ("prepared", "activated", "final", "abandoned", "erased")
MAX_SETS = 64


@dataclass(frozen=True)
class SetNote:
    """A share set that the sender has had: of which group, epoch and ceremony (session_id, 32 bytes).

    base: certificate hash of the set that dealt it, empty for KeyGen; state: one of SET_STATES.
    """

    group_id: str
    epoch: int
    attempt: int
    session_id: bytes
    base: bytes
    state: str

    def to_json(self) -> dict[str, Json]:
        return {
            "group_id": self.group_id,
            "epoch": self.epoch,
            "attempt": self.attempt,
            "session_id": self.session_id.hex(),
            "base": self.base.hex(),
            "state": self.state,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "SetNote":
        note = cls(
            group_id=fields.identifier("group_id"),
            epoch=fields.integer("epoch", low=1),
            attempt=fields.integer("attempt", low=1),
            session_id=fields.hex("session_id", 32),
            base=fields.optional_hex("base", 32),
            state=fields.text("state", choices=SET_STATES),
        )
        fields.end()
        return note


@dataclass(frozen=True)
class Notes:
    """decisions: every decision about this digest that the sender knows; sets: its share sets of source and
    target group, the newest first; abandoned: the statements that the sender knows of."""

    decisions: tuple[Approval, ...]
    sets: tuple[SetNote, ...]
    abandoned: tuple[SetStatement, ...]

    def encode(self) -> bytes:
        return canonical_bytes(
            {
                "v": 1,
                "decisions": [decision.to_json() for decision in self.decisions],
                "sets": [note.to_json() for note in self.sets],
                "abandoned": [statement.to_json() for statement in self.abandoned],
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> "Notes":
        """Parse canonical notes.

        Signatures inside are not verified here. Raises CanonicalError or WireError.
        """
        fields = Fields(parse_canonical(data, max_bytes=1 << 16), "notes")
        fields.version()
        decisions = fields.list("decisions", max_length=2 * MAX_PARTICIPANTS)
        sets = fields.objects("sets", max_length=MAX_SETS)
        abandoned = fields.list("abandoned", max_length=MAX_SETS)
        fields.end()
        return cls(
            decisions=tuple(
                Approval.from_json(item, f"notes.decisions[{i}]") for i, item in enumerate(decisions)
            ),
            sets=tuple(map(SetNote.from_fields, sets)),
            abandoned=tuple(
                SetStatement.from_json(item, f"notes.abandoned[{i}]") for i, item in enumerate(abandoned)
            ),
        )
