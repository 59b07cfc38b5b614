"""Pins: the peers that this node's operator has checked (R5). Nothing else makes one."""

from dataclasses import dataclass

from signers.database import Database, Row
from signers.errors import Refusal
from signers.sealing import DataKey
from wire.identity import HolderCard

_COLUMNS = "node_id, signing_key, encryption_key, kind, label, checked_how, pinned_by, pinned_at"


@dataclass(frozen=True)
class Pin:
    """A checked peer. keys: 32 bytes each, or empty when only the id was pinned (it commits to both, R4);
    kind: api or service, as the operator knows it (R1); pinned_at: Unix milliseconds."""

    node_id: str
    signing_key: bytes
    encryption_key: bytes
    kind: str
    label: str
    checked_how: str
    pinned_by: str
    pinned_at: int

    def matches(self, card: HolderCard) -> bool:
        """Whether the card is of this very node, with these very keys."""
        if self.signing_key and (card.signing_key, card.encryption_key) != (
            self.signing_key,
            self.encryption_key,
        ):
            return False
        # The id does not commit to the kind, and the service could sign a card that calls its signer
        # somebody else's: R1 counts what was pinned.
        return card.node_id == self.node_id and card.kind == self.kind

    def mac(self, data_key: DataKey) -> bytes:
        # Whoever can only write to the database (a service signer's may be a shared server) cannot make a
        # pin.
        texts = (self.node_id, self.kind, self.label, self.checked_how, self.pinned_by, str(self.pinned_at))
        fields = (self.signing_key, self.encryption_key, *(text.encode() for text in texts))
        return data_key.mac("quorate/pin/v1", *fields)


class Pins:
    """The pins of one node."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, pin: Pin, data_key: DataKey) -> None:
        """Write a pin; the same node may be pinned again (a new label or check)."""
        self._database.execute(
            f"""INSERT INTO pins ({_COLUMNS}, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (node_id) DO UPDATE SET signing_key = excluded.signing_key,
            encryption_key = excluded.encryption_key, kind = excluded.kind, label = excluded.label,
            checked_how = excluded.checked_how,
            pinned_by = excluded.pinned_by, pinned_at = excluded.pinned_at, mac = excluded.mac""",  # noqa: S608
            (*_values(pin), pin.mac(data_key)),
        )

    def remove(self, node_id: str) -> bool:
        """Delete a pin; whether there was one. Requests that name the node are refused from now on."""
        return self._database.execute("DELETE FROM pins WHERE node_id = ?", (node_id,)) == 1

    def all(self) -> list[Pin]:
        """All pins as written; not authenticated, for display only."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM pins ORDER BY pinned_at, node_id")  # noqa: S608
        return [_pin(row) for row in rows]

    def get(self, node_id: str, data_key: DataKey) -> Pin | None:
        """The pin of a node, authenticated. Raises Refusal pin_tampered."""
        rows = self._database.rows(f"SELECT {_COLUMNS}, mac FROM pins WHERE node_id = ?", (node_id,))  # noqa: S608
        if not rows:
            return None
        pin = _pin(rows[0][:-1])
        if pin.mac(data_key) != bytes(rows[0][-1]):
            raise Refusal(
                "pin_tampered", f"the pin of {node_id} was not written by this node's operator: pin it again"
            )
        return pin

    def revision(self) -> str:
        """Changes when the pins do."""
        count, latest = self._database.rows("SELECT COUNT(*), MAX(pinned_at) FROM pins")[0]
        return f"{count}/{latest}"


def _values(pin: Pin) -> Row:
    return (
        pin.node_id,
        pin.signing_key,
        pin.encryption_key,
        pin.kind,
        pin.label,
        pin.checked_how,
        pin.pinned_by,
        pin.pinned_at,
    )


def _pin(row: Row) -> Pin:
    node_id, signing_key, encryption_key, *rest = row
    return Pin(node_id, bytes(signing_key), bytes(encryption_key), *rest)
