"""Shares of a key for another group: KeyGenFromKeyGroup and Recovery."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from tests.tss.asking import (
    SOURCE,
    SOURCE_NODES,
    TARGET,
    ids,
    intent,
    refused,
    replaced,
    set_of,
    sides,
)
from tests.tss.nodes import Signer, Site, fresh
from tss import groups
from tss.documents import manifest_of
from tss.models import TssRequest
from vaults import services as vaults
from vaults.errors import ErrorCode
from vaults.models import Group, Node

pytestmark = pytest.mark.embedded


def test_key_gen_from_key_group(keyed: Site) -> None:
    (erin,) = keyed.join("Erin")
    target = keyed.new_group(type="SigningGroup", signers=[erin, keyed.signers[0]])
    request = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    asked = intent(request)
    assert asked.protocol == "reshare/1"
    assert asked.source is not None
    assert (asked.source.group_id, asked.source.epoch) == (str(keyed.group.id), 1)
    assert asked.source.certificate_hash == set_of(keyed.group)
    assert asked.source.manifest_hash == manifest_of(request.source_manifest).hash()
    assert (asked.target.group_id, asked.target.epoch, asked.target.certificate_hash) == (
        str(target.id),
        1,
        b"",
    )
    assert [key.curve for key in asked.expected] == ["secp256k1", "ed25519"]
    assert (asked.retires, asked.replaces) == ((), ())
    assert sides(request) == {
        "Holder A": "sourcetarget",
        "Holder B": "source",
        "Holder C": "source",
        "Erin": "target",
    }
    # Both targets and, beside Holder A, one more source holder.
    assert (request.approvals_needed, request.protocol_minimum) == (3, 3)


def test_key_gen_from_key_group_to_a_new_recovery_group_is_started_by_its_holders(keyed: Site) -> None:
    group = keyed.new_group(3, "RecoveryGroup", signers=keyed.join("D", "E", "F", "G"))
    request = keyed.succeeded(group, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    assert fresh(request).state == "Succeeded"
    group.refresh_from_db()
    assert (group.status, group.epoch, group.threshold) == ("Valid", 1, 3)


def test_r21_named_source_holders_are_exactly_the_eligible_ones(keyed: Site) -> None:
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    named = ids(keyed.signers[2], keyed.signers[0])
    request = keyed.request(
        target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id), source_node_ids=named
    )
    assert list(intent(request).eligible) == named == request.source_node_ids
    assert "Holder B" not in sides(request)


def test_eligible_are_those_online_in_order_of_preference(keyed: Site) -> None:
    """The service's holder first, then who routinely signs, then by index."""
    a, b, c = keyed.signers
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    ask: dict[str, Any] = {"type": "KeyGenFromKeyGroup", "source_group_id": str(keyed.group.id)}
    keyed.group.holders.filter(node=c.node_id).update(signer=True)

    def eligible(*online: Signer) -> list[str]:
        Node.objects.update(last_seen_at=None)
        Node.objects.filter(pk__in=ids(*online)).update(last_seen_at=timezone.now())
        TssRequest.objects.filter(target_group=target).update(state="Cancelled")
        return list(intent(keyed.request(target, **ask)).eligible)

    assert eligible() == ids(c, a, b)
    assert eligible(a) == ids(c, a, b)
    assert eligible(a, b) == ids(a, b)
    assert eligible(a, b, c) == ids(c, a, b)
    Node.objects.filter(pk=b.node_id).update(kind="Cobo", organisation=None)
    assert eligible(a, b, c) == ids(b, c, a)


@pytest.mark.parametrize(
    ("named", "field"),
    [
        (lambda site: ids(site.signers[0]), SOURCE_NODES),
        (lambda site: ids(*site.signers), SOURCE_NODES),
        (lambda site: [], SOURCE_NODES),
        (lambda site: ids(site.signers[0], site.signers[0]), f"{SOURCE_NODES}[1]"),
        (lambda site: [site.signers[0].node_id, "quoNobody"], f"{SOURCE_NODES}[1]"),
        (lambda site: ids(site.others[0], site.signers[0]), f"{SOURCE_NODES}[0]"),
    ],
)
def test_r21_source_holders_that_are_not_exactly_t_members(
    keyed: Site, named: Callable[[Site], list[str]], field: str
) -> None:
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    error = refused(
        keyed,
        group=target,
        type="KeyGenFromKeyGroup",
        source_group_id=str(keyed.group.id),
        source_node_ids=named(keyed),
    )
    assert (error.code, error.field) == (ErrorCode.INVALID, field)


# A08: sources and targets that do not fit


def test_a08_key_gen_with_a_source(site: Site) -> None:
    error = refused(site, source_group_id=str(site.group.id))
    assert (error.code, error.field) == (ErrorCode.INVALID, "source_key_share_holder_group")


@pytest.mark.parametrize("type", ["KeyGenFromKeyGroup", "Recovery"])
def test_a08_without_a_source(keyed: Site, type: str) -> None:
    error = refused(keyed, type=type)
    assert (error.code, error.field) == (ErrorCode.MISSING, "source_key_share_holder_group")


@pytest.mark.parametrize("type", ["KeyGenFromKeyGroup", "Recovery"])
def test_a08_source_is_the_target(keyed: Site, type: str) -> None:
    error = refused(keyed, type=type, source_group_id=str(keyed.group.id))
    assert (error.code, error.field) == (ErrorCode.INVALID, SOURCE)


def test_a08_source_of_another_vault(keyed: Site) -> None:
    other = vaults.create_vault(
        actor=keyed.actor, organisation=keyed.organisation, name="Other", type="Org-Controlled"
    )
    target = keyed.new_group(type="SigningGroup", vault=other)
    error = refused(keyed, group=target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    assert (error.code, error.message) == (ErrorCode.NOT_FOUND, "source key share holder group not found")


def test_a08_recovery_into_a_signing_group(keyed: Site, recovery_group: Group) -> None:
    target = keyed.new_group(type="SigningGroup")
    error = refused(keyed, group=target, type="Recovery", source_group_id=str(recovery_group.id))
    assert (error.code, error.field) == (ErrorCode.INVALID, TARGET)


def test_a08_source_of_the_wrong_role(keyed: Site, recovery_group: Group) -> None:
    target = keyed.new_group(type="SigningGroup")
    ask = {"type": "KeyGenFromKeyGroup", "source_group_id": str(recovery_group.id)}
    error = refused(keyed, group=target, **ask)
    assert (error.code, error.field) == (ErrorCode.INVALID, SOURCE)
    main = keyed.new_group(type="MainGroup")
    error = refused(keyed, group=main, type="Recovery", source_group_id=str(keyed.group.id))
    assert (error.code, error.field) == (ErrorCode.INVALID, SOURCE)


def test_a08_source_without_shares(site: Site) -> None:
    target = site.new_group(type="SigningGroup")
    error = refused(site, group=target, type="KeyGenFromKeyGroup", source_group_id=str(site.group.id))
    assert (error.code, error.field) == (ErrorCode.WRONG_STATE, SOURCE)


def test_a08_main_group_as_target_of_key_gen_from_key_group(keyed: Site) -> None:
    target = keyed.new_group(type="MainGroup")
    error = refused(keyed, group=target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    assert (error.code, error.field) == (ErrorCode.INVALID, TARGET)


def test_a08_target_that_has_shares(keyed: Site, signing_group: Group) -> None:
    ask = {"type": "KeyGenFromKeyGroup", "source_group_id": str(keyed.group.id)}
    error = refused(keyed, group=signing_group, **ask)
    assert (error.code, error.field) == (ErrorCode.WRONG_STATE, TARGET)


def test_key_gen_into_a_second_main_group(keyed: Site) -> None:
    error = refused(keyed, group=keyed.new_group())
    assert (error.code, error.field) == (ErrorCode.WRONG_STATE, TARGET)


def test_deleted_groups_are_unknown(keyed: Site, signing_group: Group) -> None:
    groups.delete_group(actor=keyed.actor, group=signing_group)
    assert refused(keyed, group=signing_group, type="Refresh").code is ErrorCode.NOT_FOUND


# Recovery


def test_recovery_puts_the_replacement_in_the_lost_holders_place(keyed: Site, recovery_group: Group) -> None:
    a, b, c = keyed.signers
    (spare,) = keyed.join("Spare")
    replaced(keyed, b, spare)
    request = keyed.request(type="Recovery", source_group_id=str(recovery_group.id))
    asked = intent(request)
    assert manifest_of(request.manifest).node_ids == tuple(ids(a, spare, c))
    assert (asked.target.epoch, asked.target.certificate_hash) == (2, set_of(keyed.group))
    assert [(each.old, each.new) for each in asked.replaces] == [(b.node_id, spare.node_id)]
    assert [(each.group_id, each.epoch, each.certificate_hash) for each in asked.retires] == [
        (str(keyed.group.id), 1, set_of(keyed.group))
    ]
    # R17: the lost holder, who has the name as well, is told and has no vote.
    rows = {row.node_id: (row.name, row.source, row.target) for row in request.voters.all()}
    assert rows[spare.node_id] == ("Holder B", False, True)
    assert rows[b.node_id] == ("Holder B", False, False)
    assert rows[c.node_id] == ("Holder C", True, True)
    keyed.finish(keyed.start(keyed.approve(request)))
    assert fresh(request).state == "Succeeded"
    assert [holder.node_id for holder in keyed.group.holders.order_by("index")] == ids(a, spare, c)
    assert set(keyed.group.holders.values_list("status", flat=True)) == {"Valid"}


def test_recovery_without_anybody_to_replace(keyed: Site, recovery_group: Group) -> None:
    error = refused(keyed, type="Recovery", source_group_id=str(recovery_group.id))
    assert (error.code, error.field) == (ErrorCode.WRONG_STATE, TARGET)


def test_r26_recovery_into_another_main_group(keyed: Site, recovery_group: Group) -> None:
    members = keyed.join("G", "H", "I")
    target = keyed.new_group(signers=members)
    old = set_of(keyed.group)
    request = keyed.request(target, type="Recovery", source_group_id=str(recovery_group.id))
    asked = intent(request)
    assert (asked.target.epoch, asked.target.certificate_hash, asked.replaces) == (1, b"", ())
    assert [(each.group_id, each.certificate_hash) for each in asked.retires] == [(str(keyed.group.id), old)]
    told = {row.node_id for row in request.voters.filter(source=False, target=False)}
    assert told == set(ids(*keyed.signers[:2]))
    keyed.finish(keyed.start(keyed.approve(request)))
    target.refresh_from_db()
    keyed.group.refresh_from_db()
    assert (target.status, keyed.group.status) == ("Valid", "Unavailable")
    assert keyed.group.retired_at is not None


def test_lost_holders_do_not_deal(keyed: Site, recovery_group: Group) -> None:
    a, b, c = keyed.signers
    (spare,) = keyed.join("Spare")
    replaced(keyed, c, spare)
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Gus"))
    ask: dict[str, Any] = {"type": "KeyGenFromKeyGroup", "source_group_id": str(keyed.group.id)}
    assert refused(keyed, group=target, **ask, source_node_ids=ids(a, c)).field == f"{SOURCE_NODES}[1]"
    assert list(intent(keyed.request(target, **ask)).eligible) == ids(a, b)
