"""Nodes that are behind are shown the set in use; a database that is behind starts nothing (R30)."""

from base64 import b64decode

import pytest
from django.db import transaction

from audit import rationing
from audit.models import AuditRow
from mpc.certificate import Certificate
from mpc.succession import check_succession
from tests.tss.asking import replaced
from tests.tss.nodes import SYSTEM, Signer, Site, fresh
from tss import groups, inbox, reconcile
from tss.explain import explain
from tss.models import Ceremony, LaterSet, SetStatement, ShareSet
from vaults import services as vaults
from vaults.models import Group
from vaults.services import HolderChoice

pytestmark = pytest.mark.embedded


def shown(signer: Signer, epochs: dict[str, int]) -> list[Certificate]:
    """The path that a call of the node brings it, whenever it called last: from the KeyGen's certificate to
    that of the set which it lacks."""
    rationing.forget()
    news = inbox.read(signer.row, inbox.Ask(frozenset(), {}, epochs))
    path = [Certificate.parse(b64decode(each)) for each in news.certificates]
    for certificate, predecessor in zip(path[1:], path, strict=False):
        check_succession(certificate, predecessor)
    return path


def current(group: Group) -> bytes:
    return bytes.fromhex(ShareSet.objects.get(group=group, active=True).certificate_hash)


def test_n07_node_that_went_back_is_shown_the_set_in_use(keyed: Site) -> None:
    keyed.succeeded(type="Refresh")
    alice, group_id = keyed.signers[0], str(keyed.group.id)
    for epochs in ({group_id: 1}, {}):
        *_, certificate = shown(alice, epochs)
        assert (certificate.hash(), certificate.statement.context.epoch) == (current(keyed.group), 2)
    assert shown(alice, {group_id: 2}) == []


def test_n24_node_that_was_left_out_learns_by_what_its_share_was_retired(keyed: Site) -> None:
    alice, bob, carol = keyed.signers
    holders = [HolderChoice(each.node_id) for each in (alice, bob)]
    keyed.succeeded(type="Reshare", holders=holders, threshold=2)
    *_, certificate = shown(carol, {str(keyed.group.id): 1})
    assert certificate.hash() == current(keyed.group)
    # Once it has erased its share there is nothing that it needs to know.
    assert shown(carol, {}) == []


def test_old_main_learns_by_which_group_it_was_replaced(keyed: Site) -> None:
    recovery = keyed.new_group(type="RecoveryGroup", signers=keyed.join("E", "F"))
    keyed.succeeded(recovery, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    new_main = keyed.new_group(signers=keyed.join("New A", "New B"))
    keyed.succeeded(new_main, type="Recovery", source_group_id=str(recovery.id))
    alice = keyed.signers[0]
    *_, certificate = shown(alice, {str(keyed.group.id): 1})
    assert certificate.hash() == current(new_main)
    assert shown(alice, {}) == []
    # And what it erases then is believed.
    made = Ceremony.objects.select_related("request").get(request__type="KeyGen")
    alice.state(made, "erased")
    assert SetStatement.objects.count() == 1


def test_node_that_names_a_group_of_others_is_shown_nothing(keyed: Site) -> None:
    """Also where it knows the id: certificates hold root keys, chain codes and everybody's keys."""
    recovery = keyed.new_group(type="RecoveryGroup", signers=keyed.join("E", "F"))
    keyed.succeeded(recovery, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    new_main = keyed.new_group(signers=keyed.join("G", "H"))
    keyed.succeeded(new_main, type="Recovery", source_group_id=str(recovery.id))
    stranger = Signer("Stranger")
    stranger.enrol(vaults.create_organisation(actor=SYSTEM, name="Other"))
    assert shown(stranger, {str(keyed.group.id): 1}) == []


def test_who_only_dealt_is_not_shown_the_set_that_it_dealt(keyed: Site) -> None:
    side = keyed.new_group(type="SigningGroup", signers=keyed.join("Desk", "Server"))
    keyed.succeeded(side, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    assert shown(keyed.signers[0], {str(keyed.group.id): 1}) == []
    assert shown(keyed.others[0], {})


def test_node_that_has_no_use_for_it_is_not_called_back_at_once(keyed: Site) -> None:
    keyed.succeeded(type="Refresh")
    alice, ask = keyed.signers[0], inbox.Ask(frozenset(), {}, {str(keyed.group.id): 1})
    rationing.forget()
    assert inbox.read(alice.row, ask)
    assert not inbox.read(alice.row, ask)


def test_failed_ceremony_is_told_again_but_wakes_a_waiting_node_once(site: Site) -> None:
    """R26: who has prepared keeps the session; it is no reason to answer every poll at once."""
    ceremony = site.started()
    site.play(ceremony, rounds=1)
    alice = site.signers[0]
    alice.receive(ceremony)
    site.signers[1].abort(ceremony, 2, code="operator", message="stopped")
    ask = inbox.Ask(frozenset(), {ceremony.session_id: 2}, {})
    first, second = inbox.read(alice.row, ask), inbox.read(alice.row, ask)
    assert first.ended == second.ended != []
    assert (bool(first), bool(second)) == (True, False)
    early = inbox.Ask(frozenset(), {ceremony.session_id: 1}, {})
    assert inbox.read(alice.row, early)
    assert inbox.read(alice.row, early)


def test_d03_database_that_is_older_than_the_nodes_starts_nothing(keyed: Site) -> None:
    """It is restored from a dump made before the last Refresh: epoch 2 is not made a second time."""
    alice, group_id = keyed.signers[0], str(keyed.group.id)
    other = keyed.new_group(type="SigningGroup", signers=keyed.join("Desk", "Server"))
    dump = transaction.savepoint()
    keyed.succeeded(type="Refresh")
    second = current(keyed.group)
    reconcile.compare(alice.row, {group_id: 2})
    assert reconcile.problem(keyed.vault.id) == ""
    transaction.savepoint_rollback(dump)
    # The nodes have gone on, the rows have gone back.
    assert second in alice.shares
    assert current(keyed.group) != second

    requests = [
        keyed.approved(type="Refresh"),
        keyed.approved(other, type="KeyGenFromKeyGroup", source_group_id=group_id),
    ]
    rationing.forget()
    for _ in range(2):
        reconcile.compare(alice.row, {group_id: 2, str(other.id): 7, "no group": 9})
    for request in requests:
        keyed.start_job(request)
        assert fresh(request).state == "Approved"
    assert not Ceremony.objects.filter(state="open").exists()
    [reason] = [
        each for each in explain(fresh(requests[0]))["waiting_for"] if each["code"] == "database_behind"
    ]
    assert reason["message"] == (
        "nodes hold a later share set (epoch 2) than this database (epoch 1): restore a later backup of it"
    )
    assert reason["node_ids"] == [alice.node_id]
    assert AuditRow.objects.filter(act="share_set.missing").count() == 1


def test_d03_it_goes_on_when_the_rows_have_the_set(keyed: Site) -> None:
    keyed.succeeded(type="Refresh")
    request = keyed.approved(type="Refresh")
    claim = LaterSet.objects.create(group=keyed.group, node=keyed.signers[0].row, epoch=3)
    keyed.start_job(request)
    assert fresh(request).state == "Approved"
    claim.epoch = 2
    claim.save()
    assert keyed.finish(keyed.start(request)).state == "Succeeded"


def test_d03_only_a_holder_of_the_group_is_heard(keyed: Site) -> None:
    [outsider] = keyed.join("Outsider")
    reconcile.compare(outsider.row, {str(keyed.group.id): 9})
    assert reconcile.problem(keyed.vault.id) == ""


def test_d03_holder_that_is_being_replaced_cannot_forbid_it(keyed: Site, recovery_group: Group) -> None:
    liar, [spare] = keyed.signers[0], keyed.join("Spare")
    reconcile.compare(liar.row, {str(keyed.group.id): 2**32 - 1})
    assert "epoch 4294967295" in reconcile.problem(keyed.vault.id)
    # The claim is the organisation's business, whoever runs the node.
    row = AuditRow.objects.get(act="share_set.missing")
    assert row.organisation_id == str(keyed.organisation.id)
    replaced(keyed, liar, spare)
    assert reconcile.problem(keyed.vault.id) == ""
    assert keyed.succeeded(type="Recovery", source_group_id=str(recovery_group.id)).state == "Succeeded"
    assert reconcile.problem(keyed.vault.id) == ""


def test_d03_claim_about_a_deleted_group_stops_nothing(keyed: Site, signing_group: Group) -> None:
    reconcile.compare(keyed.signers[0].row, {str(signing_group.id): 9})
    assert reconcile.problem(keyed.vault.id)
    groups.delete_group(actor=keyed.actor, group=signing_group)
    assert reconcile.problem(keyed.vault.id) == ""


def test_d03_set_that_is_being_made_is_no_news(keyed: Site) -> None:
    """The nodes may have the certificate before it is here."""
    ceremony = keyed.started(type="Refresh")
    keyed.run(ceremony)
    reconcile.compare(keyed.signers[0].row, {str(keyed.group.id): 2})
    assert reconcile.problem(keyed.vault.id) == ""


def test_r28_replaced_node_is_told(keyed: Site) -> None:
    recovery = keyed.new_group(type="RecoveryGroup", signers=keyed.join("E", "F"))
    keyed.succeeded(recovery, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    lost, [spare] = keyed.signers[2], keyed.join("Spare")
    holder = keyed.group.holders.get(node=lost.node_id)
    groups.replace_holder(actor=keyed.actor, holder=holder, new_tss_node_id=spare.node_id)
    keyed.succeeded(type="Recovery", source_group_id=str(recovery.id))
    *_, certificate = shown(lost, {str(keyed.group.id): 1})
    assert certificate.hash() == current(keyed.group)
