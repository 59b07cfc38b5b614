"""The page of a request: votes, digest, risks, who asked, what went wrong, and the live parts."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from audit import tasks
from dashboard import ceremony
from dashboard.fingerprints import words
from tests.accounts.authenticator import Authenticator
from tests.dashboard.conftest import browser_of
from tests.dashboard.test_pages import read
from tests.tss.asking import member, own
from tests.tss.nodes import SYSTEM, Site, drive, fresh
from tss.lifecycle import TRANSITIONS
from tss.models import Ceremony, CeremonyState, State, TssRequest
from tss.services import cancel_request
from vaults import services as vaults
from vaults.actors import Actor
from vaults.models import Node
from webhooks.models import WebhookEndpoint


def live(browser: Browser, request: TssRequest, name: str = "request_live") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(read(browser, name, request.id))
    return answer


def test_r10_the_digest_is_shown_to_be_compared_elsewhere(site: Site, ann: Browser) -> None:
    request = site.request()
    page = read(ann, "request", request.id)
    for start in range(0, 64, 4):
        assert f"<span>{request.digest[start : start + 4]}</span>" in page
    for word in words(bytes.fromhex(request.digest)).split():
        assert f"<li>{word}</li>" in page
    assert 'class="qr"' in page
    assert "style=" not in page
    assert f"bin/signer --state FOLDER show {request.id}" in page
    assert f"quorate_verify.py --open {request.id}.request.json" in page
    assert "proves who you are, not what you saw" in page


def test_votes_show_who_decided_and_who_still_may(site: Site, ann: Browser) -> None:
    request = site.request()
    assert "Holders who receive or keep: 0 of 3 approvals" in read(ann, "request", request.id)
    site.signers[1].decide(request)
    parts = live(ann, request)["parts"]
    assert "1 of 3 approvals" in parts["meters"]
    assert "approve by node, " in parts["meters"]
    assert parts["meters"].count("may still decide") == 2
    assert "Then it expires" in parts["meters"]
    site.signers[2].decide(request, "reject", reason="not \u202eme")
    answer = live(ann, request)
    assert answer["state"] == State.REJECTED
    assert answer["open"] is False
    assert "not <mark>[U+202E]</mark>me" in answer["parts"]["meters"]


def test_only_who_may_decide_is_shown_how(site: Site, ann: Browser, root: Browser) -> None:
    request = site.request()
    assert f"approve {request.id}" in read(ann, "request", request.id)
    assert f"approve {request.id}" not in read(root, "request", request.id)
    site.signers[0].decide(request)
    assert f"approve {request.id}" not in read(ann, "request", request.id)


def test_a_passkey_vote_leaves_a_receipt_to_its_person_alone(site: Site, ann: Browser, root: Browser) -> None:
    alice = site.signers[0]
    alice.new_card("both", Authenticator())
    request = site.request()
    receipt = f"/account/requests/{request.id}/receipt"
    assert receipt not in read(ann, "request", request.id)
    alice.touch(request)
    page = read(ann, "request", request.id)
    assert receipt in page
    assert "approve by passkey, " in page
    assert receipt not in read(root, "request", request.id)


def test_a_passkey_vote_is_offered_to_whom_it_waits_for(site: Site, ann: Browser, root: Browser) -> None:
    request = site.request()
    page = read(ann, "request", request.id)
    assert f'data-options-url="/account/requests/{request.id}/vote/options"' in page
    assert f'data-vote-url="/account/requests/{request.id}/vote"' in page
    assert '<button type="button" data-decision="reject">Reject</button>' in page
    assert '<script type="module" src="/static/accounts/vote.js"></script>' in page
    assert "data-vote" not in read(root, "request", request.id)
    assert '<a href="/account/">Account</a>' in page
    address = reverse("admin:request", args=[request.id])
    answer = Browser().get(reverse("admin:login") + f"?next={address}")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/account/login?next={address}")


def test_r14_the_requesters_own_vote_is_said_not_to_count(keyed: Site, ann: Browser) -> None:
    asker = member(keyed, "olga")
    own(asker, keyed.signers[1])
    group = keyed.new_group(type="RecoveryGroup", signers=[*keyed.join("Erin", "Frida"), keyed.signers[2]])
    request = keyed.request(
        group, actor=Actor.of_member(asker), type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id)
    )
    page = read(ann, "request", request.id)
    assert "among t of n its vote does not count (R14)" in page
    assert "the requester's own: does not count here (R14)" in page
    assert "<bdi>olga</bdi>" in page
    assert request.id not in read(browser_of("olga"), "inbox")
    assert request.id in read(ann, "inbox")


def test_risks_follow_from_rows(site: Site, ann: Browser) -> None:
    request = site.request()
    Node.objects.filter(pk=site.signers[0].node_id).update(
        enrolled_at=timezone.now() - timedelta(days=2), software="0.9.0"
    )
    page = read(ann, "request", request.id)
    assert "Enrolled less than 24 hours ago: Holder B, Holder C." in page
    assert "Not heard of for 60 seconds: Holder A, Holder B, Holder C." in page
    assert "The nodes run different software: 0.1.0, 0.9.0." in page
    Node.objects.update(
        last_seen_at=timezone.now(), enrolled_at=timezone.now() - timedelta(days=2), software="1"
    )
    page = read(ann, "request", request.id)
    for words_of in ("Enrolled less", "Not heard of", "different software"):
        assert words_of not in page


def test_who_asked_is_shown_with_the_key_that_signed(site: Site, ann: Browser) -> None:
    request = site.request()
    assert site.actor.api_key is not None
    page = read(ann, "request", request.id)
    assert "Robot" in page
    assert site.actor.api_key.public_key[:16] in page
    assert "revoked since" not in page
    vaults.revoke_api_key(actor=SYSTEM, api_key=site.actor.api_key)
    assert "revoked since" in read(ann, "request", request.id)


def test_an_ended_request_answers_first_whether_the_key_is_safe(site: Site, ann: Browser) -> None:
    request = site.request()
    assert "Is my key safe?" not in read(ann, "request", request.id)
    cancel_request(actor=site.actor, request=request)
    page = read(ann, "request", request.id)
    assert "Is my key safe?" in page
    assert page.index("Is my key safe?") < page.index("What changes")
    assert "What do I do now?" in page
    assert "No share was made, moved or erased" in page
    assert "data-live-url" not in page


def test_a_failed_ceremony_names_who_is_missing_and_says_what_holds(keyed: Site, ann: Browser) -> None:
    opened = keyed.started(type="Refresh")
    *others, silent = keyed.participants(opened)
    for signer in others:
        signer.begin(opened)
    Ceremony.objects.filter(pk=opened.pk).update(
        progress_at=opened.started_at - timedelta(hours=1), deadline=opened.started_at
    )
    drive(opened)
    request = fresh(opened.request)
    assert request.state == State.FAILED
    page = read(ann, "request", request.id)
    assert "Is my key safe?" in page
    assert "The shares that were in use before still are" in page
    assert "There is no key yet" not in page
    answer = live(ann, request, "ceremony_live")
    lanes = answer["parts"]["lanes"]
    assert lanes.count("q-cell-missing") == 1
    blamed = lanes.split("<tbody>")[1].split("blamed")[0]
    assert blamed.rindex("<th") < blamed.rindex(silent.name)


@pytest.mark.slow
def test_the_ceremony_page_follows_real_messages(site: Site, ann: Browser) -> None:
    request = site.request()
    before = live(ann, request, "ceremony_live")
    assert before["open"] is True
    assert "No ceremony has begun" in before["parts"]["lanes"]
    opened = site.start(site.approve(request))
    begun = live(ann, request, "ceremony_live")
    assert begun["say"].startswith("Attempt 1: round 1 of 4 (hello), waits for")
    assert begun["parts"]["lanes"].count("q-cell-missing") == 3  # their nodes have never called
    Node.objects.update(last_seen_at=timezone.now())
    assert live(ann, request, "ceremony_live")["parts"]["lanes"].count("q-cell-awaited") == 3
    site.run(opened)
    heard = ceremony.progress(Ceremony.objects.get(pk=opened.pk))
    assert [len(lane.cells) for lane in heard.lanes] == [4, 4, 4]
    for lane in heard.lanes:
        times = [cell.after for cell in lane.cells]
        assert None not in times
        assert times == sorted(times, key=lambda time: time or 0)
    assert "the certificate is being checked" in heard.summary
    site.participants(opened)[0].hand_in(opened)
    drive(opened)
    done = live(ann, request, "ceremony_live")
    assert (done["state"], done["open"]) == (State.SUCCEEDED, False)
    assert done["parts"]["lanes"].count("q-cell-heard") == 12
    assert done["parts"]["lanes"].count('class="q-bar q-bar-work"') == 12
    # After the retention time the mailbox is empty, and the page says so.
    opened.messages.all().delete()
    gone = ceremony.progress(Ceremony.objects.get(pk=opened.pk))
    assert gone.ceremony.state == CeremonyState.SUCCEEDED
    assert gone.messages_deleted
    assert "Its messages were deleted" in read(ann, "ceremony", request.id)


def test_the_state_diagram_is_the_table(site: Site, ann: Browser) -> None:
    page = read(ann, "states")
    arrows = {(state, to) for state, targets in TRANSITIONS.items() for to in targets}
    for state, to in arrows:
        assert f"<title>{state} to {to}</title>" in page
    assert page.count('class="q-edge"') == len(arrows)
    current = read(ann, "request", site.request().id)
    assert 'aria-label="States of a request; it is AwaitingApproval"' in current


def test_the_overview_shows_what_there_is_of_webhooks_and_checkpoints(
    site: Site, ann: Browser, root: Browser
) -> None:
    page = read(ann, "index")
    assert "endpoints fail" not in page
    assert "signed" not in page
    made = WebhookEndpoint.objects.create(organisation_id=site.organisation.id, url="https://a.example/")
    WebhookEndpoint.objects.create(organisation_id=uuid.uuid4(), url="https://b.example/")
    tasks.checkpoint()
    page = read(ann, "index")
    assert "<dd>0 of 1<small>endpoints fail" in page
    assert "checkpoint of row" in page
    assert "<dd>0 of 2<small>endpoints fail" in read(root, "index")
    WebhookEndpoint.objects.filter(pk=made.pk).update(failing_since=timezone.now())
    assert "<dd>1 of 1<small>endpoints fail" in read(ann, "index")


def test_nodes_say_what_is_known(keyed: Site, ann: Browser) -> None:
    page = read(ann, "nodes")
    assert page.count("no difference reported") == 3
    assert page.count('<td class="q-quiet">unknown</td>') == 3
    keyed.group.later_sets.create(node_id=keyed.signers[0].node_id, epoch=9)
    assert "reports a later one than this site has" in read(ann, "nodes")
    assert reverse("admin:nodes") in page
