"""Making a request: what is asked for becomes an intent, and rows for whoever has a vote."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction

from tss import calls
from tss.builders import BUILDERS, Draft, Wish
from tss.builders.safety import operators_needed
from tss.builders.sources import own
from tss.builders.wish import COMPATIBLE, FieldNames
from tss.documents import policy_of
from tss.lifecycle import opened
from tss.models import (
    COMPATIBLE_TYPES,
    OPEN_STATES,
    CeremonyState,
    RequestType,
    State,
    TssRequest,
    Voter,
)
from tss.obstacles import obstacle
from tss.representation import milliseconds
from tss.selectors import count_scope
from tss.votes import least_voters
from vaults import counts
from vaults import services as vaults
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, invalid, missing, wrong_state
from vaults.models import Node, NodeKind, Vault
from vaults.services import HolderChoice
from wire.canonical import CanonicalError, Json
from wire.electorate import SOURCE, TARGET, Vote, voters, votes
from wire.intent import CEREMONY_TYPES, CURVES, Intent, Requester
from wire.session import protocol_of

# Asks for the Refresh that a group's schedule is due for.
SCHEDULE = Actor.system("schedule")
_ID_TRIES = 5
_MAX_DESCRIPTION = 1000
_ROBOT = "robot"


def create_request(
    *,
    actor: Actor,
    vault: Vault,
    type: str,
    target_group_id: str = "",
    source_group_id: str = "",
    source_node_ids: Sequence[str] | None = None,
    description: str = "",
    accept_overlap: bool = False,
    holders: Sequence[HolderChoice] = (),
    threshold: int | None = None,
    policy: Mapping[str, Json] | None = None,
    original_main: str = "",
    names: FieldNames = COMPATIBLE,
) -> TssRequest:
    """Make a request whose intent its holders are asked to approve.

    What each type takes and needs: docs/api.md. Raises ServiceError: 2003/2006 for bad input, 2025 where R14
    or the vault's policy forbids it, 2028 for an unknown group, 2029 where the group, the vault or another
    open request stands in the way.
    """
    if not type:
        raise missing("type")
    if type not in RequestType.values:
        raise invalid("type", f"must be one of {', '.join(RequestType.values)}")
    if len(description) > _MAX_DESCRIPTION:
        raise invalid("description", f"must be text of at most {_MAX_DESCRIPTION} characters")
    with transaction.atomic():
        # What is read of groups, sets and policy below stays true until the request is there.
        vaults.hold_vault(vault)
        wish = Wish(
            actor=actor,
            vault=vault,
            policy=policy_of(vault.policy),
            type=type,
            target_group_id=target_group_id,
            source_group_id=source_group_id,
            source_node_ids=source_node_ids,
            accept_overlap=accept_overlap,
            holders=holders,
            threshold=threshold,
            new_policy=policy,
            original_main=original_main,
            names=names,
        )
        _check_creator(wish)
        draft = BUILDERS[RequestType(type)](wish)
        if TssRequest.objects.filter(target_group=draft.target, state__in=OPEN_STATES).exists():
            raise _another_open(wish)
        _check_stalled(wish, draft)
        for _ in range(_ID_TRIES):
            request = _save(wish, draft, description)
            if request is not None:
                return request
    raise ServiceError(ErrorCode.INTERNAL, "found no free request id")


def _check_creator(wish: Wish) -> None:
    """R12: the vault's policy says who may ask for what."""
    allowed = wish.policy.creators.get(wish.type, ())
    role = wish.actor.member.role if wish.actor.member is not None else _ROBOT
    if role not in allowed:
        words = f"only {', '.join(allowed)}" if allowed else "nobody"
        raise ServiceError(
            ErrorCode.FORBIDDEN, f"by the vault's policy {words} may ask for a {wish.type}", "type"
        )


def _check_stalled(wish: Wish, draft: Draft) -> None:
    """R26: new shares that all have prepared are completed first. A Recovery is the way on where they cannot
    be; a request that makes no shares leaves them alone."""
    if wish.type == RequestType.RECOVERY or wish.type not in CEREMONY_TYPES:
        return
    stalled = TssRequest.objects.filter(
        target_group=draft.target, state=State.FAILED, ceremonies__state=CeremonyState.STALLED
    )
    for request in stalled.select_related("target_group"):
        if not obstacle(request):
            raise wrong_state(
                f"all holders have prepared the new shares of TSS request {request.id}: retry that one",
                wish.names.target,
            )


def _save(wish: Wish, draft: Draft, description: str) -> TssRequest | None:
    """The request with all its rows; None when its id is taken."""
    request, intent = _build(wish, draft, description)
    all_votes = votes(intent, draft.manifest, wish.policy)
    electorate = _electorate(request, wish, draft, all_votes)
    request.approvals_needed = least_voters(all_votes)
    request.protocol_minimum = least_voters([_by_protocol(vote, intent) for vote in all_votes])
    try:
        with transaction.atomic():
            request.save(force_insert=True)
    except IntegrityError:
        # The database decides between two callers, whichever of them looked first.
        if TssRequest.objects.filter(target_group=draft.target, state__in=OPEN_STATES).exists():
            raise _another_open(wish) from None
        if not TssRequest.objects.filter(pk=request.pk).exists():
            raise
        return None
    Voter.objects.bulk_create(electorate)
    if request.type in COMPATIBLE_TYPES:
        counts.count(count_scope(draft.target.id))
    calls.wake_holders(request)
    opened(request, wish.actor)
    return request


def _build(wish: Wish, draft: Draft, description: str) -> tuple[TssRequest, Intent]:
    now = datetime.now(UTC)
    # Milliseconds, as the intent has them: row and intent must not disagree about the expiry.
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    expires = now + timedelta(milliseconds=wish.policy.request_lifetime)
    source = draft.source
    intent = Intent(
        organisation_id=str(wish.vault.organisation_id),
        vault_id=str(wish.vault.id),
        request_id=f"{now:%Y%m%d%H%M%S}{secrets.randbelow(10**18):018d}",
        type=wish.type,
        source=source.held.reference() if source else None,
        target=draft.target_reference(),
        expected=draft.expected,
        eligible=tuple(holder.node_id for holder in source.eligible) if source else (),
        replaces=draft.replaces,
        retires=draft.retires,
        new_policy_hash=draft.new_policy_hash,
        original_main=draft.original_main,
        operators_needed=operators_needed(wish.vault, draft.manifest),
        overlap_accepted=wish.accept_overlap,
        curves=CURVES,
        protocol=protocol_of(wish.type) if wish.type in CEREMONY_TYPES else "",
        min_software=settings.QUORATE["MIN_SOFTWARE"],
        policy_hash=wish.policy.hash(),
        requester=_requester(wish.actor),
        not_before=milliseconds(now),
        expires=milliseconds(expires),
        nonce=secrets.token_bytes(32),
        description=description,
    )
    try:
        encoded = intent.encode()
    except CanonicalError as error:
        raise invalid("description", error.message) from None
    request = TssRequest(
        id=intent.request_id,
        organisation=wish.vault.organisation,
        vault=wish.vault,
        target_group=draft.target,
        source_group=source.held.group if source else None,
        source_node_ids=list(wish.source_node_ids or ()),
        type=wish.type,
        description=description,
        requester_member=wish.actor.member,
        intent=encoded.decode(),
        digest=intent.digest().hex(),
        manifest=draft.manifest.encode().decode(),
        source_manifest=source.held.group.manifest if source else "",
        policy=wish.vault.policy,
        new_policy=draft.new_policy,
        created_at=now,
        updated_at=now,
        expires_at=expires,
    )
    return request, intent


def _electorate(request: TssRequest, wish: Wish, draft: Draft, all_votes: tuple[Vote, ...]) -> list[Voter]:
    """A row for everybody who votes or is told. Raises ServiceError 2025 where only the requester would."""
    sides = {
        side: {node_id for vote in all_votes if vote.side == side for node_id in vote.node_ids}
        for side in (SOURCE, TARGET)
    }
    names = dict(draft.told)
    if draft.source is not None:
        names |= {holder.node_id: holder.name for holder in draft.source.eligible}
    names |= {node_id: seat.name for node_id, seat in draft.seats.items()}
    everybody = dict.fromkeys((*voters(all_votes), *draft.told))
    nodes = Node.objects.in_bulk(list(everybody))
    # R14: somebody else must consent. The service's own signer is no person.
    others = [
        nodes[node_id]
        for node_id in voters(all_votes)
        if nodes[node_id].kind != NodeKind.SERVICE and not own(nodes[node_id], wish.actor)
    ]
    if wish.actor.member is not None and not others:
        raise ServiceError(
            ErrorCode.FORBIDDEN, "every holder asked belongs to the requester, so nobody else approves"
        )
    return [
        Voter(
            request=request,
            node=nodes[node_id],
            name=names[node_id],
            source=node_id in sides[SOURCE],
            target=node_id in sides[TARGET],
            counts_as_source=node_id in sides[SOURCE] and not own(nodes[node_id], wish.actor),
            signer=node_id in draft.seats and draft.seats[node_id].signer,
        )
        for node_id in everybody
    ]


def _by_protocol(vote: Vote, intent: Intent) -> Vote:
    """The vote as it would be without a policy."""
    if vote.side == SOURCE and intent.source is not None:
        return replace(vote, needed=intent.source.threshold)
    return vote


def _requester(actor: Actor) -> Requester:
    api_key = actor.api_key.public_key if actor.api_key else ""
    if actor.member is not None:
        return Requester(kind="member", id=str(actor.member.id), api_key=api_key)
    if actor.api_key is not None:
        return Requester(kind=_ROBOT, id=str(actor.api_key.id), api_key=api_key)
    if actor == SCHEDULE:
        return Requester(kind=_ROBOT, id="schedule", api_key="")
    raise ServiceError(ErrorCode.FORBIDDEN, "a request needs a member or an API key that asks for it")


def _another_open(wish: Wish) -> ServiceError:
    return wrong_state("the group has another open request", wish.names.target)
