"""What a finished ceremony leaves: the anchor, and the keys that the node vouches for from its own store
(R3)."""

from dataclasses import dataclass

from mpc.certificate import Certificate
from mpc.errors import MPCError
from mpc.keyshare import KeyShare
from signers.errors import NodeError
from signers.sealing import DataKey
from signers.shares import Anchor, RootKey, ShareRecord, share_place
from wire.intent import KeyGenIntent


@dataclass(frozen=True)
class HeldKey:
    """A key of which this node holds a certified share. index: the node's; certificate_hash: hex."""

    vault_id: str
    group_id: str
    role: str
    epoch: int
    threshold: int
    participants: int
    index: int
    certificate_hash: str
    root_keys: tuple[RootKey, ...]


def anchor(intent: KeyGenIntent, certificate: Certificate) -> Anchor:
    """What the node remembers about the key for as long as it lives."""
    return Anchor(
        vault_id=intent.vault_id,
        group_id=intent.target.group_id,
        certificate_hash=certificate.hash(),
        policy_hash=intent.policy_hash,
        root_keys=root_keys(certificate),
    )


def root_keys(certificate: Certificate) -> tuple[RootKey, ...]:
    """The root key of each curve, from a verified certificate."""
    xpubs = certificate.statement.root_extended_public_keys()
    return tuple(
        RootKey(result.curve, xpubs[result.curve], result.root_key.hex(), result.chain_code.hex())
        for result in certificate.statement.curves
    )


def held_key(record: ShareRecord, node_id: str, data_key: DataKey) -> HeldKey:
    """Open a final share and check certificate and share against each other.

    Raises NodeError (see DataKey.open; bad_share_set when they do not fit).
    """
    encoded = data_key.open(share_place(record, node_id), record.sealed)
    try:
        share = KeyShare.parse(encoded)
        certificate = Certificate.parse(record.certificate)
        certificate.verify()
    except MPCError as error:
        raise NodeError("bad_share_set", f"the stored share set is not valid: {error}") from None
    if certificate.statement != share.statement:
        raise NodeError("bad_share_set", "the stored certificate is not for the stored share")
    context = certificate.statement.context
    return HeldKey(
        vault_id=record.vault_id,
        group_id=record.group_id,
        role=context.role,
        epoch=context.epoch,
        threshold=context.threshold,
        participants=context.size,
        index=share.index,
        certificate_hash=certificate.hash().hex(),
        root_keys=root_keys(certificate),
    )
