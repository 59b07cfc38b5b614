"""Reads of requests. Everything is seen through an organisation: another tenant's request does not exist."""

import uuid

from django.db.models import QuerySet

from tss.models import TssRequest
from vaults import counts
from vaults.errors import not_found
from vaults.models import Organisation


def count_scope(group_id: uuid.UUID | str) -> str:
    """The counter (vaults.counts) of the requests of one target group."""
    return f"tss_requests:{group_id}"


def requests() -> "QuerySet[TssRequest]":
    """All requests with what tss.representation.represent reads."""
    return TssRequest.objects.select_related("target_group").prefetch_related("approvals")


def get_request(*, organisation: Organisation, vault_id: uuid.UUID | str, request_id: str) -> TssRequest:
    """One request of a vault. Raises ServiceError 2028."""
    request = requests().filter(pk=request_id, vault_id=_uuid(vault_id), organisation=organisation).first()
    if request is None:
        raise not_found("TSS request")
    return request


def requests_of_group(
    *, organisation: Organisation, vault_id: uuid.UUID | str, group_id: uuid.UUID | str
) -> "QuerySet[TssRequest]":
    """The requests whose target is the group, newest first."""
    return (
        requests()
        .filter(organisation=organisation, vault_id=_uuid(vault_id), target_group_id=_uuid(group_id))
        .order_by("-created_at", "-id")
    )


def number_of_group(group_id: uuid.UUID | str) -> int:
    """How many requests the group has, without counting them."""
    return counts.total(count_scope(group_id))


def _uuid(value: uuid.UUID | str) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except ValueError:
        raise not_found("TSS request") from None
