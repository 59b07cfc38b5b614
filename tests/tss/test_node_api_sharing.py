"""The node API when shares of a key are given on: documents, certificates, statements, evidence, decrees."""

import pytest

from tests.tss.nodes import Signer, Site, fresh, run_job
from tests.tss.syncing import base64, lists, sync
from tss import groups, services
from tss.models import JobKind, ShareSet
from wire.abort import Abort
from wire.envelope import ABORT

pytestmark = [pytest.mark.embedded, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def site(transactional_db: None) -> Site:
    return Site.make()


def test_whole_reshare_through_the_node_api(site: Site) -> None:
    """Who deals is told, with the certificates that lead there; what is erased afterwards is taken."""
    site.succeeded()
    side = site.new_group(type="SigningGroup", signers=site.join("Desk", "Server"))
    desk = site.others[0]
    request = site.request(side, type="KeyGenFromKeyGroup", source_group_id=str(site.group.id))
    [offered] = sync(desk)["requests"]
    documents = offered["documents"]
    assert documents["source_manifest"] == site.group.manifest == request.source_manifest
    key_gen = ShareSet.objects.get()
    assert documents["certificates"] == [base64(bytes(key_gen.certificate))]
    ceremony = site.start(site.approve(request))
    dealer = site.signer(ceremony.dealers[0])
    for signer in (desk, dealer):
        [start] = sync(signer, known=[request.digest], epochs={str(site.group.id): 1})["starts"]
        assert (start["session_id"], start["dealers"]) == (ceremony.session_id, ceremony.dealers)
    site.run(ceremony)
    own = {"session_id": ceremony.session_id, "certificate": base64(desk_certificate(desk))}
    sync(desk, certificates=[own])
    run_job(JobKind.DRIVE_CEREMONY, ceremony.session_id)
    assert fresh(request).state == "Succeeded"

    site.succeeded(side, type="Refresh")
    ceremony.request.refresh_from_db()
    statement = desk.statement(ceremony, "erased")
    epochs = {str(side.id): 2}
    assert lists(sync(desk, epochs=epochs, statements=[statement, {"v": 1}])) == {
        "errors": [{"item": "statements[1]", "code": "malformed", "message": "statement.state: is missing"}]
    }
    assert ceremony.statements.count() == 1


def desk_certificate(signer: Signer) -> bytes:
    assert signer.certificate is not None
    return signer.certificate.encode()


def test_node_that_is_behind_is_answered_at_once_with_its_certificate(site: Site) -> None:
    site.succeeded()
    site.succeeded(type="Refresh")
    alice, group_id = site.signers[0], str(site.group.id)
    current = ShareSet.objects.get(active=True)
    answer = sync(alice, epochs={group_id: 1}, wait_ms=20_000)
    first = ShareSet.objects.get(active=False)
    assert answer["certificates"] == [base64(bytes(each.certificate)) for each in (first, current)]
    assert lists(sync(alice, epochs={group_id: 2})) == {}


def test_evidence_comes_before_the_messages_of_the_same_call(site: Site) -> None:
    """Whoever leaves because of it hands both in at once."""
    ceremony = site.started()
    alice, bob, _ = site.signers
    first, second = (base64(bob.envelope(ceremony, 1, text)) for text in (b"one", b"two"))
    proof = {"session_id": ceremony.session_id, "kind": "equivocation", "first": first, "second": second}
    body = Abort(code="equivocation", message="two messages", blamed=2).encode()
    leaving = base64(alice.envelope(ceremony, 1, body, type=ABORT))
    answer = sync(alice, known=[ceremony.request.digest], messages=[leaving], evidence=[proof])
    assert answer["errors"] == []
    assert ceremony.evidence.get().reporter_id == alice.node_id
    stored = fresh(ceremony.request)
    assert (stored.state, stored.failed_node_ids) == ("Failed", [bob.node_id])
    [evidence] = ceremony.request.events.filter(kind="evidence")
    assert evidence.version < stored.version


def test_told_only_holder_sees_the_request_and_its_end(site: Site) -> None:
    """R17: the holder that is being replaced has no vote, and is told."""
    site.succeeded()
    recovery = site.new_group(type="RecoveryGroup", signers=site.join("E", "F"))
    site.succeeded(recovery, type="KeyGenFromKeyGroup", source_group_id=str(site.group.id))
    lost, [spare] = site.signers[2], site.join("Spare")
    holder = site.group.holders.get(node=lost.node_id)
    groups.replace_holder(actor=site.actor, holder=holder, new_tss_node_id=spare.node_id)
    request = site.request(type="Recovery", source_group_id=str(recovery.id))
    epochs = {str(site.group.id): 1}
    [offered] = sync(lost, epochs=epochs)["requests"]
    assert offered["documents"]["intent"] == request.intent
    services.cancel_request(actor=site.actor, request=request)
    closed = sync(lost, epochs=epochs, known=[request.digest])["closed"]
    assert closed == [{"digest": request.digest, "state": "Cancelled"}]


def test_decrees_of_the_vault_are_told_oldest_first(site: Site) -> None:
    """R12: a node that was away learns which policy governs, and who approved it."""
    site.succeeded()
    decreed = []
    for grace in (60_000, 120_000):
        request = site.approved(type="PolicyChange", policy={"erase_grace": grace})
        site.start_job(request)
        assert fresh(request).state == "Succeeded"
        decreed.append(request)
    site.request(type="Refresh")
    [offered] = sync(site.signers[0], epochs={str(site.group.id): 1})["requests"]
    decrees = offered["documents"]["decrees"]
    assert [each["intent"] for each in decrees] == [request.intent for request in decreed]
    assert [each["new_policy"] for each in decrees] == [request.new_policy for request in decreed]
    assert all(len(each["decisions"]) >= 2 and each["certificate"] == "" for each in decrees)
    assert offered["documents"]["policy"] == decreed[-1].new_policy
