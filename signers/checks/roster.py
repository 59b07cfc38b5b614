"""Who would hold shares: pinned, distinct, not revoked, and never the service alone (R1, R5, R6, R7, R29)."""

from collections.abc import Collection
from dataclasses import dataclass

from signers.cards import SeenCards
from signers.errors import Refusal
from signers.identity import Fingerprint
from signers.pins import Pin, Pins
from signers.sealing import DataKey
from wire.canonical import CanonicalError, Json, parse_canonical
from wire.fields import WireError
from wire.identity import HolderCard, identity_hash
from wire.intent import GroupReference, Intent
from wire.manifest import Manifest
from wire.policy import VaultPolicy


@dataclass(frozen=True)
class Peers:
    """The node's own card and its operator's pins: the only keys that it believes."""

    own: HolderCard
    pins: Pins
    cards: SeenCards
    data_key: DataKey

    def manifest(self, text: str, intent: Intent, reference: GroupReference) -> Manifest:
        """Parse a roster and compare it with what the intent says of it.

        Raises Refusal: pin_mismatch, bad_manifest, manifest_hash_mismatch, NAME_mismatch.
        """
        data = text.encode()
        try:
            # Before the strict parser, which only sees a bad card: keys that were swapped under a pinned id
            # (N01).
            self._check_swapped_keys(parse_canonical(data))
            manifest = Manifest.parse(data)
        except (CanonicalError, WireError) as error:
            raise Refusal("bad_manifest", str(error)) from None
        if manifest.hash() != reference.manifest_hash:
            raise Refusal("manifest_hash_mismatch", "the manifest is not the one that the intent names")
        _check_fits(intent, reference, manifest)
        self._check_pinned_ones(manifest)
        return manifest

    def check_all_pinned(self, manifest: Manifest) -> None:
        """R5: a manifest that names an unpinned node is refused; the refusal prints what to compare."""
        unpinned = [card for card in manifest.holders if self._known(card.node_id) is None]
        if unpinned:
            raise Refusal(
                "unpinned_node", "not pinned on this node: " + "; ".join(map(_fingerprint, unpinned))
            )

    def check_current(self, manifest: Manifest) -> None:
        """R7: who gets a share is listed with the newest card that this node knows of it.

        Raises Refusal own_card_mismatch, card_rolled_back, card_conflict.
        """
        for card in manifest.holders:
            if card.node_id != self.own.node_id:
                self.cards.check(card)
            elif card != self.own:
                raise Refusal(
                    "own_card_mismatch",
                    f"the roster has version {card.version} of this node's card, which is at version"
                    f" {self.own.version}: the request has to be made anew",
                )

    def keep_cards(self, manifest: Manifest) -> None:
        """Remember the cards of a roster whose members are all pinned."""
        for card in manifest.holders:
            if card.node_id != self.own.node_id:
                self.cards.saw(card)

    def _known(self, node_id: str) -> HolderCard | Pin | None:
        return self.own if node_id == self.own.node_id else self.pins.get(node_id, self.data_key)

    def _check_swapped_keys(self, manifest: Json) -> None:
        holders = manifest.get("holders", []) if isinstance(manifest, dict) else []
        for holder in holders if isinstance(holders, list) else []:
            card = holder.get("card") if isinstance(holder, dict) else None
            if not isinstance(card, dict) or not isinstance(card.get("node_id"), str):
                continue
            pinned = self._known(card["node_id"])
            if pinned is None or not pinned.signing_key:
                continue
            try:
                shown = (
                    bytes.fromhex(card.get("signing_key", "")),
                    bytes.fromhex(card.get("encryption_key", "")),
                )
            except (TypeError, ValueError):
                continue
            if shown != (pinned.signing_key, pinned.encryption_key):
                raise Refusal(
                    "pin_mismatch",
                    f"the coordinator shows other keys for {card['node_id']} than those pinned here: "
                    f"shown {identity_hash(*shown).hex()}, "
                    f"pinned {identity_hash(pinned.signing_key, pinned.encryption_key).hex()}",
                )

    def _check_pinned_ones(self, manifest: Manifest) -> None:
        for card in manifest.holders:
            pinned = self._known(card.node_id)
            if isinstance(pinned, HolderCard) and not _is_version_of(card, pinned):
                raise Refusal(
                    "own_card_mismatch", "the manifest shows another card for this node than its own"
                )
            if isinstance(pinned, Pin) and not pinned.matches(card):
                raise Refusal(
                    "pin_mismatch",
                    f"{card.node_id} has other keys than those pinned here, or is shown as {card.kind} and"
                    f" pinned as {pinned.kind} (R1)",
                )


def _is_version_of(card: HolderCard, own: HolderCard) -> bool:
    """A set that was made before lists the card of its time."""
    if card.version == own.version:
        return card == own
    return card.version < own.version and card.kind == own.kind


def check_thresholds(manifest: Manifest) -> None:
    if manifest.threshold < 2:
        raise Refusal("threshold_too_low", "one holder alone would have the key")
    # R1: service signers and coordinator count as one party that holds all their shares.
    if manifest.service_members() >= manifest.threshold:
        raise Refusal(
            "service_has_threshold",
            f"{manifest.service_members()} members are nodes of the service itself and {manifest.threshold}"
            " are enough: the service alone would have the key",
        )


def check_operators(intent: Intent, manifest: Manifest, source: Manifest | None) -> None:
    """R29: who owns which node is the coordinator's knowledge, but each holder has one owner at most.

    So no key can need more operators than holders, and the service is one operator (R1).
    """
    rosters = [manifest]
    # A source that stays is a way to the key as well.
    if source is not None and source.group_id not in {manifest.group_id, *_retired(intent)}:
        rosters.append(source)
    at_most = min(each.threshold - max(0, each.service_members() - 1) for each in rosters)
    if intent.operators_needed > at_most:
        raise Refusal(
            "operators_overstated",
            f"the request says that {intent.operators_needed} operators are needed afterwards, but {at_most}"
            " are enough",
        )


def check_overlap(intent: Intent, manifest: Manifest, main: Collection[str]) -> None:
    """R29: a Recovery group of nearly the same people as Main recovers nothing that they lose together.

    main: node ids of the Main group, as far as this node knows them.
    """
    others = [node_id for node_id in manifest.node_ids if node_id not in main]
    if manifest.role == "recovery" and main and len(others) <= 1 and not intent.overlap_accepted:
        raise Refusal(
            "overlap_not_accepted",
            f"{manifest.participants - len(others)} of {manifest.participants} Recovery holders are Main"
            " holders, and the requester has not accepted that",
        )


def check_shared_nodes(
    intent: Intent,
    policy: VaultPolicy,
    manifest: Manifest,
    source: Manifest | None,
    own_id: str,
    held: Collection[str],
) -> None:
    """Where the vault's policy wants every node in one group only; held: groups of this node's shares."""
    if policy.shared_nodes:
        return
    stays = {manifest.group_id, *_retired(intent)}
    taken = set(source.node_ids) if source is not None and source.group_id not in stays else set()
    if own_id in manifest.node_ids and set(held) - stays:
        taken.add(own_id)
    shared = sorted(taken & set(manifest.node_ids))
    if shared:
        raise Refusal("node_shared", f"{shared[0]} holds a share of another group of the vault already")


def check_not_revoked(manifest: Manifest, revoked: Collection[str]) -> None:
    """R6: what took a node's place also ended its membership."""
    gone = [node_id for node_id in manifest.node_ids if node_id in revoked]
    if gone:
        raise Refusal("revoked_node", f"{gone[0]} was replaced in this vault and gets no share again")


def _retired(intent: Intent) -> set[str]:
    return {each.group_id for each in intent.retires}


def _check_fits(intent: Intent, reference: GroupReference, manifest: Manifest) -> None:
    pairs = (
        ("organisation", intent.organisation_id, manifest.organisation_id),
        ("vault", intent.vault_id, manifest.vault_id),
        ("group", reference.group_id, manifest.group_id),
        ("role", reference.role, manifest.role),
        ("epoch", reference.epoch, manifest.epoch),
        ("threshold", reference.threshold, manifest.threshold),
        ("participants", reference.participants, manifest.participants),
    )
    for name, named, listed in pairs:
        if named != listed:
            raise Refusal(
                f"{name}_mismatch", f"intent and manifest disagree about the {name}: {named} and {listed}"
            )


def _fingerprint(card: HolderCard) -> str:
    fingerprint = Fingerprint.of(card.signing_key, card.encryption_key)
    return f"{fingerprint.node_id} (fingerprint {fingerprint.hex}, words: {fingerprint.words})"
