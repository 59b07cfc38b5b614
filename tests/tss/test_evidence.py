"""Evidence that nodes hand in: kept when it cannot be honest, refused when it can (R22, N02, N03)."""

from typing import Any

import pytest

from audit.models import AuditRow
from tests.tss.nodes import Signer, Site, fresh
from tss import evidence
from tss.errors import ItemRefused
from tss.models import Ceremony, Evidence, RequestEvent
from tss.proofs import to_base64
from wire.envelope import ABORT, EnvelopeError
from wire.fields import WireError

pytestmark = pytest.mark.embedded


@pytest.fixture
def ceremony(site: Site) -> Ceremony:
    return site.started()


def item(ceremony: Ceremony, kind: str, first: bytes, second: bytes) -> dict[str, str]:
    pair = {"first": to_base64(first), "second": to_base64(second)}
    return {"session_id": ceremony.session_id, "kind": kind, **pair}


def refused(signer: Signer, value: dict[str, str]) -> str:
    with pytest.raises(ItemRefused) as caught:
        evidence.accept(node=signer.row, value=value)
    assert not Evidence.objects.exists()
    return caught.value.code


@pytest.mark.parametrize("round", range(4))
def test_n03_two_messages_of_one_sender_for_one_slot(site: Site, ceremony: Ceremony, round: int) -> None:
    """The reporter was shown one, another node the other; the mailbox has never seen both."""
    alice, bob, _ = site.signers
    one = bob.envelope(ceremony, round, b"for Alice")
    two = bob.envelope(ceremony, round, b"for Carol")
    for _ in range(2):
        evidence.accept(node=alice.row, value=item(ceremony, "equivocation", one, two))
    row = Evidence.objects.get()
    assert (row.kind, row.sender, row.round, row.reporter_id) == ("equivocation", 2, round, alice.node_id)
    assert (bytes(row.first), bytes(row.second)) == (one, two)
    events = RequestEvent.objects.filter(request=ceremony.request, kind="evidence")
    assert [event.detail["sender"] for event in events] == ["Holder B"]


@pytest.mark.parametrize("round", range(1, 4))
def test_n03_two_participants_heard_different_rounds(site: Site, ceremony: Ceremony, round: int) -> None:
    alice, bob, carol = site.signers
    heard = bob.envelope(ceremony, round, bytes(32) + b"a body")
    other = carol.envelope(ceremony, round, b"\x01" * 32 + b"a body")
    evidence.accept(node=alice.row, value=item(ceremony, "split_view", heard, other))
    assert Evidence.objects.get().kind == "split_view"


def test_n02_participant_that_was_shown_another_roster_or_digest(site: Site, ceremony: Ceremony) -> None:
    """Its message is of a session that was never opened here, and signed with its own key."""
    alice, bob, _ = site.signers
    own = alice.envelope(ceremony, 0, b"hello")
    elsewhere = bob.envelope(ceremony, 0, b"hello", session_id=b"\x07" * 32, sender=3)
    evidence.accept(node=alice.row, value=item(ceremony, "split_view", own, elsewhere))
    assert Evidence.objects.get().sender == 1


def test_n05_message_of_another_ceremony_is_no_evidence(site: Site, ceremony: Ceremony) -> None:
    alice, bob, _ = site.signers
    alice.abort(ceremony, 0, code="restarted", message="the node was restarted")
    second = site.started()
    own, replayed = alice.envelope(second, 0, b"hello"), bob.envelope(ceremony, 0, b"hello")
    assert refused(alice, item(second, "split_view", own, replayed)) == "no_evidence"


def test_what_an_honest_sender_can_have_signed_is_no_evidence(site: Site, ceremony: Ceremony) -> None:
    alice, bob, carol = site.signers
    stranger = Signer("Mallory", index=2)

    def made(signer: Signer, round: int, body: bytes, **changes: Any) -> bytes:
        return signer.envelope(ceremony, round, body, **changes)

    echo = bytes(32)
    pairs = [
        ("equivocation", made(bob, 1, b"x"), made(bob, 1, b"x")),
        ("equivocation", made(bob, 1, b"x"), made(bob, 2, b"y")),
        ("equivocation", made(bob, 1, b"x"), made(bob, 1, b"y", type=ABORT)),
        ("equivocation", made(bob, 1, b"x"), made(carol, 1, b"y")),
        ("equivocation", made(bob, 1, b"x"), made(stranger, 1, b"y")),
        ("equivocation", made(bob, 1, b"x"), made(bob, 1, b"y", session_id=b"\x07" * 32)),
        ("equivocation", made(bob, 1, b"x", session_id=b"\x07" * 32), made(bob, 1, b"y")),
        ("equivocation", made(bob, 1, b"x", sender=4), made(bob, 1, b"y", sender=4)),
        ("split_view", made(bob, 1, echo + b"x"), made(carol, 1, echo + b"y")),
        ("split_view", made(bob, 1, echo + b"x"), made(bob, 1, b"\x01" * 32)),
        ("split_view", made(bob, 1, echo + b"x"), made(carol, 2, b"\x01" * 32)),
        ("split_view", made(bob, 1, echo), made(stranger, 1, echo, session_id=b"\x07" * 32)),
    ]
    for kind, first, second in pairs:
        assert refused(alice, item(ceremony, kind, first, second)) == "no_evidence"
    # Who makes such things up leaves one row a minute.
    assert AuditRow.objects.filter(act="denied").count() == 1


def test_only_participants_report(site: Site, ceremony: Ceremony) -> None:
    [outsider] = site.join("Outsider")
    bob = site.signers[1]
    pair = bob.envelope(ceremony, 0, b"one"), bob.envelope(ceremony, 0, b"two")
    assert refused(outsider, item(ceremony, "equivocation", *pair)) == "unknown_session"


def test_malformed_evidence(site: Site, ceremony: Ceremony) -> None:
    alice = site.signers[0]
    good = alice.envelope(ceremony, 0, b"one")
    with pytest.raises(WireError):
        evidence.accept(node=alice.row, value=item(ceremony, "gossip", good, good))
    with pytest.raises(EnvelopeError):
        evidence.accept(node=alice.row, value=item(ceremony, "equivocation", good, b"short"))
    with pytest.raises(WireError):
        evidence.accept(node=alice.row, value={**item(ceremony, "equivocation", good, good), "more": 1})


def test_evidence_after_the_end_is_kept_too(site: Site, ceremony: Ceremony) -> None:
    alice, bob, _ = site.signers
    alice.abort(ceremony, 0, code="equivocation", message="two messages")
    pair = bob.envelope(ceremony, 0, b"one"), bob.envelope(ceremony, 0, b"two")
    evidence.accept(node=alice.row, value=item(ceremony, "equivocation", *pair))
    assert fresh(ceremony.request).state == "Failed"
    assert Evidence.objects.count() == 1


def test_n03_rounds_that_the_protocol_does_not_have_fill_no_table(site: Site, ceremony: Ceremony) -> None:
    """Anybody can sign two messages of its own for each round that an envelope can name."""
    alice = site.signers[0]
    for round in (4, 255):
        pair = alice.envelope(ceremony, round, b"one"), alice.envelope(ceremony, round, b"two")
        assert refused(alice, item(ceremony, "equivocation", *pair)) == "no_evidence"
