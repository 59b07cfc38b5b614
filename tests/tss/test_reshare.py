"""KeyGenFromKeyGroup, Recovery, Refresh and change of members against the services, with real machines."""

import pytest

from audit import services as audit
from mpc.certificate import Certificate
from tests.tss.nodes import Signer, Site, certificate_item, drive, fresh
from tss import certificates, groups, proofs
from tss.documents import context_of, intent_of, manifest_of
from tss.errors import ItemRefused
from tss.models import Ceremony, RequestEvent, ShareSet
from vaults import counts, selectors
from vaults import services as vaults
from vaults.models import Group, GroupStatus, Holder, KeyShareGroup, RootKey

pytestmark = pytest.mark.embedded


def root_keys(site: Site) -> dict[str, str]:
    return dict(RootKey.objects.filter(vault=site.vault).values_list("curve", "root_extended_public_key"))


def share_keys(group: Group) -> dict[str, str]:
    rows = KeyShareGroup.objects.filter(group=group)
    return dict(rows.values_list("curve", "root_extended_public_key"))


def from_main(site: Site, group: Group) -> dict[str, str]:
    return {"type": "KeyGenFromKeyGroup", "source_group_id": str(site.group.id)}


def active(group: Group) -> ShareSet:
    return ShareSet.objects.get(group=group, active=True)


def recovery_group(site: Site) -> Group:
    group = site.new_group(type="RecoveryGroup", signers=site.join("Vault E", "Vault F", "Vault G"))
    site.succeeded(group, **from_main(site, group))
    return group


def test_key_gen_from_key_group(keyed: Site) -> None:
    before = root_keys(keyed)
    group = keyed.new_group(type="SigningGroup", signers=keyed.join("Desk", "Server"))
    ceremony = keyed.started(group, **from_main(keyed, group))
    context = context_of(ceremony)
    # Two of the three Main holders deal, the two new ones receive, and all four sign.
    assert (len(ceremony.dealers), context.receivers, context.pure_dealers) == (2, 2, 2)
    request = keyed.finish(ceremony)
    assert request.state == "Succeeded"
    group.refresh_from_db()
    assert (group.status, group.epoch) == ("Valid", 1)
    assert share_keys(group) == root_keys(keyed) == before
    made = active(group)
    assert made.previous_hash == active(keyed.group).certificate_hash
    assert manifest_of(made.manifest).group_id == str(group.id)
    assert audit.verify() is None


def test_refresh_makes_a_new_epoch_of_the_same_keys(keyed: Site) -> None:
    before, old, names = root_keys(keyed), active(keyed.group), share_keys(keyed.group)
    ids = set(KeyShareGroup.objects.values_list("pk", flat=True))
    keyed.succeeded(type="Refresh")
    keyed.group.refresh_from_db()
    assert (keyed.group.status, keyed.group.epoch) == ("Valid", 2)
    new = active(keyed.group)
    old.refresh_from_db()
    assert (old.active, old.superseded_at is not None) == (False, True)
    assert (new.epoch, new.previous_hash) == (2, old.certificate_hash)
    assert root_keys(keyed) == before
    # The vendor's name for the group's shares on a curve stays.
    assert share_keys(keyed.group) == names
    assert set(KeyShareGroup.objects.values_list("pk", flat=True)) == ids
    assert keyed.group.manifest_hash == manifest_of(new.manifest).hash().hex()
    keyed.succeeded(type="Refresh")
    assert active(keyed.group).epoch == 3


def test_reshare_changes_members_threshold_names_and_totals(keyed: Site) -> None:
    alice, bob, carol = keyed.signers
    dave, erin = keyed.join("Holder D", "Holder E")
    scope = selectors.holders_scope(keyed.vault.id)
    total = counts.total(scope)
    choice = vaults.HolderChoice
    holders = [
        choice(alice.node_id),
        choice(carol.node_id, name="Carol's new server"),
        choice(dave.node_id, signer=True),
        choice(erin.node_id),
    ]
    keyed.succeeded(type="Reshare", holders=holders, threshold=3)
    group = Group.objects.get(pk=keyed.group.pk)
    assert (group.threshold, group.participants, group.epoch) == (3, 4, 2)
    rows = Holder.objects.filter(group=group).order_by("index")
    assert list(rows.values_list("node", "name", "signer", "status")) == [
        (alice.node_id, "Holder A", False, "Valid"),
        (carol.node_id, "Carol's new server", False, "Valid"),
        (dave.node_id, "Holder D", True, "Valid"),
        (erin.node_id, "Holder E", False, "Valid"),
    ]
    assert counts.total(scope) == total + 1
    # The new set deals the next one; the node that left is asked no more.
    ceremony = keyed.started(type="Refresh")
    assert bob.node_id not in [each.node_id for each in context_of(ceremony).participants]
    assert keyed.finish(ceremony).state == "Succeeded"


def test_d01_recovery_gives_a_lost_holders_place_to_a_spare_node(keyed: Site) -> None:
    """The lost node takes no part; n > t."""
    alice, bob, lost = keyed.signers
    source = recovery_group(keyed)
    before = root_keys(keyed)
    [spare] = keyed.join("Spare")
    holder = keyed.group.holders.get(node=lost.node_id)
    groups.replace_holder(actor=keyed.actor, holder=holder, new_tss_node_id=spare.node_id)
    request = keyed.succeeded(type="Recovery", source_group_id=str(source.id))
    # R17: the lost holder's node is told, too.
    assert request.voters.filter(node=lost.node_id, source=False, target=False).exists()
    group = Group.objects.get(pk=keyed.group.pk)
    assert (group.epoch, group.status, active(group).epoch) == (2, "Valid", 2)
    rows = Holder.objects.filter(group=group).order_by("index")
    # The spare node has the lost one's place and name.
    found: list[tuple[object, ...]] = list(rows.values_list("node", "name", "status", "replacement"))
    assert found == [
        (alice.node_id, "Holder A", "Valid", None),
        (bob.node_id, "Holder B", "Valid", None),
        (spare.node_id, "Holder C", "Valid", None),
    ]
    assert root_keys(keyed) == before
    assert active(group).previous_hash == active(source).certificate_hash


def test_d02_recovery_into_another_main_group_retires_the_old_one(keyed: Site) -> None:
    """n - t + 1 Main nodes are lost for good: nobody of the old Main group takes part."""
    source = recovery_group(keyed)
    before = root_keys(keyed)
    new_main = keyed.new_group(signers=keyed.join("New A", "New B", "New C"))
    old = active(keyed.group)
    keyed.succeeded(new_main, type="Recovery", source_group_id=str(source.id))
    retired = Group.objects.get(pk=keyed.group.pk)
    assert (retired.status, retired.retired_at is not None) == ("Unavailable", True)
    old.refresh_from_db()
    assert (old.active, old.superseded_at is not None) == (False, True)
    new_main.refresh_from_db()
    assert (new_main.status, new_main.epoch) == ("Valid", 1)
    assert share_keys(new_main) == root_keys(keyed) == before


def test_47_request_whose_source_was_superseded_is_unsatisfiable_at_once(keyed: Site) -> None:
    group = keyed.new_group(type="SigningGroup", signers=keyed.join("Desk", "Server"))
    waiting = keyed.request(group, **from_main(keyed, group))
    approved_group = keyed.new_group(type="SigningGroup", signers=keyed.join("Desk 2", "Server 2"))
    approved = keyed.approved(approved_group, **from_main(keyed, approved_group))
    keyed.succeeded(type="Refresh")
    for request in (waiting, approved):
        stored = fresh(request)
        assert (stored.state, stored.state_reason) == (
            "Unsatisfiable",
            "the source group has another share set meanwhile",
        )


def test_r3_set_of_another_root_key_is_never_published(keyed: Site) -> None:
    """Somebody has changed the stored root key: it is not overwritten, and the request says why it failed."""
    ceremony = keyed.started(type="Refresh")
    RootKey.objects.filter(curve="ED25519").update(root_extended_public_key="other")
    stored = keyed.finish(ceremony)
    assert (stored.state, stored.retryable) == ("Failed", False)
    assert stored.state_reason == "the certificate is not of the vault's root keys"
    assert root_keys(keyed)["ED25519"] == "other"
    assert active(keyed.group).epoch == 1


def test_r25_certificate_of_another_vaults_reshare_is_refused(keyed: Site) -> None:
    vault = vaults.create_vault(
        actor=keyed.actor, organisation=keyed.organisation, name="Other", type="Org-Controlled"
    )
    other_main = keyed.new_group(vault=vault)
    keyed.succeeded(other_main)
    other = keyed.started(other_main, type="Refresh")
    keyed.run(other)
    foreign = keyed.signers[0].certificate
    assert foreign is not None
    foreign.verify()
    ceremony = keyed.started(type="Refresh")
    item = certificate_item(ceremony.session_id, foreign.encode())
    with pytest.raises(ItemRefused) as caught:
        certificates.accept(node=keyed.signers[0].row, value=item)
    assert caught.value.code == "bad_certificate"


def test_r25_reshare_certificate_that_nobody_hands_in_is_made_from_the_messages(keyed: Site) -> None:
    ceremony = keyed.started(type="Refresh")
    keyed.run(ceremony)
    Ceremony.objects.filter(pk=ceremony.pk).update(
        progress_at=ceremony.request.created_at, deadline=ceremony.request.created_at
    )
    drive(ceremony)
    assert fresh(ceremony.request).state == "Succeeded"
    certificate = keyed.signers[1].certificate
    assert certificate is not None
    assert bytes(active(keyed.group).certificate) == certificate.encode()


class Defector(Signer):
    """A source holder who deals something else than it committed to."""

    def begin(self, ceremony: Ceremony) -> None:
        super().begin(ceremony)
        kept = self.machine._secrets
        one = (1).to_bytes(32, "big"), (1).to_bytes(32, "little")
        self.machine._secrets = kept._replace(constants=one)


def test_r22_dealer_who_breaks_the_protocol_is_named(keyed: Site) -> None:
    group = keyed.new_group(type="SigningGroup", signers=keyed.join("Desk", "Server"))
    ceremony = keyed.started(group, **from_main(keyed, group))
    bad = next(each for each in keyed.signers if each.node_id == ceremony.dealers[0])
    turned = Defector(bad.name, bad.signing, bad.encryption, shares=bad.shares)
    keyed.signers[keyed.signers.index(bad)] = turned
    for signer in keyed.participants(ceremony):
        signer.begin(ceremony)
    for signer in keyed.participants(ceremony):
        signer.receive(ceremony)
    # Whoever notices leaves; the public transcript names the culprit whatever the leaver says.
    keyed.others[0].abort(ceremony, 1, code="commitment_opening", message="cannot go on")
    stored = Ceremony.objects.get(pk=ceremony.pk)
    assert (stored.blamed_node_ids, stored.proven) == ([bad.node_id], True)
    assert stored.reason.startswith(f"{bad.name} broke the protocol: ")


def test_chain_of_certificates_leads_from_key_gen_to_the_sets_of_a_request(keyed: Site) -> None:
    source = recovery_group(keyed)
    keyed.succeeded(type="Refresh")
    side = keyed.new_group(type="SigningGroup", signers=keyed.join("Desk", "Server"))
    keyed.succeeded(side, **from_main(keyed, side))
    request = keyed.request(type="Refresh")
    encoded = proofs.certificates(request, [intent_of(request.intent)])
    chain = [Certificate.parse(each) for each in encoded]
    # The KeyGen's first; neither the Recovery nor the Signing group is an ancestor.
    assert [each.statement.context.epoch for each in chain] == [1, 2]
    assert chain[1].statement.context.previous_certificate_hash == chain[0].hash()
    recovery = Group.objects.get(pk=source.pk)
    assert recovery.status == GroupStatus.VALID


def test_events_of_a_reshare_tell_its_whole_life(keyed: Site) -> None:
    request = keyed.succeeded(type="Refresh")
    events = RequestEvent.objects.filter(request=request, kind="transition").order_by("version")
    assert [event.state for event in events] == ["Approved", "Running", "Succeeded"]
