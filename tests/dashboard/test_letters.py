"""Letters to approvers: one of each kind, through crashes, late mail servers and two workers at once."""

from datetime import timedelta
from smtplib import SMTPServerDisconnected
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.utils import timezone

from audit.models import AuditRow
from dashboard import letters, tasks
from dashboard.models import Letter, LetterKind
from leasing import doorbell
from tests.tss.asking import own
from tests.tss.nodes import SYSTEM, Site
from tss.models import State, TssRequest
from tss.services import cancel_request
from vaults import services as vaults
from vaults.errors import ServiceError
from vaults.models import Member

pytestmark = pytest.mark.embedded


@pytest.fixture
def asked(site: Site) -> TssRequest:
    """A request that waits for Ann, who has an address, and for two nodes of nobody."""
    vaults.set_email(actor=SYSTEM, user=User.objects.get(username="ann"), email="ann@example.com")
    mail.outbox.clear()
    return site.request(description="Urgent: click http://evil.example")


def sweep() -> None:
    """What the worker does every few seconds, with the letters sent at once."""
    letters.write_due()
    for letter_id in letters.due():
        letters.send(letter_id)


def test_who_has_an_open_vote_gets_one_letter(asked: TssRequest, site: Site) -> None:
    own(Member.objects.get(user__username="ann"), site.signers[1])  # two nodes, one person
    for _ in range(3):
        sweep()
    assert len(mail.outbox) == 1
    letter = mail.outbox[0]
    assert letter.to == ["ann@example.com"]
    assert letter.subject == "KeyGen request waits for your vote"
    assert f"http://localhost:8700/admin/request/{asked.id}/" in letter.body
    assert letter.body.startswith("Make a new root key")
    assert asked.digest in letter.body
    assert "evil" not in letter.body
    assert Letter.objects.get().sent_at is not None


def test_nobody_is_written_to_who_has_decided_or_whose_request_ended(asked: TssRequest, site: Site) -> None:
    site.signers[0].decide(asked)
    sweep()
    assert mail.outbox == []
    second = site.request(site.new_group())
    assert letters.write_due() == 1
    cancel_request(actor=site.actor, request=second)
    for letter_id in letters.due():
        assert letters.send(letter_id) is False
    assert mail.outbox == []
    assert not Letter.objects.exists()


def test_a_reminder_comes_before_the_end_and_not_at_once(asked: TssRequest) -> None:
    sweep()
    TssRequest.objects.filter(pk=asked.pk).update(expires_at=timezone.now() + timedelta(hours=3))
    sweep()
    assert len(mail.outbox) == 1  # told a moment ago
    Letter.objects.update(sent_at=timezone.now() - timedelta(hours=2))
    for _ in range(3):
        sweep()
    assert [each.subject for each in mail.outbox][1:] == ["KeyGen request ends soon"]
    assert len({each.extra_headers["Message-ID"] for each in mail.outbox}) == 2
    TssRequest.objects.filter(pk=asked.pk).update(state=State.EXPIRED)
    sweep()
    assert len(mail.outbox) == 2


def test_a_dead_mail_server_costs_time_only(asked: TssRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mail.EmailMessage, "send", _fails)
        sweep()
    letter = Letter.objects.get()
    assert (letter.sent_at, letter.attempts, letter.leased_until) == (None, 1, None)
    assert letter.due_at > timezone.now()
    sweep()
    assert mail.outbox == []  # not yet due again
    Letter.objects.update(due_at=timezone.now())
    sweep()
    assert len(mail.outbox) == 1


def test_t01_a_worker_that_dies_after_sending_repeats_the_same_message(
    asked: TssRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters.write_due()
    [letter_id] = letters.due()
    real = mail.EmailMessage.send

    def send_and_die(self: Any) -> None:
        real(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mail.EmailMessage, "send", send_and_die)
        with pytest.raises(KeyboardInterrupt):
            letters.send(letter_id)
    assert letters.due() == []  # its lease still stands
    assert letters.send(letter_id) is False
    Letter.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert letters.send(letter_id) is True
    first, second = mail.outbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
    sweep()
    assert len(mail.outbox) == 2


def test_t04_a_worker_that_slept_past_its_lease_changes_nothing(
    asked: TssRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters.write_due()
    [letter_id] = letters.due()
    real = mail.EmailMessage.send

    def overtaken(self: Any) -> None:
        monkeypatch.setattr(mail.EmailMessage, "send", real)
        Letter.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        assert letters.send(letter_id) is True
        raise SMTPServerDisconnected

    monkeypatch.setattr(mail.EmailMessage, "send", overtaken)
    assert letters.send(letter_id) is False
    letter = Letter.objects.get()
    assert (letter.attempts, letter.leased_until) == (2, None)
    assert letter.sent_at is not None


def test_the_task_rings_for_every_letter_and_for_none_where_letters_are_off(
    asked: TssRequest, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    rung: list[tuple[Any, ...]] = []
    monkeypatch.setattr(doorbell, "send", lambda *ring: rung.append(ring))
    settings.QUORATE = settings.QUORATE | {"LETTERS": False}
    tasks.write_letters()
    assert not Letter.objects.exists()
    settings.QUORATE = settings.QUORATE | {"LETTERS": True}
    tasks.write_letters()
    letter = Letter.objects.get()
    assert letter.kind == LetterKind.WAITING
    assert rung == [(tasks.SEND, letter.pk)]
    tasks.send_letter(letter.pk)
    assert len(mail.outbox) == 1


def test_an_address_is_set_by_command(site: Site) -> None:
    call_command("access", "set-email", "--username", "ann", "--email", "ann@example.com")
    assert User.objects.get(username="ann").email == "ann@example.com"
    row = AuditRow.objects.order_by("-sequence")[0]
    assert (row.act, "ann@" in row.detail) == ("user.email_set", False)
    with pytest.raises(ServiceError) as caught:
        vaults.set_email(actor=SYSTEM, user=User.objects.get(username="ann"), email="no address")
    assert caught.value.field == "email"


def _fails(self: Any) -> None:
    raise SMTPServerDisconnected
