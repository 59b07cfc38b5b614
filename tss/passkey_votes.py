"""What people decide with their passkeys: verified here as every node verifies it again (R7, R9)."""

from collections.abc import Callable
from dataclasses import replace

from django.utils import timezone

from audit import rationing
from tss import services
from tss.decisions import record, voter_of
from tss.documents import cards_of, intent_of
from tss.errors import ItemRefused
from tss.lifecycle import settle
from tss.models import SignedBy, TssRequest, Voter
from tss.voting import Ballot, cast
from vaults.actors import Actor
from vaults.models import Node
from wire.assertion import PasskeyError
from wire.ballot import check_passkey
from wire.canonical import Json
from wire.identity import HolderCard
from wire.passkey import PasskeyApproval

# Among how many of a holder's newest requests the one is looked for that a vote was really for.
_MAX_CANDIDATES = 20


def vote(*, actor: Actor, node: Node, value: Json, then: Callable[[int], None]) -> None:
    """Take a vote that a person signed for the holder `node`.

    then: runs in the transaction of the vote, with the authenticator's counter.

    An approval counts once the holder's node has approved as well, a rejection or withdrawal at once (R13).
    The caller has checked that the actor may speak for the holder. Raises ItemRefused, or WireError for a
    malformed value.
    """
    given = PasskeyApproval.from_json(value, "vote")
    if given.node_id != node.tss_node_id:
        raise ItemRefused("foreign_node", "the vote is another holder's")
    voter = voter_of(node, given.digest)
    request = voter.request
    try:
        counter = check_passkey(given, intent_of(request.intent), given.digest, cards_of(request))
    except PasskeyError as error:
        raise _refused(voter, given, error) from None
    # The roster is of the day when the request was made; what was taken off the card since counts no more.
    if HolderCard.from_json(node.holder_card).credential(given.credential_id) is None:
        raise _refused(
            voter, given, PasskeyError("former_credential", "the passkey is on the holder's card no more")
        )
    if timezone.now() >= request.expires_at:
        services.expire(request.id)
    ballot = Ballot(
        actor=actor,
        kind=SignedBy.PASSKEY,
        decision=given.decision,
        time=given.time,
        reason=given.reason,
        signed=given.to_json(),
    )

    def step(fresh: TssRequest) -> None:
        cast(fresh, voter, ballot)
        then(counter)

    settle(request.id, step)


def _refused(voter: Voter, given: PasskeyApproval, error: PasskeyError) -> ItemRefused:
    """P02: a vote for another request is worth an alarm, for somebody moved it here."""
    other = _meant(voter, given) if error.code == "wrong_challenge" else None
    if rationing.due((voter.node_id, "passkey", other or error.code)):
        if other:
            record(voter, "alarm", f"a passkey vote about request {other} was handed in for this one")
        else:
            record(voter, "denied", f"the passkey vote does not count: {error.code}")
    if other:
        return ItemRefused("digest_mismatch", f"the passkey signed for request {other}, not for this one")
    return ItemRefused(error.code, error.message)


def _meant(voter: Voter, given: PasskeyApproval) -> str | None:
    """The request that the passkey really signed for, if it is another one that asks this holder."""
    others = TssRequest.objects.filter(voters__node=voter.node).exclude(pk=voter.request_id)
    for other in others.order_by("-created_at")[:_MAX_CANDIDATES]:
        moved = replace(given, digest=bytes.fromhex(other.digest))
        try:
            check_passkey(moved, intent_of(other.intent), moved.digest, cards_of(other))
        except PasskeyError:
            continue
        return other.id
    return None
