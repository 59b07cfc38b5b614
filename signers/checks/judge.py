"""All checks of one node, in order."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mpc.certificate import Certificate
from mpc.errors import InvalidParameters
from mpc.session import SessionContext
from signers.anchors import NewestSet
from signers.answers import Documents, Start
from signers.checks import chain, change, roster, votes
from signers.checks import intent as intents
from signers.checks.chain import Chain
from signers.checks.decrees import apply_decrees
from signers.describe import utc
from signers.errors import Refusal
from signers.policy import AUTO, Policy, Rule
from signers.requests import PEER, SUCCEEDED, RequestRecord
from signers.sealing import DataKey
from signers.shares import ACTIVATED, FINAL
from signers.store import Store
from wire.anchor import Anchor
from wire.approval import APPROVE, REJECT, WITHDRAW, Approval
from wire.assertion import PasskeyError
from wire.ballot import complete, holder_cards, verify_passkey
from wire.electorate import voters
from wire.electorate import votes as votes_of
from wire.fields import WireError
from wire.identity import BOTH, PASSKEY, HolderCard
from wire.intent import (
    KEY_GEN,
    KEY_GEN_FROM_KEY_GROUP,
    RECOVERY,
    RESHARE,
    ROLE_CHANGE,
    GroupReference,
    Intent,
    RetiredSets,
)
from wire.manifest import Manifest
from wire.passkey import PasskeyApproval
from wire.policy import VaultPolicy
from wire.session import MAX_ATTEMPTS, session_context

DELAYED = "delayed"


@dataclass(frozen=True)
class CheckedRequest:
    """A request that passed every check.

    source: the verified certificate of the set that deals or decides, None for KeyGen; rule: the local rule
    that allows it; voter: False for a holder that is only told (R17), and then rule is None;
    automatic: whether the rule approves by itself; by_passkey: whether a passkey vote is enough (R10).
    """

    intent: Intent
    manifest: Manifest
    source_manifest: Manifest | None
    policy: VaultPolicy
    rule: Rule | None
    source: Certificate | None
    voter: bool
    automatic: bool = False
    by_passkey: bool = False

    @property
    def digest(self) -> bytes:
        return self.intent.digest()


class Checks:
    """The checks of one unlocked node."""

    def __init__(self, store: Store, data_key: DataKey) -> None:
        self._store = store
        self._data_key = data_key
        self._own_id = store.card().node_id

    @property
    def _peers(self) -> roster.Peers:
        # Read again: the command line may have changed the card meanwhile.
        store = self._store
        return roster.Peers(store.card(), store.pins, store.cards, self._data_key)

    def request(self, documents: Documents, policy: Policy) -> CheckedRequest:
        """All that can be checked before a decision. Raises Refusal.

        What it proves on the way, certificates and decrees, the node keeps.
        """
        intent = intents.parse_intent(documents.intent)
        intents.check_software(intent)
        intents.check_protocol(intent)
        self._check_organisation(intent)
        self.check_time(intent)
        peers = self._peers
        manifest = peers.manifest(documents.manifest, intent, intent.target)
        vault_policy = intents.check_policy(documents.policy, intent)
        intents.check_new_policy(documents.new_policy, intent)
        if intent.source is None:
            if documents.source_manifest:
                raise Refusal("unexpected_document", "a KeyGen has no source group")
            self._check_no_key_yet(intent)
            change.check_key_gen(intent)
            source_manifest = certificate = None
        else:
            source_manifest = peers.manifest(documents.source_manifest, intent, intent.source)
            certificate = self._check_source(intent, intent.source, documents, manifest, source_manifest)
            change.check_eligible(intent, source_manifest, vault_policy.required_approvals)
        all_voters = voters(votes_of(intent, manifest, vault_policy))
        if self._own_id not in all_voters:
            self._check_told(intent, source_manifest)
            return CheckedRequest(
                intent, manifest, source_manifest, vault_policy, None, certificate, voter=False
            )
        self._check_roster(intent, manifest, source_manifest, vault_policy)
        quarantined = self._check_quarantine(intent, manifest)
        rule = policy.rule_for(intent)
        self._check_delay(intent, rule)
        # `both` means that a person looks at this node each time.
        automatic = rule.action == AUTO and not quarantined and peers.own.method != BOTH
        by_passkey = peers.own.method == PASSKEY and intent.type in policy.passkey_alone and not quarantined
        return CheckedRequest(
            intent, manifest, source_manifest, vault_policy, rule, certificate, True, automatic, by_passkey
        )

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
        checked = self.request(start.documents, policy)
        intent = checked.intent
        if not intent.runs_ceremony:
            raise Refusal("no_ceremony", f"a {intent.type} runs no protocol")
        approved = self._approved(checked, start.documents)
        votes.check_votes(intent, checked.manifest, checked.policy, approved)
        revoked = self._store.anchors.revoked(intent.vault_id)
        votes.check_dealers(intent, start.dealers, approved, revoked)
        self._check_quarantined_start(intent, start.dealers)
        # R20: attempts only rise, at most five.
        if not 1 <= attempt <= MAX_ATTEMPTS:
            raise Refusal("too_many_attempts", f"attempt {attempt} is not between 1 and {MAX_ATTEMPTS}")
        if attempt <= record.attempt:
            raise Refusal(
                "stale_attempt", f"this node already entered attempt {record.attempt} of this request"
            )
        running = self._store.sessions.running_in_vault(intent.vault_id)
        if running is not None and running.digest != record.digest:
            raise Refusal("vault_busy", "another ceremony of this vault is running on this node")  # R24
        try:
            context = session_context(
                intent, checked.manifest, checked.source_manifest, attempt, start.dealers
            )
        except (InvalidParameters, WireError) as error:
            raise Refusal("bad_session", str(error)) from None
        if all(each.node_id != self._own_id for each in context.participants):
            raise Refusal("not_a_participant", "this node neither deals nor receives in this attempt")
        return checked, context

    def check_time(self, intent: Intent) -> None:
        """R15: by the node's own clock, behind which it never goes. Raises Refusal or NodeError
        clock_behind."""
        intents.check_time(intent, self._store.now())

    def keep_rejections(
        self,
        manifest: Manifest,
        source_manifest: Manifest | None,
        digest: bytes,
        decisions: Iterable[Approval] = (),
        passkeys: Iterable[PasskeyApproval] = (),
    ) -> bool:
        """Remember for ever what holders have rejected or withdrawn (R13).

        True when a withdrawal is news. Raises Refusal: rejected, or withdrawn where this node's own holder
        did.
        """
        cards = holder_cards(manifest, source_manifest)
        news = False
        for decision in decisions:
            if decision.decision == APPROVE or decision.digest != digest:
                continue
            if decision.node_id in cards and decision.verify(cards[decision.node_id].signing_key):
                added = self._store.requests.add_decision(decision, PEER)
                news = news or (added and decision.decision == WITHDRAW)
        for vote in passkeys:
            if vote.decision != APPROVE and _is_valid(vote, digest, cards):
                news = (self._store.passkeys.keep(vote) and vote.decision == WITHDRAW) or news
        for known in self._known(digest):
            if known.decision == REJECT:
                raise Refusal("rejected", f"{known.node_id} has rejected this request: {known.reason}")
            if known.decision == WITHDRAW and known.node_id == self._own_id:
                raise Refusal("withdrawn", "the holder of this node has taken its approval back")
        return news

    def _known(self, digest: bytes) -> list[Approval | PasskeyApproval]:
        """Every decision about the request that this node keeps."""
        return [
            *self._store.requests.decisions(digest.hex()),
            *self._store.passkeys.good(digest.hex()),
        ]

    # source and target

    def _check_organisation(self, intent: Intent) -> None:
        own = self._store.setting("organisation_id")
        if own and intent.organisation_id != own:
            raise Refusal("other_organisation", f"this node is enrolled with organisation {own}")

    def _check_no_key_yet(self, intent: Intent) -> None:
        # R26: for KeyGen, a node that activated a set of the group always refuses another: make a new group.
        for share in self._store.shares.of_group(intent.target.group_id):
            if share.state in (ACTIVATED, FINAL):
                raise Refusal(
                    "group_has_key", "this node already activated shares of this group: make a new group"
                )
        if self._store.anchors.get(intent.vault_id, self._data_key) is not None:
            raise Refusal("vault_has_key", "this node already knows a root key of this vault")

    def _check_source(
        self,
        intent: Intent,
        source: GroupReference,
        documents: Documents,
        manifest: Manifest,
        source_manifest: Manifest,
    ) -> Certificate:
        """The chain from the anchor to the sets that the intent names, and what the type may do with them."""
        anchors, vault_id = self._store.anchors, intent.vault_id
        record = chain.known_anchor(anchors, intent, self._data_key)
        offered = chain.read_certificates(documents.certificates)
        proofs = Chain(anchors, self._data_key, record.anchor, offered)
        apply_decrees(anchors, self._known, self._peers, proofs, vault_id, documents.decrees)
        anchor = chain.known_anchor(anchors, intent, self._data_key).anchor
        self._check_policy_is_current(intent, anchor)
        certificate = proofs.certified(source.certificate_hash, "source_not_certified")
        chain.check_source(source, source_manifest, certificate)
        anchors.trust(certificate, vault_id, self._data_key, group_id=source.group_id)
        target, held = intent.target, None
        if target.certificate_hash:
            held = proofs.certified(target.certificate_hash, "target_not_certified")
            if anchors.group_of(target.certificate_hash) not in ("", target.group_id):
                raise Refusal("target_mismatch", "the target's set is another group's")
        chain.check_newest(anchors, vault_id, source, source.epoch, "source")
        held_epoch = held.statement.context.epoch if held else 0
        chain.check_newest(anchors, vault_id, target, held_epoch, "target")
        change.check_change(intent, source, held, anchor, manifest)
        for each in intent.retires:
            self._check_retired(each, proofs)
        return certificate

    def _check_retired(self, retired: RetiredSets, proofs: Chain) -> None:
        """R26: the sets to erase are the last ones of their group, as far as this node knows or is shown.

        A node that knows no set of the group holds none to erase.
        """
        newest = self._store.anchors.newest(retired.group_id)
        if newest is None or newest == NewestSet(retired.epoch, retired.certificate_hash):
            return
        context = proofs.certified(retired.certificate_hash, "bad_retires").statement.context
        known = self._store.anchors.group_of(retired.certificate_hash)
        if (
            newest.epoch >= retired.epoch
            or context.epoch != retired.epoch
            or known not in ("", retired.group_id)
        ):
            raise Refusal("bad_retires", f"group {retired.group_id} uses epoch {newest.epoch}")

    def _check_policy_is_current(self, intent: Intent, anchor: Anchor) -> None:
        if intent.policy_hash != anchor.policy_hash:
            raise Refusal(
                "unknown_policy",
                "the request names another vault policy than the one that the holders approved last (R12)",
            )

    # roster

    def _check_told(self, intent: Intent, source: Manifest | None) -> None:
        """R17: Main holders are told what a Recovery group does, members whom a change of members leaves out.

        Nobody else is shown what it has no vote in.
        """
        told: Collection[str] = ()
        if intent.type in (RECOVERY, ROLE_CHANGE):
            told = self._main_members(intent)
        elif intent.type == RESHARE and source is not None:
            told = source.node_ids
        if self._own_id not in told:
            raise Refusal(
                "not_a_member",
                "this node has no part in this request. If it should hold a share again, a Recovery or a"
                " change of members has to name it",
            )

    def _check_roster(
        self, intent: Intent, manifest: Manifest, source: Manifest | None, policy: VaultPolicy
    ) -> None:
        if not intent.runs_ceremony:
            return  # nobody gets a share; the certified chain fixes who decides
        roster.check_not_revoked(manifest, self._store.anchors.revoked(intent.vault_id))
        peers = self._peers
        peers.check_all_pinned(manifest)
        peers.check_current(manifest)
        roster.check_thresholds(manifest)
        roster.check_operators(intent, manifest, source)
        if intent.type in (KEY_GEN_FROM_KEY_GROUP, RESHARE):
            roster.check_overlap(intent, manifest, self._main_members(intent))
        if intent.type != KEY_GEN:
            own_groups = {
                share.group_id for share in self._store.shares.final() if share.vault_id == intent.vault_id
            }
            roster.check_shared_nodes(intent, policy, manifest, source, self._own_id, own_groups)
        peers.keep_cards(manifest)

    def _main_members(self, intent: Intent) -> set[str]:
        """The Main group's holders, as far as this node knows."""
        record = self._store.anchors.get(intent.vault_id, self._data_key)
        newest = self._store.anchors.newest(record.anchor.main_group_id) if record else None
        if newest is None:
            return set()
        certificate = self._store.anchors.certificate(newest.certificate_hash, self._data_key)
        return set(chain.roster(certificate)) if certificate else set()

    def _check_delay(self, intent: Intent, rule: Rule) -> None:
        """R17: time for the holders to object before this node agrees."""
        due = self.due_at(intent.digest().hex(), rule)
        if self._store.now() < due:
            raise Refusal(DELAYED, f"the rule here waits until {utc(due)} before it agrees (R17)")

    def due_at(self, digest: str, rule: Rule) -> int:
        """When the rule's delay is over, Unix milliseconds; counted from when the request was first shown."""
        record = self._store.requests.get(digest)
        # What could not be read yet was shown to nobody.
        first_seen = record.received_at if record and record.manifest else self._store.now()
        return first_seen + rule.delay * 1000

    def _check_quarantine(self, intent: Intent, manifest: Manifest) -> bool:
        """Whether this node's share sets are older than its peers' (R30): then it may receive, not deal."""
        record = self._store.shares.quarantine(intent.vault_id)
        if record is not None and self._own_id not in manifest.node_ids:
            raise Refusal("quarantined", record.message)
        return record is not None

    def _check_quarantined_start(self, intent: Intent, dealers: tuple[str, ...]) -> None:
        record = self._store.shares.quarantine(intent.vault_id)
        if record is None:
            return
        own_id = self._own_id
        by_person = self._store.requests.decided_by_operator(intent.digest().hex(), own_id)
        if own_id in dealers or not by_person:
            raise Refusal("quarantined", record.message)

    # approvals

    def _approved(self, checked: CheckedRequest, documents: Documents) -> frozenset[str]:
        """Whose approvals are valid and stand. Raises Refusal."""
        intent, digest = checked.intent, checked.digest
        own = self._store.requests.own_decision(digest.hex(), self._own_id)
        # R13: only if its own operator or its own rule approved, whatever the coordinator shows.
        if not checked.voter or own is None:
            raise Refusal("not_approved_here", "neither the operator nor a rule of this node has approved")
        presented = votes.parse_decisions(documents.decisions)
        self.keep_rejections(
            checked.manifest, checked.source_manifest, digest, presented.by_node, presented.by_passkey
        )
        cards = holder_cards(checked.manifest, checked.source_manifest)
        for decision in presented.by_node:
            votes.check_approval(decision, intent, digest, cards)
        for vote in presented.by_passkey:
            votes.check_passkey_vote(vote, intent, digest, cards, self._newest_card(vote.node_id))
        by_node = {self._own_id} | {each.node_id for each in presented.by_node if each.decision == APPROVE}
        by_passkey = {each.node_id for each in presented.by_passkey if each.decision == APPROVE}
        # R13: what was taken back once does not count again.
        taken_back = {each.node_id for each in self._known(digest) if each.decision != APPROVE}
        approved = complete(cards, by_node, by_passkey)
        return approved - taken_back - self._store.anchors.revoked(intent.vault_id)

    def _newest_card(self, node_id: str) -> HolderCard | None:
        return self._store.card() if node_id == self._own_id else self._store.cards.newest(node_id)


def _is_valid(vote: PasskeyApproval, digest: bytes, cards: Mapping[str, HolderCard]) -> bool:
    try:
        verify_passkey(vote, digest, cards)
    except PasskeyError:
        return False
    return True
