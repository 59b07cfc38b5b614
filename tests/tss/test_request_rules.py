"""Who may ask for what (R12, R14), and what a new group does to the safety of the key (R28, R29)."""

from typing import Any

import pytest
from django.utils import timezone

from tests.tss.asking import SOURCE, SOURCE_NODES, TARGET, ids, intent, member, own, policy, refused
from tests.tss.nodes import Site
from tss.models import TssRequest
from vaults.actors import Actor
from vaults.errors import ErrorCode
from vaults.models import Node
from vaults.services import HolderChoice

pytestmark = pytest.mark.embedded


# R12: what the vault's policy allows


def test_r12_policy_says_who_may_ask(keyed: Site) -> None:
    operator = Actor.of_member(member(keyed, "olga"))
    policy(keyed, creators={"Refresh": ["admin", "robot"]})
    assert refused(keyed, type="Refresh", actor=operator).code is ErrorCode.FORBIDDEN
    assert refused(keyed, type="PolicyChange", policy={"shared_nodes": False}).code is ErrorCode.FORBIDDEN
    admin = Actor.of_member(member(keyed, "ada", "admin"))
    assert keyed.request(type="Refresh", actor=admin).requester_member == admin.member


def test_r12_auditors_never_ask(keyed: Site) -> None:
    assert refused(keyed, type="Refresh", actor=Actor.of_member(member(keyed, "a", "auditor"))).code is (
        ErrorCode.FORBIDDEN
    )


def test_r12_more_approvals_than_the_protocol_needs(keyed: Site) -> None:
    policy(keyed, required_approvals=3)
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    ask: dict[str, Any] = {"type": "KeyGenFromKeyGroup", "source_group_id": str(keyed.group.id)}
    error = refused(keyed, group=target, **ask, source_node_ids=ids(*keyed.signers[:2]))
    assert (error.code, error.field) == (ErrorCode.INVALID, SOURCE_NODES)
    # Although only two are online: all three are needed.
    Node.objects.filter(pk__in=ids(*keyed.signers[:2])).update(last_seen_at=timezone.now())
    request = keyed.request(target, **ask)
    assert len(intent(request).eligible) == 3
    assert (request.approvals_needed, request.protocol_minimum) == (5, 4)


def test_r12_more_approvals_than_there_are_holders(keyed: Site) -> None:
    policy(keyed, required_approvals=4)
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    error = refused(keyed, group=target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    assert (error.code, error.field) == (ErrorCode.WRONG_STATE, SOURCE)


# R14: the requester does not decide alone


def test_r14_requesters_own_nodes_do_not_count_among_source_holders(keyed: Site) -> None:
    alice = member(keyed, "alice")
    own(alice, keyed.signers[0])
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    ask: dict[str, Any] = {
        "actor": Actor.of_member(alice),
        "type": "KeyGenFromKeyGroup",
        "source_group_id": str(keyed.group.id),
    }
    error = refused(keyed, group=target, **ask, source_node_ids=ids(*keyed.signers[:2]))
    assert (error.code, error.field) == (ErrorCode.FORBIDDEN, SOURCE_NODES)
    request = keyed.request(target, **ask)
    counting = request.voters.filter(counts_as_source=True).values_list("node", flat=True)
    assert set(counting) == set(ids(*keyed.signers[1:]))
    own(alice, keyed.signers[1])
    TssRequest.objects.filter(pk=request.pk).update(state="Cancelled")
    assert refused(keyed, group=target, **ask).code is ErrorCode.FORBIDDEN


def test_r14_requester_who_owns_every_holder_asked(keyed: Site) -> None:
    alice = member(keyed, "alice")
    own(alice, *keyed.signers)
    assert refused(keyed, type="Refresh", actor=Actor.of_member(alice)).code is ErrorCode.FORBIDDEN


# R29: who could use the key afterwards


def test_r29_operators_needed_counts_people_over_all_sets(keyed: Site) -> None:
    assert intent(TssRequest.objects.get()).operators_needed == 2
    dora, erin, frida = keyed.join("Dora", "Erin", "Frida")
    ask: dict[str, Any] = {"type": "KeyGenFromKeyGroup", "source_group_id": str(keyed.group.id)}
    wide = keyed.new_group(3, type="SigningGroup", signers=[dora, erin, frida])
    request = keyed.request(wide, **ask)
    # The Main group still needs two only.
    assert intent(request).operators_needed == 2
    TssRequest.objects.filter(pk=request.pk).update(state="Cancelled")
    alice = member(keyed, "alice")
    own(alice, dora, erin, frida)
    assert intent(keyed.request(wide, **ask)).operators_needed == 1


def test_r29_all_service_signers_are_one_operator(keyed: Site) -> None:
    """R1."""
    signers = keyed.join("Service 1", "Service 2")
    target = keyed.new_group(type="SigningGroup", signers=signers)
    Node.objects.filter(pk__in=ids(*signers)).update(kind="Cobo", organisation=None)
    request = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    assert intent(request).operators_needed == 1


def test_r28_retired_set_counts_until_enough_of_it_is_erased(keyed: Site) -> None:
    key_gen = TssRequest.objects.get().ceremonies.get()
    dora, erin = keyed.join("Dora", "Erin")
    holders = [HolderChoice(each.node_id) for each in (*keyed.signers, dora, erin)]
    keyed.succeeded(type="Reshare", holders=holders, threshold=4)
    target = keyed.new_group(4, type="SigningGroup", signers=keyed.join("1", "2", "3", "4"))

    def operators() -> int:
        request = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
        TssRequest.objects.filter(pk=request.pk).update(state="Cancelled")
        return intent(request).operators_needed

    assert operators() == 2
    keyed.signers[0].state(key_gen, "erased")
    assert operators() == 2
    keyed.signers[1].state(key_gen, "erased")
    assert operators() == 4


def test_r29_recovery_group_of_the_main_groups_members(keyed: Site) -> None:
    (dora,) = keyed.join("Dora")
    ask: dict[str, Any] = {"type": "KeyGenFromKeyGroup", "source_group_id": str(keyed.group.id)}
    target = keyed.new_group(type="RecoveryGroup", signers=[dora, *keyed.signers[:2]])
    error = refused(keyed, group=target, **ask)
    assert (error.code, error.field) == (ErrorCode.INVALID, TARGET)
    assert "accept_overlap" in error.message
    assert intent(keyed.request(target, **ask, accept_overlap=True)).overlap_accepted
    # Two others are enough, and a Signing group may be whoever it likes.
    apart = keyed.new_group(type="RecoveryGroup", signers=[*keyed.join("E", "F"), keyed.signers[0]])
    assert not intent(keyed.request(apart, **ask)).overlap_accepted
    signing = keyed.request(keyed.new_group(type="SigningGroup"), **ask)
    assert signing.state == "AwaitingApproval"


def test_r29_policy_without_shared_nodes(keyed: Site) -> None:
    target = keyed.new_group(type="SigningGroup", signers=[*keyed.join("Dora"), keyed.signers[0]])
    policy(keyed, shared_nodes=False)
    error = refused(keyed, group=target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    assert (error.code, error.field) == (ErrorCode.INVALID, TARGET)
    assert keyed.request(type="Refresh").state == "AwaitingApproval"
