"""Asking for requests of every type, and looking at what they ask for."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.tss.nodes import SYSTEM, Signer, Site
from tss import groups
from tss.documents import intent_of
from tss.models import ShareSet, TssRequest, Voter
from vaults import services as vaults
from vaults.errors import ServiceError
from vaults.models import Group, Member, Node, Vault
from wire.intent import Intent
from wire.policy import VaultPolicy

SOURCE = "source_key_share_holder_group.key_share_holder_group_id"
SOURCE_NODES = "source_key_share_holder_group.tss_node_ids"
TARGET = "target_key_share_holder_group_id"


def refused(site: Site, **changes: Any) -> ServiceError:
    before = TssRequest.objects.count()
    with pytest.raises(ServiceError) as caught:
        site.request(**changes)
    assert TssRequest.objects.count() == before
    return caught.value


def ids(*signers: Signer) -> list[str]:
    return [signer.node_id for signer in signers]


def intent(request: TssRequest) -> Intent:
    return intent_of(request.intent)


def set_of(group: Group) -> bytes:
    return bytes.fromhex(ShareSet.objects.get(group=group, active=True).certificate_hash)


def sides(request: TssRequest) -> dict[str, str]:
    """Holder's name -> the votes it has."""
    rows = Voter.objects.filter(request=request)
    return {row.name: "source" * row.source + "target" * row.target for row in rows}


def replaced(site: Site, old: Signer, new: Signer) -> None:
    holder = site.group.holders.select_related("group__vault").get(node=old.node_id)
    groups.replace_holder(actor=site.actor, holder=holder, new_tss_node_id=new.node_id)


def policy(site: Site, **changes: Any) -> None:
    """The vault's policy, changed behind everybody's back."""
    vault = Vault.objects.get(pk=site.vault.pk)
    document = VaultPolicy.parse(vault.policy.encode()).to_json() | changes
    vault.policy = VaultPolicy.from_json(document).encode().decode()
    vault.save()


def member(site: Site, name: str, role: str = "operator") -> Member:
    user = User.objects.create(username=name)
    return vaults.add_member(actor=SYSTEM, organisation=site.organisation, user=user, role=role, name=name)


def own(person: Member, *signers: Signer) -> None:
    Node.objects.filter(pk__in=ids(*signers)).update(owner=person)
