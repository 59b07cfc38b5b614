"""The mailbox stores only what its sender signed, once a slot (R22).

The numbers in the names are those of docs/attacks.md: 1 wrong
signature, 2 signer not in the roster, 3 altered header, 6 replay, 7 replay from elsewhere, 8 reflected,
9 not a member, 10 two messages in one slot, 11 reorder and duplicate, 14 oversize, 15 not the one encoding.
"""

from typing import Any

import pytest

from audit.models import AuditRow
from tests.tss.nodes import Signer, Site, fresh, run_job
from tss import ceremonies, mailbox, rounds
from tss.errors import ItemRefused
from tss.models import Ceremony, Evidence, Job, JobKind, Message
from wire.envelope import ABORT, MAX_BODY, MAX_ENVELOPE, Envelope, EnvelopeError

pytestmark = pytest.mark.embedded


@pytest.fixture
def ceremony(site: Site) -> Ceremony:
    return site.started()


def refused(signer: Signer, data: bytes) -> str:
    before = Message.objects.count()
    with pytest.raises((ItemRefused, EnvelopeError)) as caught:
        mailbox.store(node=signer.row, data=data)
    assert Message.objects.count() == before
    code: str = caught.value.code  # type: ignore[attr-defined]
    return code


def altered(data: bytes, **changes: Any) -> bytes:
    """The envelope with changed fields under the old signature."""
    from dataclasses import replace

    return replace(Envelope.parse(data), **changes).encode()


def test_1_wrong_signature(site: Site, ceremony: Ceremony) -> None:
    alice = site.signers[0]
    mallory = Signer("Mallory", index=1)
    assert refused(alice, mallory.envelope(ceremony, 0, b"hello")) == "bad_signature"
    assert refused(alice, altered(alice.envelope(ceremony, 0, b"hello"), body=b"other")) == "bad_signature"


def test_2_9_signer_outside_the_roster(site: Site, ceremony: Ceremony) -> None:
    outsider = Signer("Outsider", index=1)
    outsider.enrol(site.organisation)
    assert refused(outsider, outsider.envelope(ceremony, 0, b"hello")) == "unknown_session"


def test_3_altered_header_field(site: Site, ceremony: Ceremony) -> None:
    alice = site.signers[0]
    data = alice.envelope(ceremony, 0, b"hello")
    assert refused(alice, altered(data, type=ABORT)) == "bad_signature"
    assert refused(alice, altered(data, round=1)) == "bad_signature"
    assert refused(alice, altered(data, recipient=2)) == "bad_signature"
    assert refused(alice, altered(data, protocol="keygen/2")) == "bad_signature"
    assert refused(alice, altered(data, sender=2)) == "foreign_sender"
    assert refused(alice, altered(data, session_id=bytes(32))) == "unknown_session"


def test_6_11_repeat_is_idempotent(site: Site, ceremony: Ceremony) -> None:
    for _ in range(3):
        for signer in site.signers:
            signer.send(ceremony, 0, b"hello")
    assert Message.objects.count() == 3
    assert Ceremony.objects.get().round == 1
    assert not Evidence.objects.exists()


def test_6_second_signature_of_the_same_content_is_no_evidence(site: Site, ceremony: Ceremony) -> None:
    """Ed25519 signing is deterministic by convention only: the content counts, not the signature."""
    import nacl.bindings as sodium

    alice = site.signers[0]
    first = alice.envelope(ceremony, 0, b"hello")
    mailbox.store(node=alice.row, data=first)
    # Sign again with another nonce: R = rB, S = r + k*a.
    envelope = Envelope.parse(first)
    secret = sodium.crypto_sign_ed25519_sk_to_curve25519(alice.signing._signing_key)
    scalar = sodium.crypto_core_ed25519_scalar_reduce(secret + bytes(32))
    nonce = sodium.crypto_core_ed25519_scalar_reduce(b"\x07" * 64)
    point = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
    hashed = sodium.crypto_hash_sha512(point + bytes(alice.signing.verify_key) + envelope.signed_bytes())
    challenge = sodium.crypto_core_ed25519_scalar_reduce(hashed)
    product = sodium.crypto_core_ed25519_scalar_mul(challenge, scalar)
    signature = point + sodium.crypto_core_ed25519_scalar_add(nonce, product)
    again = altered(first, signature=signature)
    assert again != first
    assert Envelope.parse(again).verify(bytes(alice.signing.verify_key))
    mailbox.store(node=alice.row, data=again)
    assert Message.objects.count() == 1
    assert not Evidence.objects.exists()


def test_7_message_of_another_session(site: Site, ceremony: Ceremony) -> None:
    alice = site.signers[0]
    old = alice.envelope(ceremony, 0, b"hello")
    Ceremony.objects.update(state="failed")
    assert refused(alice, old) == "closed"
    assert refused(alice, alice.envelope(ceremony, 0, b"hello", session_id=b"\x01" * 32)) == "unknown_session"


def test_7_message_of_another_protocol_or_round(site: Site, ceremony: Ceremony) -> None:
    alice = site.signers[0]
    assert refused(alice, alice.envelope(ceremony, 0, b"x", protocol="reshare/1")) == "wrong_protocol"
    assert refused(alice, alice.envelope(ceremony, ceremony.rounds, b"x")) == "wrong_round"
    assert refused(alice, alice.envelope(ceremony, 0, b"x", recipient=2)) == "wrong_recipient"


def test_n04_message_of_another_sender_is_dropped_and_put_down_to_who_handed_it_in(
    site: Site, ceremony: Ceremony
) -> None:
    alice, bob = site.signers[:2]
    assert refused(bob, alice.envelope(ceremony, 0, b"hello")) == "foreign_sender"
    assert refused(bob, bob.envelope(ceremony, 0, b"hello", sender=1)) == "foreign_sender"
    row = AuditRow.objects.get(act="denied")
    assert (row.actor, row.detail) == (
        f"node:{bob.node_id}",
        '{"reason":"handed in a message of participant 1"}',
    )
    alice.send(ceremony, 0, b"hello")


def test_8_reflected_message(site: Site, ceremony: Ceremony) -> None:
    """Somebody else's message handed in by another node, and one addressed to its own sender."""
    alice, bob = site.signers[:2]
    assert refused(bob, alice.envelope(ceremony, 0, b"hello")) == "foreign_sender"
    assert refused(alice, alice.envelope(ceremony, 0, b"hello", recipient=1)) == "malformed"


def test_10_two_messages_in_one_slot_blame_the_sender(site: Site, ceremony: Ceremony) -> None:
    bob = site.signers[1]
    bob.send(ceremony, 0, b"for Alice")
    assert refused(bob, bob.envelope(ceremony, 0, b"for Carol")) == "equivocation"
    stored = fresh(ceremony.request)
    assert (stored.state, stored.failed_node_ids) == ("Failed", [bob.node_id])
    assert stored.state_reason == "Holder B signed two different messages for round 1"
    evidence = Evidence.objects.get()
    first, second = (Envelope.parse(bytes(data)) for data in (evidence.first, evidence.second))
    # Both halves convince somebody who has only the manifest.
    assert first.slot == second.slot
    assert first.body != second.body
    key = bytes(bob.signing.verify_key)
    assert first.verify(key)
    assert second.verify(key)
    # The slot keeps its first value.
    assert Envelope.parse(bytes(Message.objects.get().envelope)).body == b"for Alice"


def test_11_order_of_arrival_does_not_matter(site: Site, ceremony: Ceremony) -> None:
    for signer in reversed(site.signers):
        assert Ceremony.objects.get().round == 0
        signer.send(ceremony, 0, b"hello")
    assert Ceremony.objects.get().round == 1


def test_14_oversize(site: Site, ceremony: Ceremony) -> None:
    alice = site.signers[0]
    alice.send(ceremony, 0, bytes(MAX_BODY))
    assert refused(alice, bytes(MAX_ENVELOPE + 1)) == "too_large"


def test_15_anything_but_the_one_encoding(site: Site, ceremony: Ceremony) -> None:
    alice = site.signers[0]
    data = alice.envelope(ceremony, 0, b"hello")
    assert refused(alice, b"") == "malformed"
    assert refused(alice, data[:-1]) == "malformed"
    assert refused(alice, data + b"\x00") == "malformed"
    assert refused(alice, b"\x02" + data[1:]) == "unknown_version"
    assert refused(alice, data[:1] + b"\x07" + data[2:]) == "unknown_type"


def test_roster_is_the_manifest_and_not_the_rows(site: Site, ceremony: Ceremony) -> None:
    """A node put into the group's rows behind the manifest's back stays outside."""
    outsider = Signer("Outsider", index=3)
    outsider.enrol(site.organisation)
    site.group.holders.filter(index=3).update(node=outsider.row)
    assert refused(outsider, outsider.envelope(ceremony, 0, b"hello")) == "unknown_session"


def test_abort_ends_the_ceremony_in_the_leavers_words(site: Site, ceremony: Ceremony) -> None:
    alice, bob = site.signers[:2]
    alice.abort(ceremony, 1, code="bad_notes", message="an unknown decision", blamed=bob.place(ceremony))
    stored = fresh(ceremony.request)
    assert (stored.state, stored.failed_node_ids) == ("Failed", [bob.node_id])
    assert stored.state_reason == (
        "Holder A left in round 2 of 4: an unknown decision (bad_notes), which blames Holder B"
    )


def test_abort_that_blames_nobody(site: Site, ceremony: Ceremony) -> None:
    site.signers[0].abort(ceremony, 0, code="restarted", message="the node was restarted")
    stored = fresh(ceremony.request)
    assert (stored.state, stored.failed_node_ids) == ("Failed", [])
    assert stored.state_reason == "Holder A left in round 1 of 4: the node was restarted (restarted)"


def test_t01_abort_whose_consequence_was_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site is killed between storing an abort and failing the request: a repeat or the driver goes on."""
    for recover in ("repeat", "driver"):
        ceremony = site.started(site.new_group())
        alice, bob = site.signers[:2]
        with monkeypatch.context() as patch:
            patch.setattr(ceremonies, "fail", _killed)
            with pytest.raises(SystemExit):
                alice.abort(ceremony, 0, code="bad_notes", message="unknown", blamed=bob.place(ceremony))
        assert fresh(ceremony.request).state == "Running"
        if recover == "repeat":
            alice.abort(ceremony, 0, code="bad_notes", message="unknown", blamed=bob.place(ceremony))
        else:
            Job.objects.update(due_at=ceremony.started_at)
            run_job(JobKind.DRIVE_CEREMONY, ceremony.session_id)
        stored = fresh(ceremony.request)
        assert (stored.state, stored.failed_node_ids) == ("Failed", [bob.node_id]), recover


def test_t01_last_message_of_a_round_that_was_not_counted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ceremony = site.started()
    *others, last = site.signers
    for signer in others:
        signer.send(ceremony, 0, b"hello")
    with monkeypatch.context() as patch:
        patch.setattr(rounds, "advance", _killed)
        with pytest.raises(SystemExit):
            last.send(ceremony, 0, b"hello")
    assert Ceremony.objects.get().round == 0
    # Its call was not answered, so the node sends the same bytes again.
    last.send(ceremony, 0, b"hello")
    assert Ceremony.objects.get().round == 1


def _killed(*_: Any, **__: Any) -> None:
    raise SystemExit


def test_malformed_abort_blames_its_sender(site: Site, ceremony: Ceremony) -> None:
    alice = site.signers[0]
    alice.send(ceremony, 0, b"not canonical JSON", type=ABORT)
    assert fresh(ceremony.request).failed_node_ids == [alice.node_id]
