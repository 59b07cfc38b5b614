"""What each participant tells the others in round 0 of a ceremony (R13, R26).

The notes travel in the protocol's opaque `notes` field, so the sender's envelope signature and the echo cover
them.
"""

from dataclasses import dataclass

from wire.approval import Approval
from wire.canonical import Json, canonical_bytes, parse_canonical
from wire.fields import Fields, WireError
from wire.manifest import MAX_PARTICIPANTS

SET_STATES = ("prepared", "activated", "final", "abandoned")


@dataclass(frozen=True)
class SetNote:
    """A share set of the target group that the sender holds: epoch, attempt, its request's digest, state."""

    epoch: int
    attempt: int
    digest: bytes
    state: str

    def to_json(self) -> dict[str, Json]:
        return {
            "epoch": self.epoch,
            "attempt": self.attempt,
            "digest": self.digest.hex(),
            "state": self.state,
        }


@dataclass(frozen=True)
class Notes:
    """decisions: every approval or rejection of this digest that the sender knows.

    Sets: its share sets of the group.
    """

    decisions: tuple[Approval, ...]
    sets: tuple[SetNote, ...]

    def encode(self) -> bytes:
        return canonical_bytes(
            {
                "v": 1,
                "decisions": [decision.to_json() for decision in self.decisions],
                "sets": [note.to_json() for note in self.sets],
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
        sets = fields.list("sets", max_length=64)
        fields.end()
        return cls(
            decisions=tuple(
                Approval.from_json(item, f"notes.decisions[{i}]") for i, item in enumerate(decisions)
            ),
            sets=tuple(_set_note(item, f"notes.sets[{i}]") for i, item in enumerate(sets)),
        )


def _set_note(value: Json, path: str) -> SetNote:
    if not isinstance(value, dict):
        raise WireError(path, "must be an object")
    fields = Fields(value, path)
    note = SetNote(
        epoch=fields.integer("epoch", low=1),
        attempt=fields.integer("attempt", low=1),
        digest=fields.hex("digest", 32),
        state=fields.text("state", choices=SET_STATES),
    )
    fields.end()
    return note
