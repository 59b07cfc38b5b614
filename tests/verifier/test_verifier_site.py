"""What the site itself says of its requests, judged by the stand-alone verifier (R3)."""

import json

import pytest

from mpc.certificate import Certificate
from tests.tss.nodes import Site, fresh
from tss import dossier, groups
from tss.models import ShareSet, TssRequest
from vaults.models import Holder, RootKey
from verifier.quorate_verify import verify
from wire.anchor import Anchor
from wire.canonical import canonical_bytes
from wire.intent import ExpectedKey, Intent

pytestmark = pytest.mark.slow


def anchor_of(key_gen: TssRequest) -> str:
    """As a node that took part in the KeyGen exports it."""
    wanted = Intent.parse(key_gen.intent.encode())
    certificate = Certificate.parse(bytes(ShareSet.objects.get(ceremony__request=key_gen).certificate))
    anchor = Anchor(
        organisation_id=wanted.organisation_id,
        vault_id=wanted.vault_id,
        certificate_hash=certificate.hash(),
        root_keys=tuple(
            ExpectedKey(each.curve, each.root_key, each.chain_code) for each in certificate.statement.curves
        ),
        policy_hash=wanted.policy_hash,
        main_group_id=wanted.target.group_id,
        main_since=wanted.not_before,
    )
    return anchor.encode().decode()


def answer_of(request: TssRequest) -> str:
    return json.dumps(dossier.intent(fresh(request)))


@pytest.mark.django_db
def test_r3_the_site_proves_every_request_of_a_vaults_life() -> None:
    site = Site.make()
    key_gen = site.succeeded()
    source = {"source_group_id": str(site.group.id)}
    recovery = site.new_group(type="RecoveryGroup", signers=site.join("Vault E", "Vault F", "Vault G"))
    from_main = site.succeeded(recovery, type="KeyGenFromKeyGroup", **source)
    (spare,) = site.join("Spare")
    holder = Holder.objects.filter(group=site.group).latest("index")
    groups.replace_holder(actor=site.actor, holder=holder, new_tss_node_id=spare.node_id)
    requests = [
        key_gen,
        from_main,
        site.succeeded(type="Recovery", source_group_id=str(recovery.id)),
        site.succeeded(type="Refresh"),
    ]
    shown = RootKey.objects.filter(vault=site.vault).values_list("root_extended_public_key", flat=True)
    assert len(shown) == 2
    for request in requests:
        for xpub in shown:
            report, fault = verify(answer_of(request), anchor_of(key_gen), xpub=xpub)
            assert fault is None, fault
            assert report.notes == []
            assert {"share set", "xpub"} <= {thing for thing, _ in report.passed}


@pytest.mark.django_db
def test_r3_a_request_that_waits_for_approvals_is_only_accepted_as_open() -> None:
    site = Site.make()
    answer = answer_of(site.request())
    _, fault = verify(answer, None)
    assert fault is not None
    assert fault.what == "target vote"
    report, fault = verify(answer, None, is_open=True)
    assert fault is None, fault
    assert report.notes[0] == "OPEN: target vote: 0 of 3 holders approve, 3 are needed"


@pytest.mark.django_db
def test_r12_r16_a_change_of_policy_or_role_is_proved_and_what_follows_it_too() -> None:
    site = Site.make()
    key_gen = site.succeeded()
    signing = site.new_group(type="SigningGroup", signers=site.join("Desk", "Server", "Safe"))
    site.succeeded(signing, type="KeyGenFromKeyGroup", source_group_id=str(site.group.id))
    change = site.approved(type="PolicyChange", target_group_id="", policy={"required_approvals": 3})
    site.start_job(change)
    promotion = site.approved(signing, type="RoleChange", original_main="retired")
    site.start_job(promotion)
    refresh = site.succeeded(signing, type="Refresh")
    # A node's anchor has moved on with the decrees: it names the policy and the Main group of now.
    anchor = json.loads(anchor_of(key_gen))
    anchor["policy_hash"] = json.loads(fresh(change).intent)["new_policy_hash"]
    now = canonical_bytes(anchor | {"main_group_id": str(signing.id)}).decode()
    for request in (change, promotion, refresh):
        assert fresh(request).state == "Succeeded"
        report, fault = verify(answer_of(request), now)
        assert fault is None, fault
        # The policy was changed while the first group was still Main.
        assert len(report.notes) == (request is change)
