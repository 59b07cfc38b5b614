"""A bad share for one victim only: anyone can tell who lied, and nothing else is revealed (R22; tests 23
to 25).
"""

from dataclasses import replace

import pytest

from mpc.curves import curve_named
from mpc.dealing import adjudicate, find_culprit
from mpc.dealing_checks import sealing_context
from mpc.dealing_messages import Complaint, Prepared, parse_deal, parse_hello, parse_prepared, session_key_for
from mpc.errors import DecryptionFailed, FaultyParticipant, InvalidScalar, ProtocolAbort
from mpc.sealing import public_key, seal
from tests.mpc.ceremony import Ceremony, byte_order, make_context
from tests.mpc.cheating import change_deal, dealt_shares, private_session_key, replace_sealed, reseal

DEALER, VICTIM = 2, 3


def dealt(threshold: int = 2, size: int = 4) -> Ceremony:
    return Ceremony(make_context(threshold, size)).run_until(1)


def complaint_of(ceremony: Ceremony, index: int) -> Complaint:
    answer = parse_prepared(ceremony.context, index, ceremony.sent[2][index])
    assert isinstance(answer, Complaint)
    return answer


def good_plaintext(ceremony: Ceremony) -> bytes:
    """The shares that the dealer really owes the victim, as the victim's own session key shows them."""
    twin = Ceremony(ceremony.context)
    twin.sent = {0: dict(ceremony.sent[0]), 1: dict(ceremony.sent[1])}
    return b"".join(dealt_shares(twin, DEALER, VICTIM, private_session_key(ceremony, VICTIM, DEALER)))


def assert_verdict(ceremony: Ceremony, guilty: int, code: str) -> None:
    """All participants, the accused and the accuser included, and the keeper of the mailbox agree."""
    for receiver in ceremony.context.indices:
        with pytest.raises(FaultyParticipant) as caught:
            ceremony.deliver(receiver, 2)
        assert (caught.value.index, caught.value.code) == (guilty, code)
        assert ceremony.machines[receiver].round == 2
    culprit = find_culprit(ceremony.context, ceremony.sent)
    assert culprit is not None
    assert (culprit.index, culprit.code) == (guilty, code)
    assert not ceremony.certificates


def wrong_plaintexts(ceremony: Ceremony, position: int) -> dict[str, bytes]:
    good = good_plaintext(ceremony)
    curve = curve_named(ceremony.context.curves[position])
    order = byte_order(curve)
    share = good[32 * position : 32 * position + 32]
    value = int.from_bytes(share, order)
    bad = {
        "another value": curve.scalar_add(share, curve.encode_int(1)),
        "zero": bytes(32),
        "the order": curve.order.to_bytes(32, order),
        "the largest": b"\xff" * 32,
    }
    if value + curve.order < 2**256:
        bad["the order more"] = (value + curve.order).to_bytes(32, order)
    return {name: good[: 32 * position] + each + good[32 * position + 32 :] for name, each in bad.items()}


@pytest.mark.parametrize("position", [0, 1], ids=["secp256k1", "ed25519"])
@pytest.mark.parametrize("kind", ["another value", "zero", "the order", "the largest", "the order more"])
def test_23_25_a_bad_share_for_one_victim_blames_its_dealer(position: int, kind: str) -> None:
    ceremony = dealt()
    plaintexts = wrong_plaintexts(ceremony, position)
    if kind not in plaintexts:
        # secp256k1 leaves no room for share + order; the order itself stands for it.
        assert position == 0
        kind = "the order"
    reseal(ceremony, DEALER, VICTIM, plaintexts[kind])
    ceremony.run_round(1)
    assert set(ceremony.shares) == set(ceremony.context.others(VICTIM)), "the victim must not prepare"
    complaint = complaint_of(ceremony, VICTIM)
    assert complaint.accused == DEALER
    assert_verdict(ceremony, DEALER, "bad_share")


def test_23_the_harness_itself_seals_good_shares() -> None:
    ceremony = dealt()
    reseal(ceremony, DEALER, VICTIM, good_plaintext(ceremony))
    ceremony.run_round(1).run_round(2).run_round(3)
    assert len(ceremony.certificates) == 4


@pytest.mark.parametrize("junk", [bytes(112), b"\x09" + bytes(111)])
def test_23_a_share_that_does_not_open_blames_its_dealer(junk: bytes) -> None:
    ceremony = dealt()
    change_deal(ceremony, DEALER, lambda deal: replace_sealed(ceremony, deal, DEALER, VICTIM, junk))
    ceremony.run_round(1)
    assert_verdict(ceremony, DEALER, "bad_share")


def test_23_shares_swapped_between_recipients_blame_their_dealer() -> None:
    ceremony = dealt()
    at = ceremony.context.other_receivers(DEALER).index(VICTIM)
    change_deal(
        ceremony,
        DEALER,
        lambda deal: replace_sealed(ceremony, deal, DEALER, VICTIM, deal.sealed_shares[at - 1]),
    )
    ceremony.run_round(1)
    assert_verdict(ceremony, DEALER, "bad_share")


def test_23_two_errors_that_cancel_in_the_sum_harm_nobody() -> None:
    # The sum is what a holder keeps: only the sum is checked unless it is wrong.
    ceremony = dealt()
    for dealer, shift in ((1, 1), (DEALER, -1)):
        shares = dealt_shares(ceremony, dealer, VICTIM, private_session_key(ceremony, VICTIM, dealer))
        curves = [curve_named(name) for name in ceremony.context.curves]
        moved = [
            curve.scalar_add(share, curve.encode_int(shift))
            for curve, share in zip(curves, shares, strict=True)
        ]
        reseal(ceremony, dealer, VICTIM, b"".join(moved))
    ceremony.run_round(1).run_round(2).run_round(3)
    ceremony.shares[VICTIM].verify()
    ceremony.certificates[VICTIM].verify()


def test_4_a_sealed_share_is_bound_to_session_dealer_and_recipient() -> None:
    ssid = bytes(32)
    contexts = {sealing_context(ssid, *pair) for pair in ((1, 2), (2, 1), (1, 3), (3, 2))}
    assert len(contexts | {sealing_context(b"\x01" * 32, 1, 2)}) == 5


def test_4_a_message_sealed_for_another_dealer_s_slot_does_not_open() -> None:
    # A dealer that seals the right shares, to the right key, under another recipient's context.
    ceremony = dealt()
    plaintext = good_plaintext(ceremony)
    hello = parse_hello(ceremony.context, VICTIM, ceremony.sent[0][VICTIM])
    key = session_key_for(ceremony.context, hello, VICTIM, DEALER)
    deal = parse_deal(ceremony.context, DEALER, ceremony.sent[1][DEALER])
    sealed = seal(plaintext, key, sealing_context(deal.echo, DEALER, 1), b"\x05" * 32)
    change_deal(ceremony, DEALER, lambda deal: replace_sealed(ceremony, deal, DEALER, VICTIM, sealed))
    ceremony.run_round(1)
    assert_verdict(ceremony, DEALER, "bad_share")


def forged_complaint(ceremony: Ceremony, accused: int, key: bytes) -> None:
    own = parse_prepared(ceremony.context, VICTIM, ceremony.sent[2][VICTIM])
    ceremony.forge(2, VICTIM, Complaint(own.echo, accused, key).encode())


def test_24_a_false_complaint_blames_the_accuser() -> None:
    ceremony = dealt()
    key = private_session_key(ceremony, VICTIM, DEALER)
    ceremony.run_round(1)
    forged_complaint(ceremony, DEALER, key)
    assert_verdict(ceremony, VICTIM, "false_complaint")


def test_24_a_complaint_with_another_key_blames_the_accuser() -> None:
    ceremony = dealt()
    other = private_session_key(ceremony, VICTIM, 1)
    reseal(ceremony, DEALER, VICTIM, bytes(64))
    ceremony.run_round(1)
    for key in (other, bytes(32)):
        forged_complaint(ceremony, DEALER, key)
        assert_verdict(ceremony, VICTIM, "false_complaint")


@pytest.mark.parametrize("accused", [VICTIM, 0, 5])
def test_24_a_complaint_must_name_another_participant(accused: int) -> None:
    ceremony = dealt().run_round(1)
    forged_complaint(ceremony, accused, bytes(32))
    with pytest.raises(FaultyParticipant) as caught:
        ceremony.deliver(1, 2)
    assert (caught.value.index, caught.value.code) == (VICTIM, "malformed_message")


def test_r22_a_complaint_opens_the_one_message_and_no_other() -> None:
    ceremony = dealt()
    reseal(ceremony, DEALER, VICTIM, bytes(64))
    ceremony.run_round(1)
    key = complaint_of(ceremony, VICTIM).revealed_key
    context = ceremony.context
    hello = parse_hello(context, VICTIM, ceremony.sent[0][VICTIM])
    assert public_key(key) == session_key_for(context, hello, VICTIM, DEALER)
    with pytest.raises(InvalidScalar):
        dealt_shares(ceremony, DEALER, VICTIM, key)
    for dealer in context.indices:
        for recipient in context.others(dealer):
            if (dealer, recipient) != (DEALER, VICTIM):
                with pytest.raises(DecryptionFailed):
                    dealt_shares(ceremony, dealer, recipient, key)


def test_the_public_judgement_needs_no_secret() -> None:
    ceremony = dealt()
    reseal(ceremony, DEALER, VICTIM, bytes(64))
    ceremony.run_round(1)
    complaint = complaint_of(ceremony, VICTIM)
    arguments = (ceremony.context, ceremony.sent[0], ceremony.sent[1], VICTIM, DEALER)
    assert adjudicate(*arguments, complaint.revealed_key) == DEALER
    assert adjudicate(*arguments, bytes(32)) == VICTIM
    assert parse_deal(ceremony.context, DEALER, ceremony.sent[1][DEALER]).sealed_shares


def test_a_complaint_beats_a_bad_signature_beside_it() -> None:
    ceremony = dealt()
    reseal(ceremony, DEALER, VICTIM, bytes(64))
    ceremony.run_round(1)
    answer = parse_prepared(ceremony.context, 1, ceremony.sent[2][1])
    assert isinstance(answer, Prepared)
    ceremony.forge(2, 1, replace(answer, signature=bytes(64)).encode())
    with pytest.raises(ProtocolAbort) as caught:
        ceremony.deliver(4, 2)
    assert caught.value.index == DEALER
