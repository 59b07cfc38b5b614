"""Reads of requests. Everything is seen through an organisation: another tenant's request does not exist."""

import uuid

from django.db import connection
from django.db.models import QuerySet

from tss.models import COMPATIBLE_TYPES, TssRequest
from vaults import counts
from vaults.errors import not_found
from vaults.models import Organisation, Vault


def count_scope(group_id: uuid.UUID | str) -> str:
    """The counter (vaults.counts) of the compatible requests of one target group."""
    return f"tss_requests:{group_id}"


def requests(organisation: Organisation) -> "QuerySet[TssRequest]":
    """All requests with what tss.representation.represent reads."""
    rows = TssRequest.objects.filter(organisation=organisation)
    return rows.prefetch_related("approvals", "voters")


def get_request(*, organisation: Organisation, request_id: str) -> TssRequest:
    """One request of any type. Raises ServiceError 2028."""
    return _found(requests(organisation).filter(pk=request_id))


def get_compatible_request(*, vault: Vault, request_id: str) -> TssRequest:
    """One request of a vault that the compatible API knows. Raises ServiceError 2028."""
    rows = requests(vault.organisation).filter(pk=request_id, vault=vault, type__in=COMPATIBLE_TYPES)
    return _found(rows)


def compatible_requests(*, vault: Vault, group_id: uuid.UUID) -> "QuerySet[TssRequest]":
    """The requests whose target is the group, as far as the compatible API knows them."""
    return requests(vault.organisation).filter(vault=vault, target_group=group_id, type__in=COMPATIBLE_TYPES)


def number_of_group(group_id: uuid.UUID | str) -> int:
    """How many of them there are, without counting."""
    return counts.total(count_scope(group_id))


def described(rows: "QuerySet[TssRequest]", text: str) -> "QuerySet[TssRequest]":
    """Those whose description contains `text` in any case; begins with it on SQLite, which has no trigrams.

    Migration 0002 makes the index that answers it.
    """
    if connection.vendor == "postgresql":
        return rows.filter(description__icontains=text)
    return rows.filter(description__istartswith=text)


def _found(rows: "QuerySet[TssRequest]") -> TssRequest:
    request = rows.first()
    if request is None:
        raise not_found("TSS request")
    return request
