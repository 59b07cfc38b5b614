"""Requests that run no ceremony: a vault's policy (R12), and which group is Main (R16)."""

from typing import Any

import pytest

from tests.tss.asking import SOURCE_NODES, TARGET, intent, refused, replaced, set_of, sides
from tests.tss.books import check_books
from tests.tss.nodes import Site, fresh, run_job
from tss.documents import manifest_of
from tss.models import Ceremony, JobKind, RequestEvent, TssRequest
from vaults.errors import ErrorCode
from vaults.models import Group
from wire.policy import VaultPolicy

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


def test_policy_change_names_its_predecessor(keyed: Site) -> None:
    request = keyed.request(type="PolicyChange", target_group_id="", policy={"required_approvals": 3})
    old, new = (VaultPolicy.parse(text.encode()) for text in (request.policy, request.new_policy))
    assert (new.predecessor, new.required_approvals) == (old.hash(), 3)
    assert new.creators == old.creators
    asked = intent(request)
    assert (asked.protocol, asked.new_policy_hash) == ("", new.hash())
    assert asked.target.certificate_hash == set_of(keyed.group)
    assert sides(request) == dict.fromkeys(("Holder A", "Holder B", "Holder C"), "source")
    assert request.approvals_needed == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, "policy"),
        ({"required_approvals": 2}, "policy"),
        ({"required_approvals": 1}, "policy.required_approvals"),
        ({"required_approvals": 4}, "policy.required_approvals"),
        ({"request_lifetime": 1}, "policy.request_lifetime"),
        ({"creators": {"Refresh": ["auditor"]}}, "policy.creators.Refresh[0]"),
        ({"predecessor": "00" * 32}, "policy.predecessor"),
        ({"colour": "red"}, "policy.colour"),
    ],
)
def test_policy_change_names_what_is_wrong(keyed: Site, change: dict[str, Any], field: str) -> None:
    error = refused(keyed, type="PolicyChange", target_group_id="", policy=change)
    assert (error.code, error.field) == (ErrorCode.INVALID, field)


def test_r16_role_change_is_decided_by_both_groups(keyed: Site, signing_group: Group) -> None:
    request = keyed.request(signing_group, type="RoleChange", original_main="retired")
    asked = intent(request)
    assert asked.source is not None
    assert (asked.source.group_id, asked.target.group_id) == (str(keyed.group.id), str(signing_group.id))
    assert (asked.original_main, asked.protocol, asked.retires) == ("retired", "", ())
    assert asked.target.certificate_hash == set_of(signing_group)
    assert sides(request) == {
        "Holder A": "sourcetarget",
        "Holder B": "source",
        "Holder C": "source",
        "Dora": "target",
    }
    # Two of the Main group and both of the promoted one, where Holder A counts in each.
    assert request.approvals_needed == 3


def test_r16_recovery_group_decides_where_the_main_group_is_lost(
    keyed: Site, signing_group: Group, recovery_group: Group
) -> None:
    request = keyed.request(
        signing_group,
        type="RoleChange",
        original_main="retired",
        source_group_id=str(recovery_group.id),
    )
    assert "Erin" in sides(request)
    assert "Holder B" not in sides(request)


@pytest.mark.parametrize("original_main", ["", "deleted"])
def test_role_change_says_what_becomes_of_the_old_main_group(
    keyed: Site, signing_group: Group, original_main: str
) -> None:
    error = refused(keyed, group=signing_group, type="RoleChange", original_main=original_main)
    assert (error.code, error.field) == (ErrorCode.INVALID, "original_main")


def test_only_a_signing_group_becomes_main(keyed: Site, recovery_group: Group) -> None:
    error = refused(keyed, group=recovery_group, type="RoleChange", original_main="retired")
    assert (error.code, error.field) == (ErrorCode.INVALID, TARGET)


def carried_out(site: Site, group: Group | None = None, **changes: Any) -> TssRequest:
    request = site.approved(group, **changes)
    run_job(JobKind.START_CEREMONY, request.id)
    return fresh(request)


def test_r12_policy_governs_once_its_change_is_approved(keyed: Site) -> None:
    request = keyed.request(type="PolicyChange", target_group_id="", policy={"shared_nodes": False})
    keyed.signers[0].decide(request)
    keyed.vault.refresh_from_db()
    assert keyed.vault.policy == request.policy
    keyed.signers[2].decide(request)
    run_job(JobKind.START_CEREMONY, request.id)
    keyed.vault.refresh_from_db()
    assert keyed.vault.policy == request.new_policy
    states = RequestEvent.objects.filter(request=request, kind="transition").order_by("version")
    assert list(states.values_list("state", flat=True)) == ["Approved", "Running", "Succeeded"]
    assert not Ceremony.objects.filter(request=request).exists()
    check_books(request)
    # The next one builds on it.
    after = carried_out(keyed, type="PolicyChange", target_group_id="", policy={"required_approvals": 3})
    assert VaultPolicy.parse(after.new_policy.encode()).predecessor == (
        VaultPolicy.parse(request.new_policy.encode()).hash()
    )


@pytest.mark.parametrize(
    ("original_main", "old_type", "old_status"),
    [("retired", "MainGroup", "Unavailable"), ("signing", "SigningGroup", "Valid")],
)
def test_r16_roles_change_once_both_groups_approved(
    keyed: Site, signing_group: Group, original_main: str, old_type: str, old_status: str
) -> None:
    request = carried_out(keyed, signing_group, type="RoleChange", original_main=original_main)
    assert request.state == "Succeeded"
    signing_group.refresh_from_db()
    keyed.group.refresh_from_db()
    assert (signing_group.type, signing_group.status) == ("MainGroup", "Valid")
    assert (keyed.group.type, keyed.group.status) == (old_type, old_status)
    assert (keyed.group.retired_at is not None) == (original_main == "retired")
    # The new Main group gives shares on, and gets its role into its next roster.
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Gus", "Hans"))
    keyed.succeeded(target, type="KeyGenFromKeyGroup", source_group_id=str(signing_group.id))
    refresh = keyed.succeeded(signing_group, type="Refresh")
    assert manifest_of(refresh.manifest).role == "main"


def test_decree_waits_while_a_ceremony_of_the_vault_runs(keyed: Site) -> None:
    other = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    ceremony = keyed.started(other, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    request = carried_out(keyed, type="PolicyChange", target_group_id="", policy={"shared_nodes": False})
    assert request.state == "Approved"
    keyed.finish(ceremony)
    run_job(JobKind.START_CEREMONY, request.id)
    assert fresh(request).state == "Succeeded"


def test_every_member_is_asked_although_one_is_being_replaced(keyed: Site) -> None:
    """Nodes do not know who is: for them all holders of the set have a vote."""
    replaced(keyed, keyed.signers[1], keyed.join("Spare")[0])
    request = keyed.request(type="PolicyChange", target_group_id="", policy={"erase_grace": 0})
    assert intent(request).eligible == tuple(signer.node_id for signer in keyed.signers)


@pytest.mark.parametrize("type", ["PolicyChange", "RoleChange"])
def test_r21_nobody_picks_who_may_vote_on_a_decree(keyed: Site, signing_group: Group, type: str) -> None:
    wish: dict[str, Any] = {
        "PolicyChange": {"policy": {"erase_grace": 0}},
        "RoleChange": {"group": signing_group, "original_main": "retired"},
    }
    picked = [signer.node_id for signer in keyed.signers[:2]]
    error = refused(keyed, type=type, source_node_ids=picked, **wish[type])
    assert (error.code, error.field) == (ErrorCode.INVALID, SOURCE_NODES)
