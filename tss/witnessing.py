"""Nodes watch the audit log: each is shown the next checkpoint and hands in its signed word about it."""

from dataclasses import dataclass
from typing import Any

from audit import rationing, selectors
from audit import services as audit
from tss.errors import ItemRefused
from vaults.models import Node
from wire.canonical import Json
from wire.checkpoint import Witness
from wire.fields import Fields

MAX_WORDS = 16


@dataclass(frozen=True)
class Watch:
    """seen: the row whose checkpoint the node countersigned last, 0 for none; words: what it signed since."""

    seen: int
    words: tuple[Json, ...]

    @classmethod
    def take(cls, fields: Fields) -> "Watch":
        """Take `audit` from a call. Raises WireError."""
        inner = Fields(fields.take("audit"), fields.path("audit"))
        watch = cls(inner.integer("seen"), tuple(inner.list("words", max_length=MAX_WORDS)))
        inner.end()
        return watch


def accept(*, node: Node, value: Json) -> None:
    """Keep a node's word about a checkpoint. Raises ItemRefused or WireError."""
    witness = Witness.from_json(value)
    if witness.node_id != node.tss_node_id:
        raise ItemRefused("foreign_node", "the word is another node's")
    if not witness.verify(bytes.fromhex(node.signing_key)):
        raise ItemRefused("bad_signature", "the signature is not the node's over this word")
    ours = bytes(audit.signing_key().verify_key)
    if ours not in {each.key for each in (witness.checkpoint, witness.earlier) if each}:
        # Anybody can make a key: what this site has not signed, it does not keep.
        raise ItemRefused("foreign_key", "this site has signed no checkpoint in it")
    audit.witnessed(witness)


def next_for(node: Node, watch: Watch) -> dict[str, Any] | None:
    """The checkpoint that the node has not seen, with the digests of the rows between, hex."""
    if not rationing.due((node.pk, "audit", watch.seen)):
        return None
    found = selectors.extension(watch.seen)
    if found is None:
        return None
    checkpoint, digests = found
    return {"checkpoint": checkpoint.to_json(), "digests": [digest.hex() for digest in digests]}
