"""Holder cards: this node's own, which its operator changes, and the newest seen of each peer (R7).

A pin is about a node's keys, so a new card needs no new pin: these keys sign it. But a coordinator must not
bring an old card back, on which a passkey stands that its holder has taken off since.
"""

from dataclasses import replace

from signers.database import Database
from signers.errors import NodeError, Refusal
from signers.identity import Identity
from wire.canonical import canonical_bytes, parse_json
from wire.credential import MAX_CREDENTIALS, Credential
from wire.identity import NODE, HolderCard


class SeenCards:
    """The newest card of each peer that this node has seen in a roster of pinned nodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, node_id: str) -> HolderCard | None:
        rows = self._database.rows("SELECT card FROM cards WHERE node_id = ?", (node_id,))
        return HolderCard.from_json(parse_json(rows[0][0].encode())) if rows else None

    def saw(self, card: HolderCard) -> None:
        """Keep the card if it is newer than what is known."""
        self._database.execute(
            """INSERT INTO cards (node_id, version, card) VALUES (?, ?, ?)
            ON CONFLICT (node_id) DO UPDATE SET version = excluded.version, card = excluded.card
            WHERE cards.version < excluded.version""",
            (card.node_id, card.version, canonical_bytes(card.to_json()).decode()),
        )

    def check(self, card: HolderCard) -> None:
        """Raises Refusal: card_rolled_back for an older card than the newest, card_conflict for another card
        of its version."""
        known = self.newest(card.node_id)
        if known is None or known == card:
            return
        if card.version < known.version:
            raise Refusal(
                "card_rolled_back",
                f"the roster has version {card.version} of the card of {card.node_id}, and this node has seen"
                f" version {known.version}",
            )
        if card.version == known.version:
            raise Refusal("card_conflict", f"{card.node_id} has signed two cards of version {card.version}")


def with_passkey(card: HolderCard, credential: Credential, identity: Identity) -> HolderCard:
    """The next card, on which the credential stands. Raises NodeError passkey_known, too_many_passkeys."""
    if card.credential(credential.id) is not None:
        raise NodeError("passkey_known", "this passkey is on the card already")
    if len(card.credentials) >= MAX_CREDENTIALS:
        raise NodeError(
            "too_many_passkeys", f"a card has at most {MAX_CREDENTIALS} passkeys: remove one first"
        )
    return _signed(replace(card, credentials=(*card.credentials, credential)), identity)


def without_passkey(card: HolderCard, fingerprint: str, identity: Identity) -> HolderCard:
    """The next card, without the credential whose fingerprint (hex) begins so.

    Raises NodeError unknown_passkey, or last_passkey where the method needs one.
    """
    gone = [each for each in card.credentials if each.fingerprint().hex().startswith(fingerprint)]
    if len(gone) != 1:
        raise NodeError("unknown_passkey", f"{len(gone)} passkeys of the card begin with {fingerprint}")
    left = tuple(each for each in card.credentials if each != gone[0])
    if card.needs_passkey and not left:
        raise NodeError("last_passkey", "the card's votes need a passkey: set the method to node first")
    return _signed(replace(card, credentials=left), identity)


def with_method(card: HolderCard, method: str, identity: Identity) -> HolderCard:
    """The next card, whose votes are given so. Raises NodeError no_passkey, method_unchanged."""
    if method == card.method:
        raise NodeError("method_unchanged", f"the method is {method} already")
    if method != NODE and not card.credentials:
        raise NodeError("no_passkey", "the card has no passkey yet: add one first")
    return _signed(replace(card, method=method), identity)


def _signed(card: HolderCard, identity: Identity) -> HolderCard:
    unsigned = replace(card, version=card.version + 1, signature=b"")
    return replace(unsigned, signature=identity.sign(unsigned.signed_bytes()))
