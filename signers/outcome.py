"""What a share set is worth: the keys that the node vouches for from its own store (R3)."""

from dataclasses import dataclass

from mpc.certificate import Certificate, Statement
from mpc.errors import MPCError
from mpc.keyshare import KeyShare
from signers.errors import NodeError
from signers.sealing import DataKey
from signers.shares import ShareRecord, share_place
from wire.intent import ExpectedKey


@dataclass(frozen=True)
class RootKey:
    """A root key from this node's own store (R3). public_key and chain_code in hex; xpub: root extended
    public key."""

    curve: str
    xpub: str
    public_key: str
    chain_code: str


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


def root_keys(certificate: Certificate) -> tuple[RootKey, ...]:
    """The root key of each curve, from a verified certificate."""
    xpubs = certificate.statement.root_extended_public_keys()
    return tuple(
        RootKey(result.curve, xpubs[result.curve], result.root_key.hex(), result.chain_code.hex())
        for result in certificate.statement.curves
    )


def expected_keys(statement: Statement) -> tuple[ExpectedKey, ...]:
    """The root keys as intents and anchors name them."""
    return tuple(ExpectedKey(result.curve, result.root_key, result.chain_code) for result in statement.curves)


def open_share(record: ShareRecord, node_id: str, data_key: DataKey) -> KeyShare:
    """A share of a certified set, checked against its certificate.

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
    return share


def held_key(record: ShareRecord, node_id: str, data_key: DataKey) -> HeldKey:
    """Open a final share and check certificate and share against each other.

    Raises NodeError (see open_share).
    """
    share = open_share(record, node_id, data_key)
    certificate = Certificate.parse(record.certificate)
    context = certificate.statement.context
    return HeldKey(
        vault_id=record.vault_id,
        group_id=record.group_id,
        role=context.role,
        epoch=context.epoch,
        threshold=context.threshold,
        participants=context.receivers,
        index=share.index,
        certificate_hash=certificate.hash().hex(),
        root_keys=root_keys(certificate),
    )
