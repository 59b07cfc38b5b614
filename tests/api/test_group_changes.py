"""What becomes of a group: deletion, replaced holders, scheduled Refresh, nodes that groups may share."""

from typing import Any

import pytest

from audit.models import AuditRow
from tests.api.client import Reply
from tests.api.conftest import ACTOR, Tenant, enrol
from tests.api.test_replay import in_parallel
from tss.models import TssRequest
from vaults import services
from vaults.errors import ServiceError
from vaults.models import Group, GroupStatus, Holder, Node
from webhooks.models import OutboxEvent

# The database decides these races and refusals: both databases have to.
pytestmark = [pytest.mark.embedded, pytest.mark.slow]

DAY_MS = 24 * 3600 * 1000


def groups(vault_id: str) -> str:
    return f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups"


def native(vault_id: str, group_id: str) -> str:
    return f"/vaults/{vault_id}/groups/{group_id}"


def active_group(tenant: Tenant, vault_id: str, type: str = "MainGroup") -> str:
    """A group as it is once it has shares."""
    reply = tenant.client.post(groups(vault_id), tenant.group_body(key_share_holder_group_type=type))
    assert reply.status == 201, reply.body
    group_id = str(reply.json["key_share_holder_group_id"])
    Group.objects.filter(pk=group_id).update(status=GroupStatus.VALID)
    return group_id


def listed(tenant: Tenant, vault_id: str) -> tuple[list[str], int, int]:
    """Ids of the groups in the list, its total, and the total of the holders."""
    page = tenant.client.get(groups(vault_id)).json
    holders = tenant.client.get(f"/wallets/mpc/vaults/{vault_id}/key_share_holders").json
    assert len(holders["data"]) == min(holders["pagination"]["total_count"], 10)
    ids = [group["key_share_holder_group_id"] for group in page["data"]]
    return ids, page["pagination"]["total_count"], holders["pagination"]["total_count"]


@pytest.fixture
def vault_id(tenant: Tenant) -> str:
    return tenant.vault()


def forbid_sharing(tenant: Tenant, vault_id: str) -> None:
    assert tenant.client.put(f"/vaults/{vault_id}/policy", {"shared_nodes": False}).status == 200


# Deletion


def test_a_deleted_group_is_gone_from_every_list(tenant: Tenant, vault_id: str) -> None:
    kept, deleted = tenant.group(vault_id), tenant.group(vault_id)
    assert listed(tenant, vault_id) == ([deleted, kept], 2, 6)
    reply = tenant.client.post(f"{groups(vault_id)}/{deleted}/delete")
    assert (reply.status, reply.json) == (201, {"submitted": True})
    assert listed(tenant, vault_id) == ([kept], 1, 3)
    typed = tenant.client.get(groups(vault_id), "key_share_holder_group_type=MainGroup").json
    assert typed["pagination"]["total_count"] == 1
    assert tenant.client.get(f"{groups(vault_id)}/{deleted}").error == (404, 2028, "")
    assert tenant.client.post(f"{groups(vault_id)}/{deleted}/delete").error == (404, 2028, "")
    event = OutboxEvent.objects.get(type="quorate.group.deleted")
    assert event.data["key_share_holder_group_id"] == deleted
    assert AuditRow.objects.filter(act="group.deleted", subject=f"group:{deleted}").count() == 1


def test_holders_of_groups_that_are_gone_are_not_counted(tenant: Tenant, vault_id: str) -> None:
    kept, deleted = tenant.group(vault_id), tenant.group(vault_id)
    main = active_group(tenant, vault_id)
    services.supersede_main(Group.objects.get(pk=main))
    assert tenant.client.post(f"{groups(vault_id)}/{deleted}/delete").status == 201
    holders = f"/wallets/mpc/vaults/{vault_id}/key_share_holders"
    page = tenant.client.get(holders, f"key_share_holder_group_ids={kept},{main}").json
    assert (len(page["data"]), page["pagination"]["total_count"]) == (3, 3)
    gone = tenant.client.get(holders, f"key_share_holder_group_ids={kept},{deleted}")
    assert gone.error == (404, 2028, "")


def test_deletion_of_a_group_that_got_other_members_meanwhile(tenant: Tenant, vault_id: str) -> None:
    """What is taken off the totals has to be what is there."""
    read = Group.objects.get(pk=tenant.group(vault_id))
    Group.objects.filter(pk=read.pk).update(participants=4)
    with pytest.raises(ServiceError, match="changed meanwhile"):
        services.retire_group(actor=ACTOR, group=read)
    assert listed(tenant, vault_id)[1] == 1


def test_r16_deleting_is_a_label_and_keeps_what_nodes_signed(tenant: Tenant, vault_id: str) -> None:
    """R16: the row with its manifest stays, and holders stay holders: no share was erased."""
    active_group(tenant, vault_id)
    signing = active_group(tenant, vault_id, "SigningGroup")
    before = Group.objects.get(pk=signing)
    assert tenant.client.post(f"{groups(vault_id)}/{signing}/delete").status == 201
    after = Group.objects.get(pk=signing)
    assert (after.manifest, after.status, after.epoch) == (before.manifest, GroupStatus.VALID, 1)
    assert after.retired_at is not None
    assert Holder.objects.filter(group_id=signing).count() == 3


def test_a_group_of_an_open_request_is_not_deleted(tenant: Tenant, vault_id: str) -> None:
    group_id = tenant.group(vault_id)
    request_id = tenant.request(vault_id, group_id)
    path = f"{groups(vault_id)}/{group_id}/delete"
    refused = tenant.client.post(path)
    assert refused.error == (400, 2029, "")
    assert request_id in refused.json["error_message"]
    requests = f"/wallets/mpc/vaults/{vault_id}/tss_requests"
    assert tenant.client.post(f"{requests}/{request_id}/cancel").status == 201
    assert tenant.client.post(path).status == 201


def test_deleting_a_group_and_asking_for_its_key_at_once(tenant: Tenant, vault_id: str) -> None:
    """Whoever comes second is refused: no open request is for a group that is gone."""
    for turn in range(20):
        group_id = tenant.group(vault_id)
        delete = tenant.client.sign("POST", f"{groups(vault_id)}/{group_id}/delete")
        ask = tenant.client.sign(
            "POST", f"/wallets/mpc/vaults/{vault_id}/tss_requests", body=tenant.key_gen_body(group_id)
        )
        replies = in_parallel(tenant.client, [delete, ask] if turn % 2 else [ask, delete])
        assert sorted(reply.status for reply in replies) in ([201, 400], [201, 404])
        waiting = TssRequest.objects.filter(target_group__pk=group_id, state="AwaitingApproval")
        retired = Group.objects.get(pk=group_id).retired_at is not None
        assert waiting.exists() != retired


def test_the_active_main_group_is_not_deleted(tenant: Tenant, vault_id: str) -> None:
    """So a vault with a key always keeps a group that is able to sign."""
    main = active_group(tenant, vault_id)
    active_group(tenant, vault_id, "SigningGroup")
    refused = tenant.client.post(f"{groups(vault_id)}/{main}/delete")
    assert refused.error == (400, 2029, "")
    assert "promote another group first" in refused.json["error_message"]
    assert listed(tenant, vault_id)[1] == 2


def test_a_superseded_main_group_is_found_by_its_id_only(tenant: Tenant, vault_id: str) -> None:
    main = active_group(tenant, vault_id)
    services.supersede_main(Group.objects.get(pk=main))
    assert listed(tenant, vault_id) == ([], 0, 0)
    shown = tenant.client.get(f"{groups(vault_id)}/{main}").json
    assert (shown["status"], shown["retired"]) == ("Unavailable", True)


# Promotion: what an approved request does (who must approve is in tests/tss)


@pytest.mark.parametrize("keep_main", [True, False])
def test_promotion_keeps_one_main_group_and_the_totals(
    tenant: Tenant, vault_id: str, keep_main: bool
) -> None:
    main, signing = active_group(tenant, vault_id), active_group(tenant, vault_id, "SigningGroup")
    rows = Group.objects.in_bulk([main, signing])
    old, new = (row for _, row in sorted(rows.items(), key=lambda item: str(item[0]) != main))
    services.promote_group(group=new, main=old, keep_main=keep_main)
    for type, ids in (("MainGroup", [signing]), ("SigningGroup", [main] if keep_main else [])):
        page = tenant.client.get(groups(vault_id), f"key_share_holder_group_type={type}").json
        assert [group["key_share_holder_group_id"] for group in page["data"]] == ids
        assert page["pagination"]["total_count"] == len(ids)
    assert listed(tenant, vault_id)[2] == (6 if keep_main else 3)


# Replacing a holder


def replace(tenant: Tenant, vault_id: str, group_id: str, old: str, new: Any) -> Reply:
    body = {"new_tss_node_id": new}
    return tenant.client.post(f"{native(vault_id, group_id)}/holders/{old}/replace", body)


def test_a_replaced_holder_is_changed_until_its_place_is_given_away(tenant: Tenant, vault_id: str) -> None:
    group_id = active_group(tenant, vault_id)
    spare = enrol("spare", tenant.organisation)
    reply = replace(tenant, vault_id, group_id, tenant.node_ids[1], spare.tss_node_id)
    assert reply.status == 201
    assert [
        (holder["tss_node_id"], holder["status"], holder["replacement_tss_node_id"])
        for holder in reply.json["key_share_holders"]
    ] == [
        (tenant.node_ids[0], "Valid", None),
        (tenant.node_ids[1], "Changed", spare.tss_node_id),
        (tenant.node_ids[2], "Valid", None),
    ]
    one = tenant.client.get(f"/wallets/mpc/vaults/{vault_id}/key_share_holders/{tenant.node_ids[1]}").json
    assert one == reply.json["key_share_holders"][1]
    # The roster that nodes pinned is the one of the shares in use.
    assert (
        reply.json["manifest_hash"]
        == tenant.client.get(f"{groups(vault_id)}/{group_id}").json["manifest_hash"]
    )
    row = AuditRow.objects.get(act="group.holder_changed")
    assert spare.tss_node_id in row.detail
    assert OutboxEvent.objects.filter(type="quorate.group.holder_changed").count() == 1
    # Taken back by naming the holder's own node.
    undone = replace(tenant, vault_id, group_id, tenant.node_ids[1], tenant.node_ids[1]).json
    assert [holder["status"] for holder in undone["key_share_holders"]] == ["Valid"] * 3


def test_r28_other_groups_with_the_lost_node_are_listed(tenant: Tenant, vault_id: str) -> None:
    lost = tenant.node_ids[1]
    main = active_group(tenant, vault_id)
    signing = active_group(tenant, vault_id, "SigningGroup")
    deleted = active_group(tenant, vault_id, "RecoveryGroup")
    assert tenant.client.post(f"{groups(vault_id)}/{deleted}/delete").status == 201
    tenant.group(vault_id)  # has no shares, so nothing is lost there
    elsewhere = tenant.vault()
    far = active_group(tenant, elsewhere)
    spare = enrol("spare", tenant.organisation)
    also = replace(tenant, vault_id, main, lost, spare.tss_node_id).json["also_holds"]
    assert [
        (each["vault_id"], each["key_share_holder_group_id"], each["retired"], each["status"])
        for each in also
    ] == [
        (vault_id, signing, False, "Valid"),
        (vault_id, deleted, True, "Valid"),
        (elsewhere, far, False, "Valid"),
    ]
    assert "replace it in this group as well" in also[0]["advice"]
    assert "erased no share" in also[1]["advice"]
    then = replace(tenant, vault_id, signing, lost, spare.tss_node_id).json["also_holds"]
    assert [each["status"] for each in then] == ["Changed", "Valid", "Valid"]


def test_a_replacement_must_be_able_to_take_the_place(
    tenant: Tenant, other: Tenant, vault_id: str, service_node: Node
) -> None:
    group_id = active_group(tenant, vault_id)
    lost, member, _ = tenant.node_ids
    field = "new_tss_node_id"
    for new, error in (
        (None, (400, 2003, field)),
        (5, (400, 2006, field)),
        ("quoNobody", (400, 2006, field)),
        (other.node_ids[0], (400, 2006, field)),
        (member, (400, 2006, field)),
    ):
        assert replace(tenant, vault_id, group_id, lost, new).error == error
    spare = enrol("spare", tenant.organisation)
    assert replace(tenant, vault_id, group_id, spare.tss_node_id, lost).error == (404, 2028, "")
    assert replace(tenant, vault_id, group_id, lost, spare.tss_node_id).status == 201
    # One node for two places, and a second service holder.
    assert replace(tenant, vault_id, group_id, member, spare.tss_node_id).error == (400, 2006, field)
    Holder.objects.filter(group_id=group_id, node=tenant.node_ids[2]).update(node=service_node)
    second = enrol("second service", None)
    assert replace(tenant, vault_id, group_id, member, second.tss_node_id).error == (400, 2006, field)
    new_group = tenant.group(vault_id)
    assert replace(tenant, vault_id, new_group, lost, spare.tss_node_id).error == (400, 2029, "")


def test_replacing_a_holder_has_the_open_requests_looked_at_again(tenant: Tenant, vault_id: str) -> None:
    waiting = tenant.request(vault_id, tenant.group(vault_id))
    # Now the waiting KeyGen no longer holds, and nothing has looked at it yet.
    group_id = active_group(tenant, vault_id)
    assert TssRequest.objects.get(pk=waiting).state == "AwaitingApproval"
    spare = enrol("spare", tenant.organisation)
    assert replace(tenant, vault_id, group_id, tenant.node_ids[0], spare.tss_node_id).status == 201
    assert TssRequest.objects.get(pk=waiting).state == "Unsatisfiable"


# Scheduled Refresh


def test_refresh_schedule(tenant: Tenant, vault_id: str) -> None:
    group_id = active_group(tenant, vault_id)
    path = f"{native(vault_id, group_id)}/refresh_schedule"
    assert tenant.client.get(f"{groups(vault_id)}/{group_id}").json["refresh_every_days"] is None
    reply = tenant.client.put(path, {"every_days": 30})
    assert (reply.status, reply.json["refresh_every_days"]) == (200, 30)
    row = Group.objects.get(pk=group_id)
    assert row.next_refresh_at is not None
    assert row.refresh_every is not None
    audited = AuditRow.objects.get(act="group.refresh_scheduled")
    assert abs(reply.json["next_refresh_timestamp"] - (audited.time + 30 * DAY_MS)) < 60_000
    off = tenant.client.put(path, {"every_days": None})
    assert (off.json["refresh_every_days"], off.json["next_refresh_timestamp"]) == (None, None)
    for body, error in (
        ({}, (400, 2003, "every_days")),
        ({"every_days": 0}, (400, 2006, "every_days")),
        ({"every_days": 366}, (400, 2006, "every_days")),
        ({"every_days": "30"}, (400, 2006, "every_days")),
        ({"every_days": 1.0}, (400, 2006, "every_days")),
    ):
        assert tenant.client.put(path, body).error == error
    new = f"{native(vault_id, tenant.group(vault_id))}/refresh_schedule"
    assert tenant.client.put(new, {"every_days": 30}).error == (400, 2029, "")


def test_a_deleted_group_is_not_refreshed(tenant: Tenant, vault_id: str) -> None:
    active_group(tenant, vault_id)
    signing = active_group(tenant, vault_id, "SigningGroup")
    path = f"{native(vault_id, signing)}/refresh_schedule"
    assert tenant.client.put(path, {"every_days": 1}).status == 200
    assert tenant.client.post(f"{groups(vault_id)}/{signing}/delete").status == 201
    assert not Group.objects.exclude(next_refresh_at=None).exists()
    assert tenant.client.put(path, {"every_days": 1}).error == (404, 2028, "")


# Nodes in several groups (R29)


def test_r29_groups_share_nodes_unless_the_policy_forbids_it(tenant: Tenant, vault_id: str) -> None:
    main = active_group(tenant, vault_id)
    assert (
        tenant.client.post(
            groups(vault_id), tenant.group_body(key_share_holder_group_type="SigningGroup")
        ).status
        == 201
    )
    strict = tenant.vault()
    forbid_sharing(tenant, strict)
    active_group(tenant, strict)
    field = "key_share_holders[0].tss_node_id"
    signing = tenant.group_body(key_share_holder_group_type="SigningGroup")
    assert tenant.client.post(groups(strict), signing).error == (400, 2006, field)
    # The target of a Recovery: it takes the Main group's place, so its nodes are never in both.
    assert tenant.client.post(groups(strict), tenant.group_body()).status == 201
    spares = [enrol(f"spare {i}", tenant.organisation).tss_node_id for i in range(3)]
    signing["key_share_holders"] = [{"tss_node_id": node_id} for node_id in spares]
    reply = tenant.client.post(groups(strict), signing)
    assert reply.status == 201
    Group.objects.filter(pk=reply.json["key_share_holder_group_id"]).update(status=GroupStatus.VALID)
    main = str(Group.objects.get(vault_id=strict, type="MainGroup", status="Valid").pk)
    refused = replace(tenant, strict, main, tenant.node_ids[0], spares[0])
    assert refused.error == (400, 2006, "new_tss_node_id")
    assert "lets no node be in two" in refused.json["error_message"]


def test_r29_the_service_holder_joins_one_group_only_where_nodes_are_not_shared(
    tenant: Tenant, vault_id: str, service_node: Node
) -> None:
    forbid_sharing(tenant, vault_id)
    body = tenant.group_body(key_share_holders=tenant.holders(2))
    main = tenant.client.post(groups(vault_id), body).json
    assert main["key_share_holders"][2]["tss_node_id"] == service_node.tss_node_id
    Group.objects.update(status=GroupStatus.VALID)
    spares = [enrol(f"spare {i}", tenant.organisation).tss_node_id for i in range(2)]
    body |= {
        "key_share_holder_group_type": "SigningGroup",
        "key_share_holders": [{"tss_node_id": node_id} for node_id in spares],
    }
    assert tenant.client.post(groups(vault_id), body).error == (400, 2006, "participants")
    second = enrol("second service", None)
    signing = tenant.client.post(groups(vault_id), body).json
    assert signing["key_share_holders"][2]["tss_node_id"] == second.tss_node_id


def test_two_changes_at_once_never_give_one_node_two_places(tenant: Tenant, vault_id: str) -> None:
    group_id = active_group(tenant, vault_id)
    spare = enrol("spare", tenant.organisation)
    body = {"new_tss_node_id": spare.tss_node_id}
    calls = [
        tenant.client.sign("POST", f"{native(vault_id, group_id)}/holders/{old}/replace", body=body)
        for old in tenant.node_ids
    ]
    replies = in_parallel(tenant.client, calls)
    assert sorted(reply.status for reply in replies) == [201, 400, 400]
    assert Holder.objects.filter(replacement=spare).count() == 1
