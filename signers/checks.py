"""What a node checks for itself before it approves and before its first protocol message (docs/protocol.md,
section 7).

Each check has a refusal code of its own. Nothing that the coordinator says is believed: keys come from pins,
the digest from the text itself, approvals from their signatures, time from the node's clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mpc.errors import InvalidParameters
from mpc.session import SessionContext
from signers import __version__
from signers.answers import Start
from signers.errors import Refusal
from signers.identity import Fingerprint
from signers.policy import Policy, Rule
from signers.requests import PEER, SUCCEEDED, RequestRecord
from signers.sealing import DataKey
from signers.shares import ACTIVATED, FINAL
from signers.store import Store
from wire.approval import APPROVE, REJECT, Approval
from wire.canonical import CanonicalError, Json, parse_canonical
from wire.fields import WireError
from wire.identity import HolderCard, identity_hash
from wire.intent import CURVES, MAX_LIFETIME_MS, KeyGenIntent
from wire.manifest import Manifest
from wire.policy import VaultPolicy
from wire.session import KEYGEN_PROTOCOL, MAX_ATTEMPTS, key_gen_context

# How far in the future not-before may lie for a node whose clock is a little slow. Expiry has no tolerance.
CLOCK_SKEW_MS = 60_000


@dataclass(frozen=True)
class CheckedRequest:
    """A request that passed every check, and the local rule that allows it."""

    intent: KeyGenIntent
    manifest: Manifest
    policy: VaultPolicy
    rule: Rule

    @property
    def digest(self) -> bytes:
        return self.intent.digest()


class Checks:
    """The checks of one unlocked node."""

    def __init__(self, store: Store, data_key: DataKey) -> None:
        self._store = store
        self._data_key = data_key
        self._own = store.card()

    def request(
        self, intent_text: str, manifest_text: str, policy_text: str, policy: Policy
    ) -> CheckedRequest:
        """All that can be checked before a decision. Raises Refusal."""
        intent = _parse_intent(intent_text)
        _check_software(intent)
        _check_protocol(intent)
        self._check_organisation(intent)
        manifest = self._parse_manifest(manifest_text, intent)
        _check_manifest_fits(intent, manifest)
        self._check_members(manifest)
        _check_thresholds(manifest)
        self.check_time(intent)
        vault_policy = _check_vault_policy(policy_text, intent)
        self._check_no_key_yet(intent)
        rule = policy.rule_for(intent)
        return CheckedRequest(intent, manifest, vault_policy, rule)

    def start(
        self, record: RequestRecord | None, start: Start, policy: Policy
    ) -> tuple[CheckedRequest, SessionContext]:
        """All that must hold before the first message of an attempt. Raises Refusal.

        record: the request as this node stored it when it decided; start: what the coordinator presents now.
        """
        attempt = start.attempt
        if record is None:
            raise Refusal("not_approved_here", "this node has never been asked about this request")
        if record.result == SUCCEEDED:
            raise Refusal("already_succeeded", "this request has succeeded and is never run again")  # R20
        checked = self.request(start.intent, start.manifest, start.policy, policy)
        self._check_decisions(checked, start.decisions)
        # R20: attempts only rise, at most five.
        if not 1 <= attempt <= MAX_ATTEMPTS:
            raise Refusal("too_many_attempts", f"attempt {attempt} is not between 1 and {MAX_ATTEMPTS}")
        if attempt <= record.attempt:
            raise Refusal(
                "stale_attempt", f"this node already entered attempt {record.attempt} of this request"
            )
        running = self._store.sessions.running_in_vault(checked.intent.vault_id)
        if running is not None and running.digest != record.digest:
            raise Refusal("vault_busy", "another ceremony of this vault is running on this node")  # R24
        try:
            return checked, key_gen_context(checked.intent, checked.manifest, attempt)
        except InvalidParameters as error:
            raise Refusal("bad_session", str(error)) from None

    def check_time(self, intent: KeyGenIntent) -> None:
        """R15: by the node's own clock, behind which it never goes. Raises Refusal or NodeError
        clock_behind."""
        if not 0 < intent.expires - intent.not_before <= MAX_LIFETIME_MS:
            raise Refusal("lifetime_too_long", "expiry is not within 7 days after not-before")
        now = self._store.now()
        if now >= intent.expires:
            raise Refusal("expired", "the request has expired by this node's clock")
        if now + CLOCK_SKEW_MS < intent.not_before:
            raise Refusal("not_yet_valid", "the request's not-before lies in the future of this node's clock")

    def keep_rejections(self, manifest: Manifest, digest: bytes, decisions: Iterable[Approval]) -> None:
        """Remember valid rejections of holders for ever, and refuse (R13). Raises Refusal rejected."""
        # Made once: an id costs two hashes and base58, and a peer's notes may hold 200 decisions.
        keys = {card.node_id: card.signing_key for card in manifest.holders}
        for decision in decisions:
            if decision.decision != REJECT or decision.digest != digest or decision.node_id not in keys:
                continue
            if decision.verify(keys[decision.node_id]):
                self._store.requests.add_decision(decision, PEER)
        rejected = [
            known for known in self._store.requests.decisions(digest.hex()) if known.decision == REJECT
        ]
        if rejected:
            raise Refusal(
                "rejected", f"{rejected[0].node_id} has rejected this request: {rejected[0].reason}"
            )

    # roster

    def _check_organisation(self, intent: KeyGenIntent) -> None:
        own = self._store.setting("organisation_id")
        if own and intent.organisation_id != own:
            raise Refusal("other_organisation", f"this node is enrolled with organisation {own}")

    def _parse_manifest(self, text: str, intent: KeyGenIntent) -> Manifest:
        data = text.encode()
        try:
            # Before the strict parser, which only sees a bad card: keys that were swapped under a pinned id
            # (N01).
            self._check_swapped_keys(parse_canonical(data))
            manifest = Manifest.parse(data)
        except (CanonicalError, WireError) as error:
            raise Refusal("bad_manifest", str(error)) from None
        if manifest.hash() != intent.target.manifest_hash:
            raise Refusal("manifest_hash_mismatch", "the manifest is not the one that the intent names")
        return manifest

    def _check_swapped_keys(self, manifest: Json) -> None:
        holders = manifest.get("holders", []) if isinstance(manifest, dict) else []
        for holder in holders if isinstance(holders, list) else []:
            card = holder.get("card") if isinstance(holder, dict) else None
            if not isinstance(card, dict) or not isinstance(card.get("node_id"), str):
                continue
            own = card["node_id"] == self._own.node_id
            pinned = self._own if own else self._store.pins.get(card["node_id"], self._data_key)
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

    def _check_members(self, manifest: Manifest) -> None:
        if self._own.node_id not in manifest.node_ids:
            raise Refusal("not_a_member", "this node is not in the manifest")
        if manifest.card_of(self._own.node_id) != self._own:
            raise Refusal("own_card_mismatch", "the manifest shows another card for this node than its own")
        unpinned = []
        for card in manifest.holders:
            if card.node_id == self._own.node_id:
                continue
            pin = self._store.pins.get(card.node_id, self._data_key)
            if pin is None:
                unpinned.append(card)
            elif not pin.matches(card):
                raise Refusal(
                    "pin_mismatch",
                    f"{card.node_id} has other keys than those pinned here, or is shown as {card.kind} and"
                    f" pinned as {pin.kind} (R1)",
                )
        # R5: a manifest that names an unpinned node is refused; the refusal prints the fingerprints to
        # compare.
        if unpinned:
            raise Refusal(
                "unpinned_node", "not pinned on this node: " + "; ".join(map(_fingerprint, unpinned))
            )

    # state

    def _check_no_key_yet(self, intent: KeyGenIntent) -> None:
        # R26: for KeyGen, a node that activated a set of the group always refuses another: make a new group.
        for share in self._store.shares.of_group(intent.target.group_id):
            if share.state in (ACTIVATED, FINAL):
                raise Refusal(
                    "group_has_key", "this node already activated shares of this group: make a new group"
                )
        if self._store.shares.anchor(intent.vault_id) is not None:
            raise Refusal("vault_has_key", "this node already holds a root key of this vault")

    # approvals

    def _check_decisions(self, checked: CheckedRequest, presented: Iterable[Json]) -> None:
        intent, manifest, digest = checked.intent, checked.manifest, checked.digest
        own = self._store.requests.own_decision(digest.hex(), self._own.node_id)
        # R13: only if its own operator or its own rule approved, whatever the coordinator shows.
        if own is None:
            raise Refusal("not_approved_here", "neither the operator nor a rule of this node has approved")
        decisions = []
        for position, item in enumerate(presented):
            try:
                decisions.append(Approval.from_json(item, f"decisions[{position}]"))
            except WireError as error:
                raise Refusal("bad_approval", str(error)) from None
        self.keep_rejections(manifest, digest, decisions)
        approved = {self._own.node_id}
        for decision in decisions:
            self._check_approval(decision, intent, manifest)
            approved.add(decision.node_id)
        # KeyGen: every target holder must approve (docs/protocol.md, section 7).
        missing = [node_id for node_id in manifest.node_ids if node_id not in approved]
        if missing:
            raise Refusal("missing_approval", f"no approval of {', '.join(missing)} was presented")

    def _check_approval(self, decision: Approval, intent: KeyGenIntent, manifest: Manifest) -> None:
        if decision.digest != intent.digest():
            raise Refusal(
                "approval_of_other_request", f"the approval of {decision.node_id} is for another digest"
            )
        if decision.node_id not in manifest.node_ids:
            raise Refusal("unknown_approver", f"{decision.node_id} is no holder of the group")
        # The keys of the manifest equal the pinned ones (checked above); a database row's key is never used.
        if not decision.verify(manifest.card_of(decision.node_id).signing_key):
            raise Refusal(
                "forged_approval", f"the approval of {decision.node_id} is not signed by its pinned key"
            )
        if decision.decision != APPROVE:
            raise Refusal("rejected", f"{decision.node_id} has rejected this request")
        if not intent.not_before <= decision.time <= intent.expires:
            raise Refusal(
                "approval_out_of_time", f"the approval of {decision.node_id} lies outside the request's life"
            )


def _parse_intent(text: str) -> KeyGenIntent:
    try:
        return KeyGenIntent.parse(text.encode())
    except CanonicalError as error:
        raise Refusal("bad_intent", str(error)) from None
    except WireError as error:
        code = "bad_intent"
        if error.message == "unknown field":
            code = "unknown_field"  # R8
        elif error.field == "intent.v":
            code = "unknown_version"
        elif error.field == "intent.type":
            code = "unknown_type"
        raise Refusal(code, str(error)) from None


def _check_software(intent: KeyGenIntent) -> None:
    needed = _version(intent.min_software)
    if needed is None:
        raise Refusal("bad_intent", "intent.min_software: is not a version like 1.2.3")
    if needed > (_version(__version__) or ()):
        raise Refusal(
            "software_too_old", f"the request needs {intent.min_software}, this node is {__version__}"
        )


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in parts):
        return None
    return tuple(int(part) for part in parts)


def _check_protocol(intent: KeyGenIntent) -> None:
    if intent.protocol != KEYGEN_PROTOCOL:
        raise Refusal("unknown_protocol", f"this node does not know the protocol {intent.protocol}")
    if not intent.curves or intent.curves != tuple(curve for curve in CURVES if curve in intent.curves):
        raise Refusal("bad_curves", f"curves must be some of {', '.join(CURVES)} in that order")


def _check_manifest_fits(intent: KeyGenIntent, manifest: Manifest) -> None:
    target = intent.target
    pairs = (
        ("organisation", intent.organisation_id, manifest.organisation_id),
        ("vault", intent.vault_id, manifest.vault_id),
        ("group", target.group_id, manifest.group_id),
        ("role", target.role, manifest.role),
        ("epoch", target.epoch, manifest.epoch),
        ("threshold", target.threshold, manifest.threshold),
        ("participants", target.participants, manifest.participants),
    )
    for name, named, listed in pairs:
        if named != listed:
            raise Refusal(
                f"{name}_mismatch", f"intent and manifest disagree about the {name}: {named} and {listed}"
            )
    if target.role != "main":
        raise Refusal("wrong_role", f"KeyGen makes a main group, not a {target.role} group")
    if target.epoch != 1:
        raise Refusal("wrong_epoch", "a KeyGen makes the first share set of its group: epoch 1")


def _check_thresholds(manifest: Manifest) -> None:
    if manifest.threshold < 2:
        raise Refusal("threshold_too_low", "one holder alone would have the key")
    # R1: service signers and coordinator count as one party that holds all their shares.
    if manifest.service_members() >= manifest.threshold:
        raise Refusal(
            "service_has_threshold",
            f"{manifest.service_members()} members are nodes of the service itself and {manifest.threshold}"
            " are enough: the service alone would have the key",
        )


def _check_vault_policy(text: str, intent: KeyGenIntent) -> VaultPolicy:
    try:
        policy = VaultPolicy.parse(text.encode())
    except (CanonicalError, WireError) as error:
        raise Refusal("bad_vault_policy", str(error)) from None
    # R12: the first policy of a vault is part of its KeyGen intent.
    if policy.hash() != intent.policy_hash:
        raise Refusal("policy_hash_mismatch", "the vault policy is not the one that the intent names")
    if policy.vault_id != intent.vault_id:
        raise Refusal("policy_vault_mismatch", "the vault policy belongs to another vault")
    if intent.type not in policy.request_types:
        raise Refusal("type_not_in_policy", f"the vault policy does not allow {intent.type}")
    if intent.expires - intent.not_before > policy.request_lifetime:
        raise Refusal("lifetime_above_policy", "the request lives longer than the vault policy allows")
    return policy


def _fingerprint(card: HolderCard) -> str:
    fingerprint = Fingerprint.of(card.signing_key, card.encryption_key)
    return f"{fingerprint.node_id} (fingerprint {fingerprint.hex}, words: {fingerprint.words})"
