"""Votes of passkeys at the coordinator: which count, when, and once (R7, R9, R13, R14)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import AuditRow
from tests.accounts.authenticator import PRESENT, Authenticator
from tests.tss.asking import member, own
from tests.tss.nodes import Signer, Site, fresh
from tests.tss.syncing import lists, sync
from tss import cards, decisions, inbox, services
from tss.documents import manifest_of
from tss.errors import ItemRefused
from tss.explain import explain
from tss.models import Approval, TssRequest
from tss.representation import represent
from vaults.actors import Actor
from vaults.errors import ServiceError
from vaults.models import Node

pytestmark = pytest.mark.embedded


@pytest.fixture
def site(site: Site) -> Site:
    """Holder A's votes need a passkey."""
    site.signers[0].new_card("passkey", Authenticator())
    return site


def refused(signer: Signer, value: dict[str, Any]) -> str:
    """The code of the refusal, which left no vote."""
    before = Approval.objects.count()
    with pytest.raises(ItemRefused) as caught:
        signer.hand_in_vote(value)
    assert Approval.objects.count() == before
    return caught.value.code


def told(signer: Signer, *known: str, **passkeys: str) -> inbox.News:
    """What its node hears that knows these digests, and of these votes."""
    return inbox.read(signer.row, inbox.Ask(frozenset(known), {}, {}, passkeys))


def by(request: TssRequest) -> list[str]:
    return list(represent(fresh(request))["approvals"]["by"])


@pytest.mark.parametrize("passkey_first", [True, False])
def test_r7_a_vote_counts_with_both_signatures(site: Site, passkey_first: bool) -> None:
    request, alice = site.request(), site.signers[0]
    for signer in site.signers[1:]:
        signer.decide(request)
    for by_passkey in (passkey_first, not passkey_first):
        assert fresh(request).state == "AwaitingApproval"
        assert alice.node_id not in by(request)
        if by_passkey:
            alice.touch(request)
        else:
            alice.decide(request)
        lacking = [
            each for each in explain(fresh(request))["waiting_for"] if each["code"] == "signature_missing"
        ]
        assert len(lacking) == (by_passkey == passkey_first)
    assert fresh(request).state == "Approved"
    assert alice.node_id in by(request)


def test_a_passkey_is_not_needed_where_the_card_says_node(site: Site) -> None:
    bob = site.signers[1]
    bob.new_card("node", Authenticator())
    request = site.request()
    bob.decide(request)
    assert by(request) == [bob.node_id]


def test_r9_the_vote_of_a_ceremony_with_a_passkey_succeeds(site: Site) -> None:
    request = site.request()
    site.signers[0].touch(request)
    site.approve(request)
    ceremony = site.start(fresh(request))
    assert site.finish(ceremony).state == "Succeeded"
    site.group.refresh_from_db()
    assert manifest_of(site.group.manifest).card_of(site.signers[0].node_id) == site.signers[0].card


def test_p01_p18_the_same_vote_again_changes_nothing(site: Site) -> None:
    request, alice = site.request(), site.signers[0]
    vote = alice.passkey_vote(request)
    alice.hand_in_vote(vote.to_json())
    version = fresh(request).version
    # The same decision, signed again: other bytes, no other vote.
    again = alice.passkey_vote(request)
    assert again != vote
    for value in (vote, again):
        alice.hand_in_vote(value.to_json())
    assert fresh(request).version == version
    assert Approval.objects.count() == 1


def test_p02_a_vote_for_another_request_is_refused_and_raises_an_alarm(site: Site) -> None:
    request, other = site.request(), site.request(site.new_group())
    alice = site.signers[0]
    moved = replace(alice.passkey_vote(request), digest=bytes.fromhex(other.digest))
    assert refused(alice, moved.to_json()) == "digest_mismatch"
    row = AuditRow.objects.order_by("-sequence")[0]
    assert row.act == "alarm"
    assert request.id in row.detail


def test_p03_a_holder_votes_once_whatever_the_device(site: Site) -> None:
    alice, second = site.signers[0], Authenticator()
    assert alice.passkey is not None
    both = replace(alice.card, version=3, credentials=(*alice.card.credentials, second.credential()))
    card = replace(both, signature=alice.sign(both.signed_bytes()))
    cards.publish(node=alice.row, value=card.to_json())
    request = site.request()
    alice.touch(request)
    vote = alice.passkey_vote(request, by=second)
    assert refused(alice, vote.to_json()) == "already_decided"
    assert refused(alice, alice.passkey_vote(request, "reject").to_json()) == "already_decided"


def test_p05_after_the_expiry_nothing_counts(site: Site) -> None:
    request, alice = site.request(), site.signers[0]
    vote = alice.passkey_vote(request, time=10**15)
    assert refused(alice, vote.to_json()) == "passkey_out_of_time"
    TssRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert refused(alice, alice.passkey_vote(request).to_json()) == "closed"
    assert fresh(request).state == "Expired"


def test_p08_strangers_and_other_holders_are_refused(site: Site) -> None:
    request, (alice, bob, _) = site.request(), site.signers
    outsider = Signer("Outsider", passkey=alice.passkey)
    outsider.enrol(site.organisation)
    assert refused(outsider, outsider.passkey_vote(request).to_json()) == "unknown_digest"
    assert refused(bob, alice.passkey_vote(request).to_json()) == "foreign_node"
    assert refused(bob, bob.passkey_vote(request, by=alice.passkey).to_json()) == "unknown_credential"


def test_p08_r14_the_requesters_own_vote_does_not_count_among_source_holders(keyed: Site) -> None:
    requester, alice = member(keyed, "rita"), keyed.signers[0]
    own(requester, alice)
    request = keyed.request(actor=Actor.of_member(requester), type="KeyGenFromKeyGroup", **_signing(keyed))
    assert refused(alice, alice.passkey_vote(request).to_json()) == "own_request"


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("wrong_origin", {"origin": "https://evil.example"}),
        ("wrong_rp_id", {"rp_id": "evil.example"}),
        ("user_not_verified", {"flags": PRESENT}),
        ("cross_origin", {"cross_origin": True}),
        ("wrong_type", {"type": "webauthn.create"}),
        ("wrong_challenge", {"challenge": "AAAA"}),
    ],
)
def test_p11_what_is_no_valid_assertion_is_refused_and_audited(
    site: Site, code: str, changes: dict[str, Any]
) -> None:
    request, alice = site.request(), site.signers[0]
    assert refused(alice, alice.passkey_vote(request, **changes).to_json()) == code
    row = AuditRow.objects.order_by("-sequence")[0]
    assert (row.act, code in row.detail) == ("denied", True)


def test_p11_a_passkey_that_was_taken_off_the_card_counts_no_more(keyed: Site) -> None:
    """The roster of the set in use still lists it; the holder's card of today does not."""
    alice = keyed.signers[0]
    stolen = alice.passkey
    alice.new_card("both", Authenticator())
    request = keyed.request(type="KeyGenFromKeyGroup", **_signing(keyed))
    assert refused(alice, alice.passkey_vote(request, by=stolen).to_json()) == "former_credential"
    assert refused(alice, alice.passkey_vote(request).to_json()) == "unknown_credential"
    # The next change of the group's roster brings the new card into it.
    assert keyed.succeeded(type="Refresh").state == "Succeeded"
    keyed.group.refresh_from_db()
    assert manifest_of(keyed.group.manifest).card_of(alice.node_id) == alice.card


def _signing(site: Site) -> dict[str, Any]:
    group = site.new_group(type="SigningGroup", signers=site.join("Dora", "Emil"))
    return {"group": group, "source_group_id": str(site.group.id)}


def test_p12_a_changed_card_ends_the_requests_that_list_the_old_one(site: Site) -> None:
    request, alice = site.request(), site.signers[0]
    alice.touch(request)
    alice.new_card("both", Authenticator())
    ended = fresh(request)
    assert ended.state == "Unsatisfiable"
    assert "changed its card" in ended.state_reason
    assert manifest_of(site.request().manifest).card_of(alice.node_id) == alice.card


def test_p14_r13_a_rejection_ends_the_request_at_once(site: Site) -> None:
    request, alice = site.request(), site.signers[0]
    alice.touch(request, "reject", reason="I did not ask for this")
    ended = fresh(request)
    assert (ended.state, ended.state_reason) == ("Rejected", "Holder A rejected: I did not ask for this")
    # Its node hears of it, and is bound whatever the coordinator does next.
    assert [each["decision"] for each in told(alice, request.digest).passkeys] == ["reject"]


def test_p15_a_withdrawal_takes_the_vote_back(site: Site) -> None:
    request, alice = site.request(), site.signers[0]
    alice.touch(request)
    site.approve(request)
    assert fresh(request).state == "Approved"
    alice.touch(request, "withdraw", reason="lost my phone")
    assert fresh(request).state == "Unsatisfiable"


def test_a_holders_node_is_told_once_what_its_passkey_said(site: Site) -> None:
    request, (alice, bob, _) = site.request(), site.signers
    alice.touch(request)
    assert told(alice).passkeys == told(bob, request.digest).passkeys == []
    news = told(alice, request.digest)
    assert news.passkeys == [Approval.objects.get().signed]
    assert news
    assert not told(alice, request.digest, **{request.digest: "approve"})


def test_t10_without_its_audit_row_a_vote_does_not_happen(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, alice = site.request(), site.signers[0]
    version = fresh(request).version

    def down(*args: object, **kwargs: object) -> None:
        raise OSError("the log's disk is full")

    monkeypatch.setattr("audit.models.AuditRow.save", down)
    with pytest.raises(OSError, match="disk is full"):
        alice.touch(request)
    assert fresh(request).version == version
    assert not Approval.objects.exists()


# cards


def test_r7_a_card_only_gets_newer(site: Site) -> None:
    alice = site.signers[0]
    newest = alice.card.to_json()
    cards.publish(node=alice.row, value=newest)
    alice.version = 1
    with pytest.raises(ServiceError, match="newer card"):
        cards.publish(node=alice.row, value=alice.card.to_json())
    assert alice.row.holder_card == newest
    with pytest.raises(ServiceError, match="another node"):
        cards.publish(node=site.signers[1].row, value=newest)


@pytest.mark.django_db(transaction=True)
def test_a_card_comes_with_a_sync_call(transactional_db: None) -> None:
    site = Site.make()
    bob = site.signers[1]
    bob.version, bob.method, bob.passkey = 2, "both", Authenticator()
    assert lists(sync(bob, cards=[bob.card.to_json()])) == {}
    row = Node.objects.get(pk=bob.node_id)
    assert (row.card_version, row.holder_card) == (2, bob.card.to_json())
    assert AuditRow.objects.filter(act="node.card_changed").count() == 1
    bob.version = 1
    assert sync(bob, cards=[bob.card.to_json()])["errors"][0]["code"] == "wrong_state"


def test_p10_a_forged_row_is_shown_and_not_believed(site: Site) -> None:
    """The coordinator's own count believes its rows; what it shows the nodes is what they verify."""
    request, alice = site.request(), site.signers[0]
    forged = alice.passkey_vote(request, by=Authenticator()).to_json()
    Approval.objects.create(
        request=request, node=alice.row, kind="passkey", decision="approve", signed=forged
    )
    assert told(site.signers[1]).requests[0]["documents"]["decisions"] == [forged]
    assert refused(alice, forged) == "unknown_credential"


def test_a_refused_decision_of_the_node_is_no_vote(site: Site) -> None:
    request, alice = site.request(), site.signers[0]
    services.cancel_request(actor=site.actor, request=request)
    assert refused(alice, alice.passkey_vote(request).to_json()) == "closed"
    with pytest.raises(ItemRefused):
        decisions.decide(node=alice.row, value=alice.decision(request))
