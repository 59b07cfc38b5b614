"""Other shares for a group that has some: Refresh, and change of members or threshold."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.tss.asking import (
    SOURCE,
    TARGET,
    ids,
    intent,
    policy,
    refused,
    replaced,
    set_of,
    sides,
)
from tests.tss.nodes import Site
from tss.documents import manifest_of
from vaults.errors import ErrorCode
from vaults.models import Group
from vaults.services import HolderChoice

pytestmark = pytest.mark.embedded


def test_refresh_keeps_members_and_threshold(keyed: Site) -> None:
    request = keyed.request(type="Refresh")
    asked, before = intent(request), manifest_of(keyed.group.manifest)
    after = manifest_of(request.manifest)
    assert (after.node_ids, after.threshold, after.epoch) == (before.node_ids, before.threshold, 2)
    assert asked.source is not None
    assert asked.source.certificate_hash == asked.target.certificate_hash == set_of(keyed.group)
    assert [each.certificate_hash for each in asked.retires] == [set_of(keyed.group)]
    assert sides(request) == dict.fromkeys(("Holder A", "Holder B", "Holder C"), "target")
    assert request.approvals_needed == 3


@pytest.mark.parametrize(
    "change",
    [{"threshold": 3}, {"threshold": 2}, {"holders": [HolderChoice("x")]}, {"source_node_ids": ["x"]}],
)
def test_37_refresh_changes_nothing_else(keyed: Site, change: dict[str, Any]) -> None:
    assert refused(keyed, type="Refresh", **change).code is ErrorCode.INVALID


def test_refresh_while_a_holder_is_being_replaced(keyed: Site) -> None:
    (spare,) = keyed.join("Spare")
    replaced(keyed, keyed.signers[0], spare)
    assert refused(keyed, type="Refresh").code is ErrorCode.WRONG_STATE


@pytest.mark.parametrize("type", ["Refresh", "Reshare"])
def test_group_without_shares_is_not_reshared(site: Site, type: str) -> None:
    holders = [HolderChoice(node_id) for node_id in ids(*site.signers[:2])] if type == "Reshare" else []
    threshold = 2 if holders else None
    error = refused(site, type=type, holders=holders, threshold=threshold)
    assert (error.code, error.field) == (ErrorCode.WRONG_STATE, TARGET)


def test_reshare_names_the_new_roster(keyed: Site) -> None:
    a, b, c = keyed.signers
    dora, erin = keyed.join("Dora", "Erin")
    replaced(keyed, b, dora)
    holders = [
        HolderChoice(dora.node_id),
        HolderChoice(c.node_id, "Carol"),
        HolderChoice(erin.node_id, signer=True),
    ]
    request = keyed.request(type="Reshare", holders=holders, threshold=3)
    asked, roster = intent(request), manifest_of(request.manifest)
    assert (roster.node_ids, roster.threshold, roster.epoch) == (tuple(ids(dora, c, erin)), 3, 2)
    assert [(each.old, each.new) for each in asked.replaces] == [(b.node_id, dora.node_id)]
    # The lost holder does not deal; the one who leaves does.
    assert list(asked.eligible) == ids(a, c)
    rows = {row.node_id: (row.name, row.signer) for row in request.voters.filter(target=True)}
    assert rows == {
        dora.node_id: ("Holder B", False),
        c.node_id: ("Carol", False),
        erin.node_id: ("Erin", True),
    }
    keyed.finish(keyed.start(keyed.approve(request)))
    keyed.group.refresh_from_db()
    assert (keyed.group.threshold, keyed.group.epoch) == (3, 2)
    assert list(keyed.group.holders.order_by("index").values_list("name", "signer")) == [
        ("Holder B", False),
        ("Carol", False),
        ("Erin", True),
    ]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        (lambda c: c.update(holders=[]), ErrorCode.MISSING, "holders"),
        (lambda c: c.update(threshold=None), ErrorCode.MISSING, "threshold"),
        (lambda c: c.update(threshold=1), ErrorCode.INVALID, "threshold"),
        (lambda c: c.update(threshold=5), ErrorCode.INVALID, "threshold"),
        (lambda c: c["holders"].pop(), ErrorCode.INVALID, "holders"),
        (
            lambda c: c["holders"].__setitem__(0, HolderChoice("")),
            ErrorCode.MISSING,
            "holders[0].tss_node_id",
        ),
        (
            lambda c: c["holders"].__setitem__(0, HolderChoice("quo1")),
            ErrorCode.INVALID,
            "holders[0].tss_node_id",
        ),
        (
            lambda c: c["holders"].__setitem__(1, c["holders"][0]),
            ErrorCode.INVALID,
            "holders[1].tss_node_id",
        ),
        (
            lambda c: c["holders"].__setitem__(0, HolderChoice(c["holders"][0].tss_node_id, " x")),
            ErrorCode.INVALID,
            "holders[0].name",
        ),
    ],
)
def test_reshare_names_what_is_wrong(
    keyed: Site, change: Callable[[dict[str, Any]], Any], code: ErrorCode, field: str
) -> None:
    (dora,) = keyed.join("Dora")
    changes = {"holders": [HolderChoice(each.node_id) for each in (*keyed.signers, dora)], "threshold": 2}
    change(changes)
    error = refused(keyed, type="Reshare", **changes)
    assert (error.code, error.field) == (code, field)


def test_reshare_does_not_keep_a_lost_node(keyed: Site) -> None:
    (spare,) = keyed.join("Spare")
    replaced(keyed, keyed.signers[0], spare)
    holders = [HolderChoice(each.node_id) for each in (*keyed.signers, spare)]
    assert refused(keyed, type="Reshare", holders=holders, threshold=2).field == "holders[0].tss_node_id"


def test_source_of_a_reshare_is_its_target(keyed: Site, signing_group: Group) -> None:
    error = refused(keyed, type="Refresh", source_group_id=str(signing_group.id))
    assert (error.code, error.field) == (ErrorCode.INVALID, SOURCE)


def test_replacement_that_got_a_place_of_its_own_meanwhile(keyed: Site, recovery_group: Group) -> None:
    """It was named while the Reshare that seats it ran; one node cannot take two places."""
    (spare,) = keyed.join("Spare")
    holders = [HolderChoice(each.node_id) for each in (*keyed.signers, spare)]
    ceremony = keyed.started(type="Reshare", holders=holders, threshold=2)
    replaced(keyed, keyed.signers[0], spare)
    assert keyed.finish(ceremony).state == "Succeeded"
    assert not keyed.group.holders.exclude(status="Valid", replacement=None).exists()
    error = refused(keyed, type="Recovery", source_group_id=str(recovery_group.id))
    assert error.code is ErrorCode.WRONG_STATE


def test_r12_main_group_stays_able_to_decide(keyed: Site) -> None:
    """The policy asks for three approvals; two holders could not even change it again."""
    policy(keyed, required_approvals=3)
    holders = [HolderChoice(each.node_id) for each in keyed.signers[:2]]
    error = refused(keyed, type="Reshare", holders=holders, threshold=2)
    assert (error.code, error.field) == (ErrorCode.INVALID, TARGET)
    pair = keyed.join("Dora", "Erin")
    wish: dict[str, Any] = {"type": "KeyGenFromKeyGroup", "source_group_id": str(keyed.group.id)}
    assert refused(keyed, group=keyed.new_group(type="RecoveryGroup", signers=pair), **wish).field == TARGET
    assert keyed.request(keyed.new_group(type="SigningGroup", signers=pair), **wish).state
