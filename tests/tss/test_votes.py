"""Votes of source and target holders: whose approval counts where, and what takes it back (R13, R14)."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import AuditRow
from tests.tss.asking import member, own, replaced
from tests.tss.books import check_books
from tests.tss.nodes import Signer, Site, fresh
from tss import decisions
from tss.documents import intent_of
from tss.errors import ItemRefused
from tss.models import Approval, Job, TssRequest
from tss.representation import represent
from vaults.actors import Actor
from vaults.models import Group
from wire.approval import Approval as WireApproval
from wire.canonical import canonical_bytes
from wire.fields import WireError
from wire.intent import intent_digest

pytestmark = pytest.mark.embedded

# The order of the group of Ed25519: adding it to s gives another encoding of the same signature.
_L = 2**252 + 27742317777372353535851937790883648493


@pytest.fixture
def request_(keyed: Site) -> TssRequest:
    """Two of Holders A, B, C as source, and Dora and Erin as target holders."""
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    return keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))


def state(request: TssRequest) -> str:
    return fresh(request).state


def refused(signer: Signer, value: dict[str, Any]) -> str:
    """The code of the refusal, which stored nothing."""
    before = list(Approval.objects.order_by("pk").values())
    with pytest.raises(ItemRefused) as caught:
        decisions.decide(node=signer.row, value=value)
    assert list(Approval.objects.order_by("pk").values()) == before
    return caught.value.code


def test_both_votes_must_be_won(keyed: Site, request_: TssRequest) -> None:
    (a, b, c), (dora, erin) = keyed.signers, keyed.others
    for signer in (a, dora, erin):
        signer.decide(request_)
        assert state(request_) == "AwaitingApproval"
    votes = represent(fresh(request_))["approvals"]["votes"]
    assert [(vote["side"], vote["received"], vote["needed"]) for vote in votes] == [
        ("source", 1, 2),
        ("target", 2, 2),
    ]
    c.decide(request_)
    assert state(request_) == "Approved"
    # R21: one more source holder, who may stand in for another in a later attempt.
    b.decide(request_)
    assert state(request_) == "Approved"
    assert represent(fresh(request_))["approvals"]["votes"][0]["received"] == 3


def test_r21_source_holder_may_approve_while_it_runs(keyed: Site, request_: TssRequest) -> None:
    (a, b, c), (dora, erin) = keyed.signers, keyed.others
    for signer in (a, c, dora, erin):
        signer.decide(request_)
    keyed.start(fresh(request_))
    b.decide(request_)
    assert state(request_) == "Running"
    check_books(request_)


def test_holder_of_both_groups_votes_once_and_counts_in_both(keyed: Site) -> None:
    (dora,) = keyed.join("Dora")
    a, b, _ = keyed.signers
    target = keyed.new_group(type="SigningGroup", signers=[dora, a])
    request = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    for signer in (a, b, dora):
        signer.decide(request)
    assert state(request) == "Approved"


def test_p01_replayed_approval_counts_once(keyed: Site, request_: TssRequest) -> None:
    value = keyed.signers[0].decision(request_)
    for _ in range(3):
        decisions.decide(node=keyed.signers[0].row, value=value)
    assert fresh(request_).version == 1
    assert represent(fresh(request_))["approvals"]["received"] == 1


def test_p02_approval_of_another_request_is_refused_with_an_alarm(keyed: Site, request_: TssRequest) -> None:
    target = keyed.new_group(type="SigningGroup", signers=keyed.others)
    other = keyed.request(target, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    a = keyed.signers[0]
    audited = AuditRow.objects.count()
    assert refused(a, a.decision(request_) | {"digest": other.digest}) == "digest_mismatch"
    (alarm,) = AuditRow.objects.order_by("sequence")[audited:]
    assert (alarm.act, alarm.subject) == ("alarm", f"tss_request:{other.id}")
    assert request_.id in alarm.detail
    assert not Approval.objects.filter(request__in=[request_, other]).exists()


def test_p03_one_vote_a_holder(keyed: Site, request_: TssRequest) -> None:
    a = keyed.signers[0]
    a.decide(request_)
    assert refused(a, a.decision(request_, time=a.decision(request_)["time"] + 1)) == "already_decided"
    assert refused(a, a.decision(request_, "reject")) == "already_decided"
    assert represent(fresh(request_))["approvals"]["received"] == 1


@pytest.mark.parametrize("decision", ["approve", "reject", "withdraw"])
def test_p05_decision_after_the_expiry(keyed: Site, request_: TssRequest, decision: str) -> None:
    keyed.signers[0].decide(request_)
    TssRequest.objects.filter(pk=request_.pk).update(expires_at=timezone.now() - timedelta(milliseconds=1))
    assert refused(keyed.signers[1], keyed.signers[1].decision(request_, decision)) == "closed"
    assert state(request_) == "Expired"


def test_p05_decision_at_the_last_moment(keyed: Site, request_: TssRequest) -> None:
    TssRequest.objects.filter(pk=request_.pk).update(expires_at=timezone.now() + timedelta(seconds=30))
    keyed.signers[0].decide(request_)
    assert represent(fresh(request_))["approvals"]["received"] == 1


def test_p08_who_has_no_vote(keyed: Site, request_: TssRequest, recovery_group: Group) -> None:
    """A stranger, a member of another group, a former member, who is only told, and the requester."""
    (stranger,) = keyed.join("Stranger")
    other_group = next(signer for signer in keyed.others if signer.name == "Frida")
    for signer in (stranger, other_group):
        assert refused(signer, signer.decision(request_)) == "unknown_digest"
    # A former member: Holder B, whose place goes to the stranger; of the Recovery itself it is told.
    former = keyed.signers[1]
    replaced(keyed, former, stranger)
    recovery = keyed.request(type="Recovery", source_group_id=str(recovery_group.id))
    assert refused(former, former.decision(recovery)) == "no_vote"
    keyed.finish(keyed.start(keyed.approve(recovery)))
    refresh = keyed.request(type="Refresh")
    assert refused(former, former.decision(refresh)) == "unknown_digest"


def test_p08_r14_requesters_own_source_vote(keyed: Site) -> None:
    a, b, c = keyed.signers
    alice = member(keyed, "alice")
    own(alice, a)
    target = keyed.new_group(type="SigningGroup", signers=keyed.join("Dora", "Erin"))
    request = keyed.request(
        target,
        actor=Actor.of_member(alice),
        type="KeyGenFromKeyGroup",
        source_group_id=str(keyed.group.id),
    )
    assert refused(a, a.decision(request)) == "own_request"
    for signer in (*keyed.others, b):
        signer.decide(request)
    assert state(request) == "AwaitingApproval"
    c.decide(request)
    assert state(request) == "Approved"


def test_r14_requesters_own_vote_counts_for_its_own_holder(keyed: Site) -> None:
    alice = member(keyed, "alice")
    own(alice, keyed.signers[0])
    request = keyed.approved(type="Refresh", actor=Actor.of_member(alice))
    assert request.state == "Approved"


def test_p14_rejection_ends_the_request_although_the_votes_could_be_won(
    keyed: Site, request_: TssRequest
) -> None:
    keyed.signers[0].decide(request_, "reject", reason="not on a Sunday")
    stored = fresh(request_)
    assert (stored.state, stored.state_reason) == ("Rejected", "Holder A rejected: not on a Sunday")


# P15: withdrawals


def test_p15_withdrawal_takes_an_approval_back(keyed: Site, request_: TssRequest) -> None:
    a, b, c = keyed.signers
    a.decide(request_)
    a.decide(request_, "withdraw", reason="wrong key")
    stored = fresh(request_)
    assert stored.state == "AwaitingApproval"
    assert represent(stored)["approvals"]["received"] == 0
    # R13: for this digest it binds for ever.
    assert refused(a, a.decision(request_)) == "already_decided"
    for signer in (b, c, *keyed.others):
        signer.decide(request_)
    assert state(request_) == "Approved"
    check_books(request_)


def test_p15_withdrawal_takes_an_approved_request_back(keyed: Site, request_: TssRequest) -> None:
    a, b, c = keyed.signers
    for signer in (a, b, *keyed.others):
        signer.decide(request_)
    assert state(request_) == "Approved"
    b.decide(request_, "withdraw", reason="in doubt")
    stored = fresh(request_)
    assert (stored.state, stored.state_reason) == ("AwaitingApproval", "Holder B withdrew: in doubt")
    assert not Job.objects.filter(reference=request_.id, done_at=None).exists()
    c.decide(request_)
    assert state(request_) == "Approved"
    assert Job.objects.filter(reference=request_.id, done_at=None).count() == 1
    check_books(request_)


def test_p15_withdrawal_of_more_than_was_needed(keyed: Site, request_: TssRequest) -> None:
    for signer in (*keyed.signers, *keyed.others):
        signer.decide(request_)
    keyed.signers[2].decide(request_, "withdraw")
    assert state(request_) == "Approved"


def test_p15_withdrawal_that_makes_the_vote_hopeless(keyed: Site, request_: TssRequest) -> None:
    a, b, _ = keyed.signers
    a.decide(request_, "withdraw")
    assert state(request_) == "AwaitingApproval"
    b.decide(request_, "withdraw", reason="me neither")
    stored = fresh(request_)
    assert stored.state == "Unsatisfiable"
    assert stored.state_reason.startswith("Holder B withdrew: me neither; the vote of the source holders")


def test_p15_target_holder_withdraws(keyed: Site, request_: TssRequest) -> None:
    for signer in (*keyed.others, *keyed.signers[:2]):
        signer.decide(request_)
    keyed.others[0].decide(request_, "withdraw")
    assert state(request_) == "Unsatisfiable"
    assert not Job.objects.filter(reference=request_.id, done_at=None).exists()


def test_p15_withdrawal_after_the_start(keyed: Site, request_: TssRequest) -> None:
    for signer in (*keyed.others, *keyed.signers[:2]):
        signer.decide(request_)
    keyed.start(fresh(request_))
    for decision in ("withdraw", "reject"):
        signer = keyed.signers[0] if decision == "withdraw" else keyed.signers[2]
        assert refused(signer, signer.decision(request_, decision)) == "closed"
    assert state(request_) == "Running"


def test_p15_replayed_withdrawal(keyed: Site, request_: TssRequest) -> None:
    a = keyed.signers[0]
    a.decide(request_)
    value = a.decision(request_, "withdraw")
    for _ in range(2):
        decisions.decide(node=a.row, value=value)
    assert fresh(request_).version == 2


# P09, P18: signatures


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_p09_any_change_of_the_intent_is_another_digest(
    keyed: Site, request_: TssRequest, data: st.DataObject
) -> None:
    """An approval is of one digest: what it covers, threshold, roster, expiry and all, cannot be changed."""
    document = intent_of(request_.intent).to_json()
    paths = sorted(_leaves(document), key=str)
    path = data.draw(st.sampled_from(paths))
    _change(document, path)
    digest = intent_digest(canonical_bytes(document))
    assert digest.hex() != request_.digest
    value = keyed.signers[0].decision(request_)
    moved = WireApproval.from_json(value | {"digest": digest.hex()})
    assert not moved.verify(bytes(keyed.signers[0].signing.verify_key))


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, item in enumerate(value) for leaf in _leaves(item, (*path, key))] or [path]
    return [path]


def _change(document: Any, path: tuple[Any, ...]) -> None:
    for key in path[:-1]:
        document = document[key]
    old = document[path[-1]]
    match old:
        case bool():
            new: Any = not old
        case int():
            new = old + 1
        case str():
            new = old + "0"
        case _:
            new = ["changed"]
    document[path[-1]] = new


@pytest.mark.parametrize("part", ["s + L", "small-order R", "flipped bit"])
def test_p18_another_encoding_of_a_signature_is_no_signature(
    keyed: Site, request_: TssRequest, part: str
) -> None:
    a = keyed.signers[0]
    value = a.decision(request_)
    signature = bytes.fromhex(value["signature"])
    point, scalar = signature[:32], int.from_bytes(signature[32:], "little")
    forged = {
        "s + L": point + (scalar + _L).to_bytes(32, "little"),
        "small-order R": bytes([1]) + bytes(31) + signature[32:],
        "flipped bit": bytes([signature[0] ^ 1]) + signature[1:],
    }[part]
    assert refused(a, value | {"signature": forged.hex()}) == "bad_signature"
    with pytest.raises(WireError, match="lower-case hex"):
        decisions.decide(node=a.row, value=value | {"signature": value["signature"].upper()})


def test_p18_second_valid_signature_is_not_counted_again(keyed: Site, request_: TssRequest) -> None:
    """A holder can sign one decision in many valid ways; it stays one vote."""
    a = keyed.signers[0]
    a.decide(request_)
    again = a.decision(request_, reason="once more")
    assert refused(a, again) == "already_decided"
    assert represent(fresh(request_))["approvals"]["votes"][0]["received"] == 1
