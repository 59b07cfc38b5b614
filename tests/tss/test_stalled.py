"""R26: what all have prepared is completed and never replaced, however late the last message comes."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from audit import services as audit
from tests.tss.asking import TARGET, refused, replaced
from tests.tss.books import check_books
from tests.tss.nodes import Signer, Site, certificate_item, drive, fresh
from tss import ceremonies, certificates, mailbox, retention, services
from tss.errors import ItemRefused
from tss.models import Ceremony, Job, Message, RequestEvent, SetStatement, ShareSet, State, TssRequest
from vaults.errors import ErrorCode, ServiceError
from vaults.models import Group
from vaults.services import HolderChoice

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


@pytest.fixture
def ceremony(site: Site) -> Ceremony:
    """A Refresh whose holders have all prepared; Holder C has not activated."""
    site.succeeded()
    ceremony = site.started(type="Refresh")
    site.play(ceremony, rounds=2)
    for signer in site.signers[:2]:
        signer.receive(ceremony)
    ceremony.refresh_from_db()
    assert ceremony.round == 3
    return ceremony


def stall(ceremony: Ceremony) -> TssRequest:
    Ceremony.objects.filter(pk=ceremony.pk).update(deadline=ceremony.started_at)
    drive(ceremony)
    ceremony.refresh_from_db()
    assert ceremony.state == "stalled"
    return fresh(ceremony.request)


def transitions(request: TssRequest) -> list[tuple[str, str]]:
    events = RequestEvent.objects.filter(request=request, kind="transition").order_by("version")
    return [(event.state, event.actor) for event in events]


def test_only_the_deadline_ends_the_wait_for_the_last_activation(
    site: Site, ceremony: Ceremony, settings: Settings
) -> None:
    settings.QUORATE = settings.QUORATE | {"ROUND_TIMEOUT_S": 0}
    drive(ceremony)
    assert fresh(ceremony.request).state == "Running"
    request = stall(ceremony)
    assert (request.state, request.retryable) == ("Failed", True)
    assert request.state_reason == "all shares are prepared; waiting for Holder C to activate"
    assert request.failed_node_ids == [site.signers[2].node_id]


def test_late_message_completes_it_by_itself(site: Site, ceremony: Ceremony) -> None:
    request = stall(ceremony)
    carol = site.signers[2]
    carol.receive(ceremony)
    # Storing the message has rung for the driver.
    drive(ceremony)
    stored = fresh(request)
    assert (stored.state, stored.attempt) == ("Succeeded", 1)
    assert Group.objects.get(pk=site.group.pk).epoch == 2
    driver = "system:driver"
    assert transitions(request)[-2:] == [("Failed", driver), ("Succeeded", driver)]
    assert audit.verify() is None


def test_late_certificate_completes_it_by_itself(site: Site, ceremony: Ceremony) -> None:
    """The last member has the others' messages, and with its own the certificate."""
    stall(ceremony)
    carol = site.signers[2]
    rows = Message.objects.filter(ceremony=ceremony)
    before = set(rows.values_list("pk", flat=True))
    carol.receive(ceremony)
    carol.receive(ceremony)
    # What reached the coordinator is the certificate alone.
    rows.exclude(pk__in=before).delete()
    Ceremony.objects.filter(pk=ceremony.pk).update(round=3)
    carol.hand_in(ceremony)
    drive(ceremony)
    assert fresh(ceremony.request).state == "Succeeded"


def test_late_message_completes_it_after_the_request_would_have_expired(
    site: Site, ceremony: Ceremony
) -> None:
    request = stall(ceremony)
    TssRequest.objects.filter(pk=request.pk).update(expires_at=request.created_at)
    services.expire_overdue()
    site.signers[2].receive(ceremony)
    drive(ceremony)
    assert fresh(request).state == "Succeeded"


def test_retry_goes_on_with_the_same_ceremony(site: Site, ceremony: Ceremony) -> None:
    request = stall(ceremony)
    services.retry_request(actor=site.actor, request=request)
    # Nobody calls off what members may use already.
    with pytest.raises(ServiceError, match="can only be completed"):
        services.cancel_request(actor=site.actor, request=request)
    again = site.start(fresh(request))
    assert (again.pk, again.state, again.attempt) == (ceremony.pk, "open", 1)
    assert again.deadline > timezone.now()
    assert fresh(request).state == "Running"
    site.signers[2].receive(again)
    for signer in site.signers:
        signer.receive(again)
    site.signers[0].hand_in(again)
    drive(again)
    assert fresh(request).state == "Succeeded"
    assert Ceremony.objects.filter(request=request).count() == 1


def test_member_that_leaves_now_stalls_it_and_may_come_back(site: Site, ceremony: Ceremony) -> None:
    carol = site.signers[2]
    carol.abort(ceremony, 3, code="operator", message="stopped")
    request = fresh(ceremony.request)
    assert request.state_reason == (
        "all shares are prepared; Holder C left in round 4 of 4: stopped (operator)"
    )
    assert Ceremony.objects.get(pk=ceremony.pk).state == "stalled"
    carol.receive(ceremony)
    drive(ceremony)
    assert fresh(request).state == "Succeeded"


def test_before_all_have_prepared_another_attempt_takes_its_place(site: Site) -> None:
    """A round is served when it is complete: so nobody can have activated what is called failed here."""
    site.succeeded()
    ceremony = site.started(type="Refresh")
    site.play(ceremony, rounds=1)
    for signer in site.signers[:2]:
        signer.receive(ceremony)
    ceremony.refresh_from_db()
    assert ceremony.round == 2
    Ceremony.objects.filter(pk=ceremony.pk).update(deadline=ceremony.started_at)
    drive(ceremony)
    ceremony.refresh_from_db()
    assert ceremony.state == "failed"
    with pytest.raises(ItemRefused) as caught:
        site.signers[2].receive(ceremony)
    assert caught.value.code == "closed"
    services.retry_request(actor=site.actor, request=fresh(ceremony.request))
    second = site.start(fresh(ceremony.request))
    assert (second.attempt, second.session_id != ceremony.session_id) == (2, True)
    assert site.finish(second).state == "Succeeded"


def test_stalled_ceremony_does_not_hold_the_vault(site: Site, ceremony: Ceremony) -> None:
    stall(ceremony)
    side = site.new_group(type="SigningGroup", signers=site.join("Desk", "Server"))
    made = site.succeeded(side, type="KeyGenFromKeyGroup", source_group_id=str(site.group.id))
    assert made.state == "Succeeded"
    assert Ceremony.objects.get(pk=ceremony.pk).state == "stalled"


@pytest.fixture
def recovery_group(site: Site, ceremony: Ceremony) -> Group:
    """A Recovery group made while the Refresh of the Main group has stalled; Holder C is being replaced."""
    stall(ceremony)
    group = site.new_group(type="RecoveryGroup", signers=site.join("Erin", "Frida"))
    site.succeeded(group, type="KeyGenFromKeyGroup", source_group_id=str(site.group.id))
    replaced(site, site.signers[2], site.join("Spare")[0])
    return group


def test_what_another_set_took_the_place_of_is_never_completed(
    site: Site, ceremony: Ceremony, recovery_group: Group
) -> None:
    carol = site.signers[2]
    machine = carol.machine
    other = site.succeeded(type="Recovery", source_group_id=str(recovery_group.id))
    assert Ceremony.objects.get(pk=ceremony.pk).state == "failed"
    carol.machine = machine
    with pytest.raises(ItemRefused) as caught:
        carol.receive(ceremony)
    assert caught.value.code == "closed"
    assert fresh(ceremony.request).state == "Failed"
    assert ShareSet.objects.get(group=site.group, active=True).ceremony.request_id == other.id


@pytest.mark.parametrize("type", ["PolicyChange", "Recovery"])
def test_late_message_completes_it_while_the_group_has_another_open_request(
    site: Site, ceremony: Ceremony, recovery_group: Group, type: str
) -> None:
    """There is one open request a group, so it may not become open again on its way to success."""
    wish: dict[str, dict[str, Any]] = {
        "Recovery": {"source_group_id": str(recovery_group.id)},
        "PolicyChange": {"policy": {"erase_grace": 0}},
    }
    other = site.request(type=type, **wish[type])
    site.signers[2].receive(ceremony)
    drive(ceremony)
    assert fresh(ceremony.request).state == "Succeeded"
    assert Group.objects.get(pk=site.group.pk).epoch == 2
    assert fresh(other).state == "Unsatisfiable"
    check_books(ceremony.request)


@pytest.mark.parametrize("type", ["Refresh", "Reshare"])
def test_other_shares_of_the_group_are_refused_in_favour_of_a_retry(
    site: Site, ceremony: Ceremony, type: str
) -> None:
    request = stall(ceremony)
    two = [HolderChoice(signer.node_id) for signer in site.signers[:2]]
    wish: dict[str, dict[str, Any]] = {"Refresh": {}, "Reshare": {"holders": two, "threshold": 2}}
    error = refused(site, type=type, **wish[type])
    assert (error.code, error.field) == (ErrorCode.WRONG_STATE, TARGET)
    assert f"TSS request {request.id}: retry that one" in error.message
    site.signers[2].state(ceremony, "abandoned")
    assert site.request(type=type, **wish[type]).state == "AwaitingApproval"


def test_shares_of_a_set_that_is_gone_do_not_stand_in_the_way(site: Site) -> None:
    """A retry could not complete them, so a new request has to be possible."""
    site.succeeded()
    target = site.new_group(type="SigningGroup", signers=site.join("Dora", "Erin"))
    wish: dict[str, Any] = {"type": "KeyGenFromKeyGroup", "source_group_id": str(site.group.id)}
    ceremony = site.started(target, **wish)
    site.play(ceremony, rounds=2)
    request = stall(ceremony)
    site.succeeded(type="Refresh")
    with pytest.raises(ServiceError, match="the source group has another share set"):
        services.retry_request(actor=site.actor, request=request)
    assert site.succeeded(target, **wish).state == "Succeeded"


def test_bad_activation_cannot_be_retried(site: Site, ceremony: Ceremony) -> None:
    carol = site.signers[2]
    carol.send(ceremony, 3, b"nonsense")
    request = stall(ceremony)
    assert (request.failed_node_ids, request.retryable) == ([carol.node_id], False)
    assert request.state_reason.startswith("all shares are prepared; Holder C broke the protocol")


def test_mailbox_of_a_stalled_ceremony_is_kept(site: Site, ceremony: Ceremony) -> None:
    stall(ceremony)
    Ceremony.objects.update(finished_at=timezone.now() - timedelta(days=30))
    retention.prune()
    assert Message.objects.filter(ceremony=ceremony).count() == 11


def test_abandoned_share_makes_room_for_another_attempt(site: Site, ceremony: Ceremony) -> None:
    alice, _, carol = site.signers
    request = stall(ceremony)
    # Who has activated can take nothing back.
    with pytest.raises(ItemRefused) as caught:
        alice.state(ceremony, "abandoned")
    assert caught.value.code == "activated"
    carol.state(ceremony, "abandoned")
    carol.state(ceremony, "abandoned")
    assert SetStatement.objects.count() == 1
    ceremony.refresh_from_db()
    assert (ceremony.state, ceremony.reason) == ("failed", "Holder C abandoned its new share")
    stored = fresh(request)
    assert (stored.state, stored.retryable) == ("Failed", True)
    services.retry_request(actor=site.actor, request=stored)
    second = site.start(fresh(request))
    assert second.attempt == 2
    assert site.finish(second).state == "Succeeded"


def test_abandoned_share_comes_too_late_once_all_messages_are_in(site: Site, ceremony: Ceremony) -> None:
    """Whoever signs both, at the same moment: members may have the certificate by now."""
    stall(ceremony)
    carol = site.signers[2]
    carol.receive(ceremony)
    ceremonies.give_up(ceremony, actor=site.actor, reason="Holder C abandoned it", blamed=[3])
    ceremony.refresh_from_db()
    assert ceremony.state == "stalled"
    drive(ceremony)
    assert fresh(ceremony.request).state == "Succeeded"


def test_abandoned_share_ends_a_running_ceremony(site: Site, ceremony: Ceremony) -> None:
    site.signers[2].state(ceremony, "abandoned")
    ceremony.refresh_from_db()
    assert (ceremony.state, fresh(ceremony.request).state) == ("failed", State.FAILED)


def test_certificate_of_a_stalled_ceremony_is_examined_as_any(site: Site, ceremony: Ceremony) -> None:
    stall(ceremony)
    old = ShareSet.objects.get(active=True)
    item = certificate_item(ceremony.session_id, bytes(old.certificate))
    with pytest.raises(ItemRefused) as caught:
        certificates.accept(node=site.signers[0].row, value=item)
    assert caught.value.code == "bad_certificate"
    assert not Job.objects.filter(reference=ceremony.session_id, done_at__isnull=True).exists()


def test_stalled_ceremony_takes_no_second_message_for_a_slot(site: Site, ceremony: Ceremony) -> None:
    stall(ceremony)
    bob: Signer = site.signers[1]
    with pytest.raises(ItemRefused) as caught:
        mailbox.store(node=bob.row, data=bob.envelope(ceremony, 2, b"something else"))
    assert caught.value.code == "equivocation"
    assert ceremony.evidence.count() == 1
