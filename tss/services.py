"""What people and robots do with requests: make, cancel, let expire (holders' decisions: tss.decisions)."""

import logging
import secrets
import uuid
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from tss import calls, jobs
from tss.documents import manifest_of
from tss.lifecycle import opened, settle, transition
from tss.models import OPEN_STATES, JobKind, RequestType, State, TssRequest
from tss.representation import milliseconds
from tss.selectors import count_scope
from vaults import counts
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, invalid, missing, not_found, wrong_state
from vaults.models import Group, GroupStatus, GroupType, NodeKind, Vault
from wire.canonical import CanonicalError, Json
from wire.intent import CURVES, KeyGenIntent, Requester, Target
from wire.policy import VaultPolicy
from wire.session import KEYGEN_PROTOCOL

logger = logging.getLogger(__name__)

_ID_TRIES = 5
_MAX_DESCRIPTION = 1000
_CANCELLABLE = (State.AWAITING_APPROVAL, State.APPROVED)


def create_request(
    *,
    actor: Actor,
    vault: Vault,
    type: str,
    target_group_id: str,
    source_group: Json = None,
    description: str = "",
) -> TssRequest:
    """Make a request whose intent the holders of the target group are asked to approve.

    Raises ServiceError: 2003/2006 for bad input, 2025 where R14 or the vault's policy forbids it, 2028 for an
    unknown group, 2029 where the group, the vault or another open request stands in the way.
    """
    if not type:
        raise missing("type")
    if type not in RequestType.values:
        raise invalid("type", f"must be one of {', '.join(RequestType.values)}")
    if len(description) > _MAX_DESCRIPTION:
        raise invalid("description", f"must be text of at most {_MAX_DESCRIPTION} characters")
    group = _target_group(vault, target_group_id)
    if type != RequestType.KEY_GEN:
        raise wrong_state(f"{type} is not available yet", "type")
    if source_group is not None:
        raise invalid("source_key_share_holder_group", "KeyGen makes a new key and has no source group")
    _check_key_gen(actor, vault, group)
    for _ in range(_ID_TRIES):
        request = _build(actor=actor, vault=vault, group=group, description=description)
        try:
            with transaction.atomic():
                request.save(force_insert=True)
                counts.count(count_scope(group.id))
                opened(request, actor)
                calls.wake_holders(request)
        except IntegrityError:
            # The database decides between two callers, whichever of them looked first.
            if TssRequest.objects.filter(target_group=group, state__in=OPEN_STATES).exists():
                raise _another_open() from None
            if not TssRequest.objects.filter(pk=request.pk).exists():
                raise
        else:
            return request
    raise ServiceError(ErrorCode.INTERNAL, "found no free request id")


def cancel_request(*, actor: Actor, request: TssRequest) -> TssRequest:
    """Cancel a request that does not run yet. Raises ServiceError 2029 once it runs or has ended."""

    def step(fresh: TssRequest) -> TssRequest:
        if fresh.state not in _CANCELLABLE:
            raise wrong_state(f"a request that is {fresh.state} cannot be cancelled")
        calls.wake_holders(fresh)
        return transition(
            request=fresh,
            to=State.CANCELLED,
            actor=actor,
            reason=f"cancelled by {actor.label}",
            rows=lambda: jobs.close(kind=JobKind.START_CEREMONY, reference=fresh.id),
        )

    return settle(request.id, step)


def expire(request_id: str) -> None:
    """Expire a request whose time is over and which does not run yet; no effect on any other."""

    settle(request_id, expired)


def expired(fresh: TssRequest) -> bool:
    """Expire a request that `settle` has just read, in its transaction; whether its time was over."""
    if fresh.state not in _CANCELLABLE or timezone.now() < fresh.expires_at:
        return False
    missing_votes = "" if fresh.state == State.APPROVED else " before every holder had approved"
    calls.wake_holders(fresh)
    transition(
        request=fresh,
        to=State.EXPIRED,
        actor=Actor.system("expiry"),
        reason=f"expired{missing_votes}",
        rows=lambda: jobs.close(kind=JobKind.START_CEREMONY, reference=fresh.id),
    )
    return True


def expire_overdue(limit: int = 200) -> None:
    """Expire the requests whose time is over."""
    overdue = TssRequest.objects.filter(state__in=_CANCELLABLE, expires_at__lte=timezone.now())
    for request_id in list(overdue.order_by("expires_at").values_list("pk", flat=True)[:limit]):
        try:
            expire(request_id)
        except Exception:  # one request that cannot expire must not stop the sweeper
            logger.exception("request %s could not be expired", request_id)


def _target_group(vault: Vault, group_id: str) -> Group:
    field = "target_key_share_holder_group_id"
    if not group_id:
        raise missing(field)
    try:
        key = uuid.UUID(str(group_id))
    except ValueError:
        raise invalid(field, "must be a UUID") from None
    group = Group.objects.filter(pk=key, vault=vault).first()
    if group is None:
        raise not_found("target key share holder group")
    return group


def _check_key_gen(actor: Actor, vault: Vault, group: Group) -> None:
    field = "target_key_share_holder_group_id"
    if group.type != GroupType.MAIN:
        raise invalid(field, "KeyGen needs a MainGroup")
    if (
        Group.objects.filter(vault=vault, type=GroupType.MAIN, status=GroupStatus.VALID)
        .exclude(pk=group.pk)
        .exists()
    ):
        raise wrong_state("the vault has an active MainGroup already", field)
    if group.status != GroupStatus.NEW:
        raise wrong_state(f"the group is {group.status}, KeyGen needs a New one", field)
    if RequestType.KEY_GEN not in VaultPolicy.parse(vault.policy.encode()).request_types:
        raise ServiceError(ErrorCode.FORBIDDEN, "the vault's policy does not allow KeyGen", "type")
    if TssRequest.objects.filter(target_group=group, state__in=OPEN_STATES).exists():
        raise _another_open()
    serviced = group.holders.filter(node__kind=NodeKind.SERVICE).exists()
    if serviced and not vault.organisation.service_signer_enabled:
        raise ServiceError(ErrorCode.FORBIDDEN, "the organisation does not use the service holder", field)
    # R14: where every holder must consent, at least one of them is another person than the requester.
    # The service's own signer is no person.
    people = group.holders.exclude(node__kind=NodeKind.SERVICE)
    owners = set(people.values_list("node__owner", flat=True))
    if actor.member is not None and owners <= {actor.member.pk}:
        raise ServiceError(
            ErrorCode.FORBIDDEN, "every holder of the group belongs to the requester, so nobody else approves"
        )


def _another_open() -> ServiceError:
    return wrong_state("the group has another open request", "target_key_share_holder_group_id")


def _build(*, actor: Actor, vault: Vault, group: Group, description: str) -> TssRequest:
    now = datetime.now(UTC)
    # Milliseconds, as the intent has them: row and intent must not disagree about the expiry.
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    manifest = manifest_of(group.manifest)
    policy = VaultPolicy.parse(vault.policy.encode())
    expires = now + timedelta(milliseconds=policy.request_lifetime)
    intent = KeyGenIntent(
        organisation_id=str(vault.organisation_id),
        vault_id=str(vault.id),
        request_id=f"{now:%Y%m%d%H%M%S}{secrets.randbelow(10**18):018d}",
        target=Target(
            group_id=manifest.group_id,
            role=manifest.role,
            manifest_hash=manifest.hash(),
            threshold=manifest.threshold,
            participants=manifest.participants,
            epoch=manifest.epoch,
        ),
        curves=CURVES,
        protocol=KEYGEN_PROTOCOL,
        min_software=settings.QUORATE["MIN_SOFTWARE"],
        policy_hash=policy.hash(),
        requester=_requester(actor),
        not_before=milliseconds(now),
        expires=milliseconds(expires),
        nonce=secrets.token_bytes(32),
        description=description,
    )
    try:
        encoded = intent.encode()
    except CanonicalError as error:
        raise invalid("description", error.message) from None
    return TssRequest(
        id=intent.request_id,
        organisation=vault.organisation,
        vault=vault,
        target_group=group,
        type=RequestType.KEY_GEN,
        description=description,
        requester_member=actor.member,
        intent=encoded.decode(),
        digest=intent.digest().hex(),
        manifest=group.manifest,
        policy=vault.policy,
        created_at=now,
        updated_at=now,
        expires_at=expires,
    )


def _requester(actor: Actor) -> Requester:
    api_key = actor.api_key.public_key if actor.api_key else ""
    if actor.member is not None:
        return Requester(kind="member", id=str(actor.member.id), api_key=api_key)
    if actor.api_key is None:
        raise ServiceError(ErrorCode.FORBIDDEN, "a request needs a member or an API key that asks for it")
    return Requester(kind="robot", id=str(actor.api_key.id), api_key=api_key)
