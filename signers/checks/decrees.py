"""What the holders of a vault decided without a ceremony, applied to its anchor (R12, R16).

A node learns of a changed policy or Main group from the documents of a later request. It believes the
holders' signatures and nothing else. A decree that does not start from what the node knows is passed over:
the anchor that it pinned may be newer. So is a change of the Main group that was asked for before the one
that the node knows of, lest an old one, shown again, make a former Main group the present one. Who holds
shares of an older set only decides nothing.
"""

from collections.abc import Callable, Collection, Iterable

from mpc.certificate import Certificate
from mpc.errors import MPCError
from signers.anchors import Anchors, is_later, moves_main
from signers.answers import DecreeDocuments
from signers.checks.chain import Chain, check_newest, check_source
from signers.checks.change import check_change, check_eligible
from signers.checks.intent import check_new_policy, check_policy
from signers.checks.roster import Peers
from signers.checks.votes import approvals, check_votes, readable_decisions
from signers.errors import Refusal
from wire.anchor import Anchor
from wire.approval import APPROVE, Approval
from wire.ballot import holder_cards
from wire.canonical import CanonicalError
from wire.fields import WireError
from wire.intent import POLICY_CHANGE, ROLE_CHANGE, GroupReference, Intent
from wire.passkey import PasskeyApproval

Known = Callable[[bytes], Collection[Approval | PasskeyApproval]]


def apply_decrees(
    anchors: Anchors,
    known: Known,
    peers: Peers,
    chain: Chain,
    vault_id: str,
    decrees: Iterable[DecreeDocuments],
) -> None:
    """Verify and apply what is new among `decrees`, the oldest first; chain: of this vault.

    known: the decisions about a digest that this node keeps, of nodes and of passkeys. Raises Refusal
    bad_decree, and anchor_tampered.
    """
    for decree in decrees:
        record = anchors.get(vault_id, peers.data_key)
        if record is None:
            return
        try:
            _apply(anchors, known, peers, chain, record.anchor, decree)
        except (CanonicalError, WireError, MPCError) as error:
            raise Refusal("bad_decree", str(error)) from None
        except Refusal as error:
            raise Refusal("bad_decree", f"{error.code}: {error.message}") from None


def _apply(
    anchors: Anchors,
    known: Known,
    peers: Peers,
    chain: Chain,
    anchor: Anchor,
    decree: DecreeDocuments,
) -> None:
    intent = Intent.parse(decree.intent.encode())
    if (intent.vault_id, intent.organisation_id) != (anchor.vault_id, anchor.organisation_id):
        raise Refusal("vault_mismatch", "the decree is of another vault")
    if intent.source is None or not _follows(intent, intent.source, anchor):
        return
    if moves_main(intent, anchor):
        certificate = _check_recovered(peers, chain, intent, decree)
        anchors.trust(certificate, anchor.vault_id, peers.data_key, group_id=intent.target.group_id)
        anchors.retire(anchor.vault_id, intent.retires)
    else:
        check_newest(anchors, anchor.vault_id, intent.source, intent.source.epoch, "source")
        check_newest(anchors, anchor.vault_id, intent.target, intent.target.epoch, "target")
        taken_back = {each.node_id for each in known(intent.digest()) if each.decision != APPROVE}  # R13
        _check_decided(peers, chain, anchor, intent, intent.source, decree, taken_back)
    if intent.type == POLICY_CHANGE:
        anchors.change_policy(intent, peers.data_key)
    else:
        anchors.move_main(intent, peers.data_key)


def _follows(intent: Intent, source: GroupReference, anchor: Anchor) -> bool:
    """Whether the decree starts from what the node knows now."""
    if intent.type == POLICY_CHANGE:
        return intent.policy_hash == anchor.policy_hash
    if not is_later(intent, anchor):
        return False
    if intent.type == ROLE_CHANGE:
        # From a Recovery group where Main is lost (R16).
        from_here = source.group_id == anchor.main_group_id or source.role == "recovery"
        return from_here and intent.target.group_id != anchor.main_group_id
    return moves_main(intent, anchor) and anchor.main_group_id in {each.group_id for each in intent.retires}


def _check_decided(
    peers: Peers,
    chain: Chain,
    anchor: Anchor,
    intent: Intent,
    source: GroupReference,
    decree: DecreeDocuments,
    taken_back: Collection[str],
) -> None:
    """A change of policy or role: the votes were won."""
    certificate = chain.certified(source.certificate_hash, "source_not_certified")
    source_manifest = peers.manifest(decree.source_manifest, intent, source)
    check_source(source, source_manifest, certificate)
    manifest = peers.manifest(decree.manifest, intent, intent.target)
    held = chain.certified(intent.target.certificate_hash, "target_not_certified")
    check_change(intent, source, held, anchor, manifest)
    policy = check_policy(decree.policy, intent)
    check_new_policy(decree.new_policy, intent)
    check_eligible(intent, source_manifest, policy.required_approvals)
    cards = holder_cards(manifest, source_manifest)
    approved = approvals(readable_decisions(decree.decisions), intent, intent.digest(), cards)
    check_votes(intent, manifest, policy, approved.difference(taken_back))


def _check_recovered(peers: Peers, chain: Chain, intent: Intent, decree: DecreeDocuments) -> Certificate:
    """A Recovery into another group: its final certificate says that everybody went along."""
    certificate = Certificate.parse(decree.certificate)
    manifest = peers.manifest(decree.manifest, intent, intent.target)
    context = certificate.statement.context
    if (context.digest, context.manifest_hash) != (intent.digest(), manifest.hash()):
        raise Refusal("foreign_certificate", "the certificate is not of this Recovery")
    chain.offer(certificate)
    return chain.certified(certificate.hash(), "target_not_certified")
