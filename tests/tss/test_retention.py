"""What was only kept for a while goes; what proves something stays."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.tss.nodes import Site
from tss import mailbox, retention
from tss.errors import ItemRefused
from tss.models import Ceremony, Evidence, Job, Message, RequestEvent
from vaults.models import SignedRequest
from webhooks import feed
from webhooks.models import OutboxEvent

pytestmark = pytest.mark.embedded


def test_mailbox_of_an_ended_ceremony(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    ceremony = site.started()
    for signer in site.signers:
        signer.send(ceremony, 0, b"hello")
    assert retention.prune()["messages"] == 0
    alice = site.signers[0]
    with pytest.raises(ItemRefused):
        mailbox.store(node=alice.row, data=alice.envelope(ceremony, 0, b"other"))
    assert retention.prune()["messages"] == 0
    events = RequestEvent.objects.count()
    Ceremony.objects.update(finished_at=timezone.now() - timedelta(days=8))
    Job.objects.update(done_at=timezone.now() - timedelta(days=8))
    jobs = Job.objects.count()
    assert retention.prune() == {"signed_requests": 0, "messages": 3, "events": 0, "jobs": jobs}
    assert not Message.objects.exists()
    assert Evidence.objects.count() == 1
    assert RequestEvent.objects.count() == events


def test_messages_of_an_open_ceremony_stay(site: Site) -> None:
    ceremony = site.started()
    site.signers[0].send(ceremony, 0, b"hello")
    Message.objects.update(received_at=timezone.now() - timedelta(days=30))
    assert retention.prune()["messages"] == 0


def test_stored_answers_outlive_the_window_in_which_a_replay_is_accepted(site: Site) -> None:
    api_key = site.actor.api_key
    assert api_key is not None
    for number, age in enumerate((0, 239, 300)):
        SignedRequest.objects.create(
            api_key=api_key,
            once_key=f"{number:064x}",
            status=200,
            body=b"{}",
            keep_until=timezone.now() + timedelta(seconds=240 - age),
        )
    assert retention.prune()["signed_requests"] == 1
    assert SignedRequest.objects.count() == 2


def test_old_events_go_but_the_newest(site: Site) -> None:
    """A stream whose reader knows its number goes on after a silent month."""
    site.request()
    OutboxEvent.objects.update(created_at=timezone.now() - timedelta(days=31))
    newest = feed.newest_sequence()
    assert retention.prune()["events"] >= 1
    assert [event.sequence for event in OutboxEvent.objects.all()] == [newest]
