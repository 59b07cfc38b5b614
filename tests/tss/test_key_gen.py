"""A whole KeyGen against the services, with real protocol machines, good and bad."""

import re

import pytest
from pytest_django import Settings

from audit import services as audit
from mpc.dealing import Dealing
from mpc.dealing_messages import Complaint
from tests.tss.nodes import Signer, Site, certificate_item, drive, fresh, run_job
from tss import ceremonies, certificates, decisions
from tss.documents import context_of, session_context
from tss.errors import ItemRefused
from tss.models import Ceremony, Job, JobKind, RequestEvent, ShareSet, TssRequest
from vaults.models import Group, KeyShareGroup, RootKey
from wire.fields import WireError

pytestmark = pytest.mark.embedded


def test_key_gen_from_request_to_root_keys(site: Site) -> None:
    ceremony = site.started()
    assert fresh(ceremony.request).state == "Running"
    site.run(ceremony)
    ceremony.refresh_from_db()
    assert ceremony.round == ceremony.rounds
    site.signers[0].hand_in(ceremony)
    assert drive(ceremony)

    assert fresh(ceremony.request).state == "Succeeded"
    certificate = site.signers[1].certificate
    assert certificate is not None
    expected = certificate.statement.root_extended_public_keys()
    assert {row.curve.lower(): row.root_extended_public_key for row in RootKey.objects.all()} == expected
    groups = KeyShareGroup.objects.filter(group=site.group)
    assert {row.curve.lower(): row.root_extended_public_key for row in groups} == expected
    assert all(re.fullmatch(r"[0-9A-Za-z]{20}", row.id) for row in groups)
    assert Group.objects.get(pk=site.group.pk).status == "Valid"
    ceremony.refresh_from_db()
    assert (ceremony.state, ceremony.finished_at is not None) == ("succeeded", True)
    assert not Job.objects.filter(done_at__isnull=True).exists()
    events = RequestEvent.objects.filter(request=ceremony.request).order_by("version")
    assert [event.state for event in events] == [
        *["AwaitingApproval"] * 3,
        "Approved",
        "Running",
        "Succeeded",
    ]
    assert audit.verify() is None


def test_session_id_follows_from_the_rows(site: Site) -> None:
    ceremony = site.started()
    context = context_of(Ceremony.objects.get())
    assert context.session_id().hex() == ceremony.session_id
    assert session_context(TssRequest.objects.get(), 2, ()).session_id().hex() != ceremony.session_id
    assert context.size == ceremony.participants == 3


def test_certificate_of_each_participant_is_welcome_once(site: Site) -> None:
    ceremony = site.started()
    site.run(ceremony)
    for signer in site.signers:
        signer.hand_in(ceremony)
    assert ShareSet.objects.count() == 1


def test_r25_altered_or_foreign_certificate_is_refused(site: Site) -> None:
    ceremony = site.started()
    site.run(ceremony)
    alice = site.signers[0]
    assert alice.certificate is not None
    good = alice.certificate.encode()
    for bad in (good[:-1], good + b"\x00", good[:-64] + bytes(64), b""):
        with pytest.raises((ItemRefused, ValueError)):
            certificates.accept(node=alice.row, value=certificate_item(ceremony.session_id, bad))
    assert not ShareSet.objects.exists()
    assert fresh(ceremony.request).state == "Running"


def test_r25_certificate_of_another_request_is_refused(site: Site) -> None:
    """Valid in itself, made by the same holders, but for another digest."""
    first = site.started()
    site.run(first)
    other_certificates = [signer.certificate for signer in site.signers]
    ceremonies.fail(first, actor=site.actor, reason="stopped", blamed=[])
    second = site.started(site.new_group())
    alice = site.signers[0]
    assert other_certificates[0] is not None
    item = certificate_item(second.session_id, other_certificates[0].encode())
    with pytest.raises(ItemRefused) as caught:
        certificates.accept(node=alice.row, value=item)
    assert (caught.value.code, str(caught.value)) == ("bad_certificate", "it is about another ceremony")


def test_certificate_swapped_in_the_database_fails_the_request(site: Site) -> None:
    ceremony = site.started()
    site.run(ceremony)
    site.signers[0].hand_in(ceremony)
    row = ShareSet.objects.get()
    row.certificate = bytes(row.certificate)[:-64] + bytes(64)
    row.save()
    drive(ceremony)
    stored = fresh(ceremony.request)
    assert (stored.state, stored.failed_node_ids) == ("Failed", [])
    assert "activated" in stored.state_reason
    assert not RootKey.objects.exists()


def test_vault_that_has_a_root_key_meanwhile(site: Site) -> None:
    ceremony = site.started()
    site.run(ceremony)
    RootKey.objects.create(vault=site.vault, curve="ED25519", root_extended_public_key="other")
    site.signers[0].hand_in(ceremony)
    drive(ceremony)
    stored = fresh(ceremony.request)
    assert (stored.state, stored.state_reason) == ("Failed", "the vault has root keys meanwhile")
    assert RootKey.objects.count() == 1


class BadDealer(Signer):
    """Deals one share that its recipient cannot open (test 23)."""

    def envelope(self, ceremony: Ceremony, round: int, body: bytes, **changes: object) -> bytes:
        if round == 1:
            # Before the last five bytes (pair set-up: kind and no data) stands the share for participant 2.
            corrupt = bytearray(body)
            corrupt[-6] ^= 1
            body = bytes(corrupt)
        return super().envelope(ceremony, round, body, **changes)


def test_r22_a_complaint_ends_the_ceremony_at_once(site: Site) -> None:
    _, victim, honest = site.signers
    bad = site.signers[2] = BadDealer(honest.name, honest.signing, honest.encryption)
    ceremony = site.started()
    for signer in site.signers:
        signer.begin(ceremony)
    for signer in site.signers:
        signer.receive(ceremony)
    assert fresh(ceremony.request).state == "Running"
    # Nobody has to leave, and no clock has to run out.
    victim.receive(ceremony)
    stored = fresh(ceremony.request)
    assert (stored.state, stored.failed_node_ids) == ("Failed", [bad.node_id])
    assert stored.state_reason.startswith("Holder C broke the protocol: ")


def test_r22_a_complaint_that_came_early_is_judged_when_its_round_is_complete(site: Site) -> None:
    alice, bob, carol = site.signers
    ceremony = site.started()
    alice.begin(ceremony)
    bob.send(ceremony, 2, Complaint(bytes(32), carol.place(ceremony), bytes(32)).encode())
    assert fresh(ceremony.request).state == "Running"
    for signer in (bob, carol):
        signer.begin(ceremony)
    for signer in site.signers:
        signer.receive(ceremony)
    alice.receive(ceremony)
    assert fresh(ceremony.request).state == "Running"
    carol.receive(ceremony)
    stored = fresh(ceremony.request)
    assert (stored.state, stored.failed_node_ids) == ("Failed", [bob.node_id])


def test_provable_blame_counts_more_than_the_leavers_word(site: Site) -> None:
    alice, victim, bad = site.signers
    ceremony = site.started()
    for signer in (alice, victim):
        signer.begin(ceremony)
    bad.send(ceremony, 0, b"no hello")
    alice.abort(ceremony, 1, code="bad_share", message="cannot go on", blamed=victim.place(ceremony))
    stored = fresh(ceremony.request)
    assert stored.failed_node_ids == [bad.node_id]
    assert stored.state_reason.startswith("Holder C broke the protocol: ")


def test_silent_holders_are_named_after_the_round_timeout(site: Site, settings: Settings) -> None:
    ceremony = site.started()
    site.signers[0].begin(ceremony)
    drive(ceremony)
    assert fresh(ceremony.request).state == "Running"
    settings.QUORATE = {**settings.QUORATE, "ROUND_TIMEOUT_S": 0}
    drive(ceremony)
    stored = fresh(ceremony.request)
    assert stored.state == "Failed"
    assert stored.state_reason == "timed out in round 1 of 4 waiting for Holder B, Holder C"
    assert stored.failed_node_ids == [signer.node_id for signer in site.signers[1:]]


def test_proof_counts_more_than_silence(site: Site) -> None:
    alice, bob, _ = site.signers
    ceremony = site.started()
    alice.begin(ceremony)
    bob.send(ceremony, 0, b"no hello")
    Ceremony.objects.update(deadline=ceremony.started_at)
    drive(ceremony)
    stored = fresh(ceremony.request)
    assert stored.failed_node_ids == [bob.node_id]
    assert stored.state_reason.startswith("Holder B broke the protocol: ")


def test_r25_a_certificate_that_nobody_hands_in_is_made_from_the_messages(
    site: Site, settings: Settings
) -> None:
    """All members have activated and then fallen silent: their key is not called failed."""
    ceremony = site.started()
    site.run(ceremony)
    assert not ShareSet.objects.exists()
    settings.QUORATE = settings.QUORATE | {"ROUND_TIMEOUT_S": 0}
    # Storing the certificate rings for the driver, which then goes on at once.
    assert drive(ceremony)
    assert fresh(ceremony.request).state == "Succeeded"
    certificate = site.signers[0].certificate
    assert certificate is not None
    assert bytes(ShareSet.objects.get().certificate) == certificate.encode()


def test_r25_nobody_can_fail_a_ceremony_whose_certificate_is_here(site: Site) -> None:
    ceremony = site.started()
    site.run(ceremony)
    # Every message is in: whoever leaves now comes too late, also before the certificate itself arrives.
    site.signers[2].abort(ceremony, 3, code="operator", message="too late")
    decisions.refuse(
        node=site.signers[1].row,
        value={"digest": ceremony.request.digest, "code": "late", "message": "too late"},
    )
    drive(ceremony)
    site.signers[0].hand_in(ceremony)
    assert not ceremonies.fail(ceremony, actor=site.actor, reason="too late", blamed=[])
    Ceremony.objects.update(deadline=ceremony.started_at)
    assert fresh(ceremony.request).state == "Running"
    drive(ceremony)
    assert fresh(ceremony.request).state == "Succeeded"


def test_r15_deadline_ends_a_ceremony_that_still_moves(site: Site) -> None:
    ceremony = site.started()
    Ceremony.objects.update(deadline=ceremony.started_at)
    site.signers[0].begin(ceremony)
    drive(ceremony)
    assert fresh(ceremony.request).state_reason.startswith("reached its deadline in round 1 of 4")


def test_spoilt_rows_end_the_request_at_the_deadline(site: Site) -> None:
    ceremony = site.started()
    TssRequest.objects.update(manifest="{}")
    Ceremony.objects.update(deadline=ceremony.started_at)
    for attempt in range(1, ceremonies._MAX_TRIES + 1):
        Job.objects.filter(kind=JobKind.DRIVE_CEREMONY).update(due_at=ceremony.started_at)
        if attempt < ceremonies._MAX_TRIES:
            with pytest.raises(WireError):
                drive(ceremony)
            assert fresh(ceremony.request).state == "Running"
    drive(ceremony)
    stored = fresh(ceremony.request)
    assert (stored.state, stored.failed_node_ids) == ("Failed", [])
    assert stored.state_reason.startswith("internal error of the coordinator")


def test_spoilt_request_still_expires(site: Site) -> None:
    request = site.approved()
    TssRequest.objects.update(manifest="{}", expires_at=request.created_at)
    run_job(JobKind.START_CEREMONY, request.id)
    assert fresh(request).state == "Expired"


def test_r24_one_ceremony_of_a_vault_at_a_time(site: Site) -> None:
    second_group = site.new_group()
    first = site.started()
    waiting = site.approved(second_group)
    run_job(JobKind.START_CEREMONY, waiting.id)
    assert fresh(waiting).state == "Approved"
    assert Ceremony.objects.count() == 1
    # The end of the first one rings the other, which then starts.
    site.signers[0].abort(first, 0, code="operator", message="stopped")
    run_job(JobKind.START_CEREMONY, waiting.id)
    assert fresh(waiting).state == "Running"


def test_request_whose_intent_no_longer_holds_is_unsatisfiable(site: Site) -> None:
    second_group = site.new_group()
    first = site.started()
    waiting = site.approved(second_group)
    site.run(first)
    site.signers[0].hand_in(first)
    drive(first)
    stored = fresh(waiting)
    assert (stored.state, stored.state_reason) == ("Unsatisfiable", "the vault has root keys meanwhile")


def test_new_request_after_a_failure(site: Site) -> None:
    first = site.started()
    site.signers[0].abort(first, 0, code="restarted", message="the node was restarted")
    second = site.started()
    assert second.session_id != first.session_id
    site.run(second)
    site.signers[2].hand_in(second)
    drive(second)
    assert fresh(second.request).state == "Succeeded"


def test_machine_restored_between_rounds_goes_on(site: Site) -> None:
    """R23: the same bytes again; the mailbox takes them as the same message."""
    ceremony = site.started()
    for signer in site.signers:
        signer.begin(ceremony)
    alice = site.signers[0]
    state = alice.machine.to_bytes()
    alice.receive(ceremony)
    alice.machine = Dealing.from_bytes(context_of(ceremony), state, alice.sign)
    alice.receive(ceremony)
    for signer in site.signers[1:]:
        signer.receive(ceremony)
    while any(signer.certificate is None for signer in site.signers):
        for signer in site.signers:
            signer.receive(ceremony)
    assert fresh(ceremony.request).state == "Running"
