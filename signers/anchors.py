"""What a node knows of each vault: its anchor, the certified share sets, and who was replaced (R6).

An anchor comes from a KeyGen that the node took part in, or from its operator. From then on only what is
proved by the chain of certificates, or approved by those whom it names, changes what the node knows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mpc.certificate import Certificate
from signers.database import Database, Row
from signers.errors import NodeError, Refusal
from signers.outcome import expected_keys
from signers.sealing import DataKey
from wire.anchor import Anchor
from wire.intent import KEY_GEN, RECOVERY, Intent, RetiredSets

_COLUMNS = "vault_id, anchor, checked_how, pinned_by, pinned_at"
_MADE_HERE = "made with this node"


@dataclass(frozen=True)
class AnchorRecord:
    """An anchor and how it came here: checked_how and pinned_by as the operator said; pinned_at: Unix
    milliseconds."""

    anchor: Anchor
    checked_how: str
    pinned_by: str
    pinned_at: int

    def mac(self, data_key: DataKey) -> bytes:
        # As of pins: whoever can only write to the database cannot make an anchor.
        texts = (self.checked_how, self.pinned_by, str(self.pinned_at))
        return data_key.mac("quorate/pinned-anchor/v1", self.anchor.encode(), *(t.encode() for t in texts))


@dataclass(frozen=True)
class NewestSet:
    """The latest certified share set of a group that the node knows of."""

    epoch: int
    certificate_hash: bytes


class Anchors:
    """The anchors, trusted certificates and revoked nodes of one node."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, vault_id: str, data_key: DataKey) -> AnchorRecord | None:
        """The anchor of a vault, authenticated. Raises Refusal anchor_tampered."""
        rows = self._database.rows(f"SELECT {_COLUMNS}, mac FROM anchors WHERE vault_id = ?", (vault_id,))  # noqa: S608
        if not rows:
            return None
        record = _record(rows[0][:-1])
        if record.mac(data_key) != bytes(rows[0][-1]) or record.anchor.vault_id != vault_id:
            raise Refusal("anchor_tampered", f"the anchor of vault {vault_id} was not written by this node")
        return record

    def all(self) -> list[AnchorRecord]:
        """All anchors as written; not authenticated, for display only."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM anchors ORDER BY vault_id")  # noqa: S608
        return [_record(row) for row in rows]

    def pin(
        self, anchor: Anchor, *, checked_how: str, pinned_by: str, pinned_at: int, data_key: DataKey
    ) -> None:
        """The operator pins what another holder exported (R6). Raises NodeError anchor_known."""
        if self.get(anchor.vault_id, data_key) is not None:
            raise NodeError(
                "anchor_known",
                f"this node already knows vault {anchor.vault_id}; only approved changes alter an anchor",
            )
        self._write(AnchorRecord(anchor, checked_how, pinned_by, pinned_at), data_key)

    def adopted(self, intent: Intent, certificate: Certificate, data_key: DataKey, now: int) -> None:
        """Note a request that has made its share set; certificate: the verified final one.

        now: Unix milliseconds. Part of the caller's transaction. Raises Refusal anchor_tampered.
        """
        vault_id = intent.vault_id
        if intent.type == KEY_GEN and self.get(vault_id, data_key) is None:
            self._write(AnchorRecord(_anchor(intent, certificate), _MADE_HERE, "", now), data_key)
        self.trust(certificate, vault_id, data_key, group_id=intent.target.group_id)
        self.retire(vault_id, intent.retires)
        for each in intent.replaces:
            self.revoke(vault_id, each.old)
        record = self.get(vault_id, data_key)
        # A certificate that comes late must not undo a later change of the Main group.
        if record is not None and moves_main(intent, record.anchor) and is_later(intent, record.anchor):
            self.move_main(intent, data_key)

    def change_policy(self, intent: Intent, data_key: DataKey) -> None:
        """The policy that the holders have approved is in force (R12)."""
        self._change(intent, data_key, policy_hash=intent.new_policy_hash)

    def move_main(self, intent: Intent, data_key: DataKey) -> None:
        """The target group is Main, as the holders have approved (R16)."""
        self._change(intent, data_key, main_group_id=intent.target.group_id, main_since=intent.not_before)

    def _change(self, intent: Intent, data_key: DataKey, **changes: Any) -> None:
        record = self.get(intent.vault_id, data_key)
        if record is None:
            raise NodeError("no_anchor", f"this node does not know vault {intent.vault_id}")
        self._write(replace(record, anchor=replace(record.anchor, **changes)), data_key)

    def _write(self, record: AnchorRecord, data_key: DataKey) -> None:
        anchor = record.anchor
        self._database.execute(
            f"""INSERT INTO anchors ({_COLUMNS}, mac) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (vault_id) DO UPDATE SET anchor = excluded.anchor, mac = excluded.mac""",  # noqa: S608
            (
                anchor.vault_id,
                anchor.encode().decode(),
                record.checked_how,
                record.pinned_by,
                record.pinned_at,
                record.mac(data_key),
            ),
        )

    # certified share sets

    def trust(
        self, certificate: Certificate, vault_id: str, data_key: DataKey, *, group_id: str = ""
    ) -> None:
        """Keep a certificate that was verified back to the anchor; group_id: when its roster was seen."""
        known = self._known(certificate.hash(), data_key)
        group_id = group_id or (known[1] if known else "")
        encoded = certificate.encode()
        self._database.execute(
            """INSERT INTO certificates (hash, vault_id, group_id, epoch, certificate, mac)
            VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE SET group_id = excluded.group_id,
            certificate = excluded.certificate, mac = excluded.mac""",
            (
                certificate.hash(),
                vault_id,
                group_id,
                certificate.statement.context.epoch,
                encoded,
                _certificate_mac(data_key, vault_id, group_id, encoded),
            ),
        )

    def is_trusted(self, certificate_hash: bytes, data_key: DataKey) -> bool:
        return self._known(certificate_hash, data_key) is not None

    def certificate(self, certificate_hash: bytes, data_key: DataKey) -> Certificate | None:
        """A trusted certificate, authenticated. Raises Refusal anchor_tampered."""
        known = self._known(certificate_hash, data_key)
        return Certificate.parse(known[2]) if known else None

    def group_of(self, certificate_hash: bytes) -> str:
        """Whose set a certificate describes, "" where this node has not seen the roster."""
        rows = self._database.rows("SELECT group_id FROM certificates WHERE hash = ?", (certificate_hash,))
        return str(rows[0][0]) if rows else ""

    def newest(self, group_id: str) -> NewestSet | None:
        """The latest certified set of a group that this node knows of."""
        rows = self._database.rows(
            "SELECT epoch, hash FROM certificates WHERE group_id = ? ORDER BY epoch DESC LIMIT 1", (group_id,)
        )
        return NewestSet(rows[0][0], bytes(rows[0][1])) if rows else None

    def _known(self, certificate_hash: bytes, data_key: DataKey) -> tuple[str, str, bytes] | None:
        rows = self._database.rows(
            "SELECT vault_id, group_id, certificate, mac FROM certificates WHERE hash = ?",
            (certificate_hash,),
        )
        if not rows:
            return None
        vault_id, group_id, encoded, mac = rows[0][0], rows[0][1], bytes(rows[0][2]), bytes(rows[0][3])
        if _certificate_mac(data_key, vault_id, group_id, encoded) != mac:
            raise Refusal(
                "anchor_tampered", f"certificate {certificate_hash.hex()} was not written by this node"
            )
        return vault_id, group_id, encoded

    # nodes that were replaced

    def revoke(self, vault_id: str, node_id: str) -> None:
        """No set of the vault is made for this node any more (R6, R28)."""
        self._database.execute(
            "INSERT INTO revoked (vault_id, node_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (vault_id, node_id),
        )

    def revoked(self, vault_id: str) -> frozenset[str]:
        rows = self._database.rows("SELECT node_id FROM revoked WHERE vault_id = ?", (vault_id,))
        return frozenset(row[0] for row in rows)

    # sets that were retired

    def retire(self, vault_id: str, sets: Iterable[RetiredSets]) -> None:
        """No later set is made from these: what their holders still have is to be erased (R26, R28)."""
        for each in sets:
            self._database.execute(
                """INSERT INTO retired (vault_id, group_id, epoch) VALUES (?, ?, ?)
                ON CONFLICT (vault_id, group_id) DO UPDATE SET epoch = excluded.epoch
                WHERE retired.epoch < excluded.epoch""",
                (vault_id, each.group_id, each.epoch),
            )

    def is_retired(self, vault_id: str, group_id: str, epoch: int) -> bool:
        """Whether the group's set of this epoch was retired by a request that succeeded."""
        sql = "SELECT 1 FROM retired WHERE vault_id = ? AND group_id = ? AND epoch >= ?"
        return bool(self._database.rows(sql, (vault_id, group_id, epoch)))

    def revision(self) -> str:
        """Changes when an anchor is pinned."""
        count, latest = self._database.rows("SELECT COUNT(*), MAX(pinned_at) FROM anchors")[0]
        return f"{count}/{latest}"


def moves_main(intent: Intent, anchor: Anchor) -> bool:
    """Whether a Recovery gives the shares to another group, which then is Main (R26)."""
    return intent.type == RECOVERY and intent.target.group_id != anchor.main_group_id


def is_later(intent: Intent, anchor: Anchor) -> bool:
    """Whether a change of the Main group was asked for after the one that the anchor tells (R16)."""
    return intent.not_before > anchor.main_since


def _anchor(intent: Intent, certificate: Certificate) -> Anchor:
    return Anchor(
        organisation_id=intent.organisation_id,
        vault_id=intent.vault_id,
        certificate_hash=certificate.hash(),
        root_keys=expected_keys(certificate.statement),
        policy_hash=intent.policy_hash,
        main_group_id=intent.target.group_id,
        main_since=intent.not_before,
    )


def _certificate_mac(data_key: DataKey, vault_id: str, group_id: str, encoded: bytes) -> bytes:
    return data_key.mac("quorate/trusted-certificate/v1", vault_id.encode(), group_id.encode(), encoded)


def _record(row: Row) -> AnchorRecord:
    _, anchor, checked_how, pinned_by, pinned_at = row
    return AnchorRecord(Anchor.parse(anchor.encode()), checked_how, pinned_by, pinned_at)
