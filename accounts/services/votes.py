"""Votes that people give for their holders with a passkey (R9): what to sign, and taking it."""

import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from nacl.signing import SigningKey

from accounts.errors import AccountError, invalid
from accounts.models import Passkey
from accounts.services import passkeys, webauthn
from audit import rationing
from audit import services as audit
from mpc.encoding import tagged_hash
from tss import passkey_votes
from tss.documents import cards_of
from tss.errors import ItemRefused
from tss.models import Approval, Decision, SignedBy, TssRequest
from vaults.actors import Actor
from vaults.models import Member, Node, Role
from wire.canonical import CanonicalError, Json, canonical_bytes, check_value
from wire.fields import WireError
from wire.passkey import MAX_REASON, PasskeyApproval, challenge

# P17: a signature is asked for and given at once; an older one is asked for again.
MAX_AGE_MS = 5 * 60 * 1000
_VOTERS = (Role.ADMIN, Role.OPERATOR, Role.APPROVER)
_RECEIPT_TAG = "quorate/receipt/v1"
_STATUS = {
    "own_request": 403,
    "no_vote": 403,
    "unknown_digest": 404,
    "closed": 409,
    "already_decided": 409,
    "passkey_out_of_time": 409,
    "bad_time": 409,
}
_SAID = {
    "approve": "Your passkey's approval is in. It counts once your node has approved as well.",
    "reject": "You have rejected this request. It has ended, and your node will never take part.",
    "withdraw": "Your approval is taken back.",
}


@dataclass(frozen=True)
class Seat:
    """A holder for which the person may vote in a request."""

    request: TssRequest
    member: Member
    node: Node


def options(
    *,
    user: User,
    request_id: str,
    decision: str,
    reason: str,
    node_id: str,
    credential_id: str,
    opened_by: str,
) -> dict[str, Any]:
    """What the passkey is to sign, as navigator.credentials.get takes it.

    node_id, credential_id (hex): "" leaves the choice to us: the first holder that has not voted, the passkey
    that opened the session or was used last. Raises AccountError.
    """
    _check_reason(reason)
    seat = _seat(user, request_id, node_id, decision)
    passkey = _passkey_for(seat, user, credential_id or opened_by, chosen=bool(credential_id))
    now = time.time_ns() // 1_000_000
    said: dict[str, Any] = {
        "digest": bytes.fromhex(seat.request.digest),
        "decision": decision,
        "node_id": seat.node.tss_node_id,
        "credential_id": bytes.fromhex(passkey.credential_id),
        "time": now,
        "reason": reason,
    }
    allowed = {"type": "public-key", "id": webauthn.encode(said["credential_id"])}
    return {
        "publicKey": {
            "challenge": webauthn.encode(challenge(**said)),
            "rpId": passkey.credential["rp_id"],
            "allowCredentials": [allowed],
            "userVerification": "required",
            "timeout": MAX_AGE_MS,
        },
        "digest": seat.request.digest,
        "time": now,
        "node_id": seat.node.tss_node_id,
    }


def vote(
    *, user: User, request_id: str, decision: str, reason: str, time_ms: int, node_id: str, answer: Json
) -> dict[str, str]:
    """Take the vote; the request's state afterwards and words for the person. Raises AccountError."""
    _check_reason(reason)
    seat = _seat(user, request_id, node_id, decision)
    credential_id, client_data, authenticator_data, signature = webauthn.response(
        answer, "clientDataJSON", "authenticatorData", "signature"
    )
    passkey = Passkey.objects.filter(user=user, credential_id=credential_id.hex()).first()
    if passkey is None:
        raise _denied(seat, AccountError(403, "this passkey is not one of your account", "credential"))
    if not abs(time.time_ns() // 1_000_000 - time_ms) <= MAX_AGE_MS:
        raise _denied(seat, AccountError(403, "this is too old: press the button again", "time"))
    try:
        given = PasskeyApproval.from_json(
            {
                "v": 1,
                "digest": seat.request.digest,
                "decision": decision,
                "node_id": seat.node.tss_node_id,
                "credential_id": credential_id.hex(),
                "time": time_ms,
                "reason": reason,
                "authenticator_data": authenticator_data.hex(),
                "client_data": client_data.hex(),
                "signature": signature.hex(),
            },
            "vote",
        )
        actor = Actor.of_member(seat.member)
        passkey_votes.vote(
            actor=actor,
            node=seat.node,
            value=given.to_json(),
            then=lambda counter: passkeys.used(passkey, counter),
        )
    except ItemRefused as error:
        raise AccountError(_STATUS.get(error.code, 400), error.message) from None
    except WireError as error:
        raise invalid(error.field.removeprefix("vote."), error.message) from None
    seat.request.refresh_from_db()
    return {"state": seat.request.state, "message": _SAID[decision], "node_id": seat.node.tss_node_id}


def receipt(*, user: User, request_id: str, node_id: str) -> dict[str, Any]:
    """The person's vote as this site took it, signed by the key that signs API answers.

    Raises AccountError.
    """
    seats = _seats(user, request_id, node_id)
    rows = Approval.objects.filter(
        request=seats[0].request, kind=SignedBy.PASSKEY, node__in=[each.node for each in seats]
    )
    row = rows.order_by("-received_at").first()
    if row is None:
        raise AccountError(404, "no passkey has voted for your holder in this request")
    body: dict[str, Any] = {
        "v": 1,
        "request_id": seats[0].request.id,
        "digest": seats[0].request.digest,
        "decision": row.decision,
        "received": int(row.received_at.timestamp() * 1000),
        "vote": row.signed,
    }
    key = SigningKey(settings.QUORATE["RESPONSE_SIGNING_KEY"])
    signature = key.sign(tagged_hash(_RECEIPT_TAG, canonical_bytes(body))).signature
    return {**body, "signature": signature.hex()}


def _seats(user: User, request_id: str, node_id: str) -> list[Seat]:
    """The holders for which the person may speak. Raises AccountError 404: others learn nothing (P08)."""
    request = TssRequest.objects.filter(pk=request_id).first()
    members = Member.objects.filter(user=user, role__in=_VOTERS).select_related("organisation")
    member = members.filter(organisation=request.organisation_id).first() if request else None
    if request is None or member is None:
        raise AccountError(404, "there is no such request for you")
    nodes = Node.objects.filter(owner=member, votes__request=request).order_by("votes__pk")
    if node_id:
        nodes = nodes.filter(pk=node_id)
    seats = [Seat(request, member, node) for node in nodes]
    if not seats:
        raise AccountError(403, "you own no holder that votes in this request", "node_id" if node_id else "")
    return seats


def _seat(user: User, request_id: str, node_id: str, decision: str) -> Seat:
    """The one that votes next: of several the first whose passkey has not spoken, or has, to withdraw."""
    seats = _seats(user, request_id, node_id)
    voted = set(
        Approval.objects.filter(request=seats[0].request, kind=SignedBy.PASSKEY).values_list(
            "node", flat=True
        )
    )
    takes_back = decision == Decision.WITHDRAW
    return next((each for each in seats if (each.node.pk in voted) == takes_back), seats[0])


def _passkey_for(seat: Seat, user: User, preferred: str, *, chosen: bool) -> Passkey:
    card = cards_of(seat.request).get(seat.node.tss_node_id)
    listed = [each.id.hex() for each in card.credentials] if card else []
    usable = list(Passkey.objects.filter(user=user, credential_id__in=listed))
    if not usable:
        raise AccountError(
            409,
            "none of your passkeys is on the card of your holder as this request lists it: add one on the"
            " node (signers card add-passkey), then ask for the request again",
        )
    found = next((each for each in usable if each.credential_id == preferred), None)
    if found is None and chosen:
        raise AccountError(403, "this passkey is not on the holder's card", "credential_id")
    return found or max(usable, key=lambda each: (each.used_at or each.created_at, each.pk))


def _check_reason(reason: str) -> None:
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise invalid("reason", f"must be at most {MAX_REASON} printable characters")
    try:
        check_value(reason, "reason")
    except CanonicalError as error:
        raise invalid("reason", error.message) from None


def _denied(seat: Seat, error: AccountError) -> AccountError:
    if rationing.due((seat.member.pk, seat.request.pk, error.message)):
        audit.record(
            actor=Actor.of_member(seat.member).label,
            act="denied",
            subject=f"tss_request:{seat.request.id}",
            detail={"reason": error.message},
            organisation_id=str(seat.request.organisation_id),
        )
    return error
