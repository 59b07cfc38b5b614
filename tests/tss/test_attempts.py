"""A failed attempt and what follows it: who is left out, and what goes on by itself (R20, R21)."""

import pytest
from pytest_django import Settings

from tests.tss.nodes import Site, drive, fresh
from tss import mailbox, services
from tss.errors import ItemRefused
from tss.models import Ceremony, RequestEvent, TssRequest
from vaults import services as vaults
from vaults.errors import ServiceError
from vaults.models import Group, Vault

pytestmark = pytest.mark.embedded


@pytest.fixture
def keyed(db: None) -> Site:
    """Main is 2 of 4, and all four approve: two dealers have a stand-in each."""
    site = Site.make(participants=4)
    site.succeeded()
    policy = site.vault.policy.replace('"required_approvals":2', '"required_approvals":4')
    assert policy != site.vault.policy
    Vault.objects.update(policy=policy)
    return site


@pytest.fixture
def side(keyed: Site) -> Group:
    return keyed.new_group(type="SigningGroup", signers=keyed.join("Desk", "Server"))


def from_main(site: Site) -> dict[str, str]:
    return {"type": "KeyGenFromKeyGroup", "source_group_id": str(site.group.id)}


def time_out(ceremony: Ceremony, settings: Settings) -> TssRequest:
    settings.QUORATE = settings.QUORATE | {"ROUND_TIMEOUT_S": 0}
    drive(ceremony)
    settings.QUORATE = settings.QUORATE | {"ROUND_TIMEOUT_S": 60}
    return fresh(ceremony.request)


def begin_all_but(site: Site, ceremony: Ceremony, *absent: str) -> None:
    for signer in site.participants(ceremony):
        if signer.node_id not in absent:
            signer.begin(ceremony)


def refuse_retry(site: Site, request: TssRequest) -> str:
    with pytest.raises(ServiceError) as caught:
        services.retry_request(actor=site.actor, request=request)
    return caught.value.message


def test_r21_silent_dealer_is_replaced_without_asking(keyed: Site, side: Group, settings: Settings) -> None:
    ceremony = keyed.started(side, **from_main(keyed))
    silent, other = ceremony.dealers
    begin_all_but(keyed, ceremony, silent)
    request = time_out(ceremony, settings)
    name = keyed.signer(silent).name
    assert (request.state, request.attempt) == ("Approved", 2)
    assert request.state_reason == f"another attempt without {name}"
    events = RequestEvent.objects.filter(request=request, kind="transition").order_by("-version")[:2]
    assert [(event.state, event.actor) for event in events] == [
        ("Approved", "system:retry"),
        ("Failed", "system:driver"),
    ]
    second = keyed.start(request)
    assert second.session_id != ceremony.session_id
    assert silent not in second.dealers
    assert other in second.dealers
    assert keyed.finish(second).state == "Succeeded"


def test_r21_guilty_dealer_is_left_out_before_a_silent_one(
    keyed: Site, side: Group, settings: Settings
) -> None:
    first = keyed.started(side, **from_main(keyed))
    guilty = keyed.signer(first.dealers[0])
    guilty.send(first, 0, b"one")
    with pytest.raises(Exception, match="different message"):
        guilty.send(first, 0, b"two")
    second = keyed.start(fresh(first.request))
    silent = second.dealers[0]
    begin_all_but(keyed, second, silent)
    third = keyed.start(time_out(second, settings))
    assert third.attempt == 3
    assert guilty.node_id not in third.dealers
    assert silent not in third.dealers
    # No more than three attempts begin by themselves. A further one takes a silent dealer, never the guilty.
    begin_all_but(keyed, third, third.dealers[0])
    request = time_out(third, settings)
    assert (request.state, request.retryable) == ("Failed", True)
    services.retry_request(actor=keyed.actor, request=request)
    fourth = keyed.start(fresh(request))
    assert guilty.node_id not in fourth.dealers
    assert keyed.finish(fourth).state == "Succeeded"


def test_silent_receiver_waits_for_people(keyed: Site, side: Group, settings: Settings) -> None:
    """Nobody can stand in for a holder of the new group."""
    ceremony = keyed.started(side, **from_main(keyed))
    desk = keyed.others[0]
    begin_all_but(keyed, ceremony, desk.node_id)
    request = time_out(ceremony, settings)
    assert (request.state, request.retryable, request.failed_node_ids) == ("Failed", True, [desk.node_id])
    services.retry_request(actor=keyed.actor, request=request)
    second = keyed.start(fresh(request))
    assert (second.attempt, second.dealers) == (2, ceremony.dealers)
    assert keyed.finish(second).state == "Succeeded"


def test_guilty_receiver_cannot_be_retried(keyed: Site, side: Group) -> None:
    ceremony = keyed.started(side, **from_main(keyed))
    desk = keyed.others[0]
    desk.send(ceremony, 0, b"one")
    with pytest.raises(Exception, match="different message"):
        desk.send(ceremony, 0, b"two")
    request = fresh(ceremony.request)
    assert (request.state, request.retryable) == ("Failed", False)
    assert refuse_retry(keyed, request).startswith("a retry cannot help")


def test_dealer_without_a_stand_in_is_not_replaced(site: Site, settings: Settings) -> None:
    """Exactly t holders approved: there is nobody else to deal."""
    site.succeeded()
    side = site.new_group(type="SigningGroup", signers=site.join("Desk", "Server"))
    request = site.request(side, **from_main(site))
    for signer in (*site.signers[:2], *site.others):
        signer.decide(request)
    ceremony = site.start(fresh(request))
    silent = ceremony.dealers[0]
    begin_all_but(site, ceremony, silent)
    request = time_out(ceremony, settings)
    assert (request.state, request.retryable, request.failed_node_ids) == ("Failed", True, [silent])
    # Whoever timed out is taken again where nobody else is left.
    services.retry_request(actor=site.actor, request=request)
    assert silent in site.start(fresh(request)).dealers


def test_word_of_a_leaver_proves_nothing(keyed: Site, side: Group) -> None:
    """A receiver blames another one: a retry is for people to decide, and it is possible."""
    ceremony = keyed.started(side, **from_main(keyed))
    desk, server = keyed.others
    desk.abort(ceremony, 0, code="bad_share", message="no good", blamed=server.place(ceremony))
    request = fresh(ceremony.request)
    assert (request.state, request.retryable, request.failed_node_ids) == ("Failed", True, [server.node_id])
    assert not Ceremony.objects.get(pk=ceremony.pk).proven


def test_r20_attempts_run_out(site: Site) -> None:
    request = site.approved()
    for attempt in range(1, 6):
        ceremony = site.start(fresh(request))
        assert ceremony.attempt == attempt
        site.signers[0].abort(ceremony, 0, code="restarted", message="the node was restarted")
        stored = fresh(request)
        assert (stored.state, stored.retryable) == ("Failed", attempt < 5)
        if stored.retryable:
            services.retry_request(actor=site.actor, request=stored)
    assert refuse_retry(site, fresh(request)).startswith("a retry cannot help")
    assert len(set(Ceremony.objects.values_list("session_id", flat=True))) == 5


def test_expired_request_is_not_retryable(site: Site) -> None:
    ceremony = site.started()
    TssRequest.objects.update(expires_at=ceremony.started_at)
    site.signers[0].abort(ceremony, 0, code="restarted", message="the node was restarted")
    assert not fresh(ceremony.request).retryable


def test_n22_ceremonies_of_one_vault_take_turns_and_of_two_vaults_run_at_once(site: Site) -> None:
    site.succeeded()
    first = site.started(type="Refresh")
    side = site.new_group(type="SigningGroup", signers=site.join("Desk", "Server"))
    waiting = site.approved(side, **from_main(site))
    site.start_job(waiting)
    assert fresh(waiting).state == "Approved"
    vault = vaults.create_vault(
        actor=site.actor, organisation=site.organisation, name="Other", type="Org-Controlled"
    )
    elsewhere = site.started(site.new_group(vault=vault))
    assert set(Ceremony.objects.filter(state="open")) == {first, elsewhere}
    # The Refresh supersedes what the other request wanted to deal from: it never starts.
    assert site.finish(first).state == "Succeeded"
    assert fresh(waiting).state == "Unsatisfiable"
    assert site.finish(elsewhere).state == "Succeeded"


def test_n22_request_that_waited_for_its_turn_runs_when_the_other_one_fails(site: Site) -> None:
    site.succeeded()
    first = site.started(type="Refresh")
    side = site.new_group(type="SigningGroup", signers=site.join("Desk", "Server"))
    waiting = site.approved(side, **from_main(site))
    site.start_job(waiting)
    site.signers[0].abort(first, 0, code="operator", message="stopped")
    # Its end rings for whoever waits.
    assert site.finish(site.start(waiting)).state == "Succeeded"


def test_n05_message_of_an_earlier_attempt_is_refused(site: Site) -> None:
    alice = site.signers[0]
    first = site.started()
    alice.begin(first)
    old = alice.envelope(first, 1, b"a deal")
    site.signers[1].abort(first, 0, code="restarted", message="the node was restarted")
    services.retry_request(actor=site.actor, request=fresh(first.request))
    second = site.start(fresh(first.request))
    assert second.session_id != first.session_id
    with pytest.raises(ItemRefused) as caught:
        mailbox.store(node=alice.row, data=old)
    assert caught.value.code == "closed"
    assert not second.messages.exists()
