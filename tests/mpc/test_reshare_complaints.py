"""A bad share for one receiver of a reshare: anyone can tell who lied, and no other share is revealed (R22;
tests 23 to 25, 42).
"""

import pytest

from mpc.curves import curve_named
from mpc.dealing import adjudicate
from mpc.dealing_messages import Complaint, parse_deal, parse_hello, parse_prepared, session_key_for
from mpc.errors import DecryptionFailed, FaultyParticipant, InvalidScalar
from mpc.sealing import public_key
from tests.mpc.ceremony import Ceremony
from tests.mpc.cheating import change_deal, dealt_shares, private_session_key, replace_sealed, reseal
from tests.mpc.resharing import BOTH, MAIN, OTHER, PURE, RECEIVER, RECEIVERS, mixed

# Every dealer with every other receiver.
PAIRS = pytest.mark.parametrize(
    ("dealer", "victim"), [(BOTH, RECEIVER), (BOTH, OTHER), (PURE, RECEIVER), (PURE, BOTH)]
)


def complaint_of(ceremony: Ceremony, index: int) -> Complaint:
    answer = parse_prepared(ceremony.context, index, ceremony.sent[2][index])
    assert isinstance(answer, Complaint)
    return answer


def assert_verdict(ceremony: Ceremony, guilty: int, code: str) -> None:
    """All participants and the keeper of the mailbox agree; the source set is what it was."""
    for receiver in ceremony.context.indices:
        with pytest.raises(FaultyParticipant) as caught:
            ceremony.deliver(receiver, 2)
        assert (caught.value.index, caught.value.code) == (guilty, code)
        assert ceremony.machines[receiver].round == 2
    assert ceremony.culprit() == (guilty, code)
    assert not ceremony.certificates
    for share in MAIN.shares.values():
        share.verify()


@PAIRS
@pytest.mark.parametrize("position", [0, 1], ids=["secp256k1", "ed25519"])
@pytest.mark.parametrize("kind", ["another value", "zero", "the order"])
def test_23_25_42_a_bad_share_blames_its_dealer_by_its_commitment(
    dealer: int, victim: int, position: int, kind: str
) -> None:
    ceremony = mixed().run_until(1)
    shares = list(dealt_shares(ceremony, dealer, victim, private_session_key(ceremony, victim, dealer)))
    curve = curve_named(ceremony.context.curves[position])
    shares[position] = {
        "another value": curve.scalar_add(shares[position], curve.encode_int(1)),
        "zero": bytes(32),
        "the order": curve.order.to_bytes(32, "big" if position == 0 else "little"),
    }[kind]
    reseal(ceremony, dealer, victim, b"".join(shares))
    ceremony.run_round(1)
    assert set(ceremony.shares) == set(RECEIVERS) - {victim}, "the victim must not prepare"
    assert complaint_of(ceremony, victim).accused == dealer
    assert_verdict(ceremony, dealer, "bad_share")


@PAIRS
def test_23_a_share_that_does_not_open_blames_its_dealer(dealer: int, victim: int) -> None:
    ceremony = mixed().run_until(1)
    junk = bytes(112)
    change_deal(ceremony, dealer, lambda deal: replace_sealed(ceremony, deal, dealer, victim, junk))
    ceremony.run_round(1)
    assert_verdict(ceremony, dealer, "bad_share")


@PAIRS
def test_24_a_false_complaint_blames_the_accuser(dealer: int, victim: int) -> None:
    ceremony = mixed().run_until(1)
    key = private_session_key(ceremony, victim, dealer)
    ceremony.run_round(1)
    echo = parse_prepared(ceremony.context, victim, ceremony.sent[2][victim]).echo
    for revealed in (key, bytes(32)):
        ceremony.forge(2, victim, Complaint(echo, dealer, revealed).encode())
        assert_verdict(ceremony, victim, "false_complaint")


@pytest.mark.parametrize(
    ("accuser", "accused"),
    [(PURE, BOTH), (RECEIVER, OTHER), (RECEIVER, RECEIVER), (BOTH, BOTH), (RECEIVER, 0), (RECEIVER, 5)],
)
def test_24_only_a_receiver_complains_and_only_about_another_dealer(accuser: int, accused: int) -> None:
    ceremony = mixed().run_until(2)
    echo = parse_prepared(ceremony.context, accuser, ceremony.sent[2][accuser]).echo
    ceremony.forge(2, accuser, Complaint(echo, accused, bytes(32)).encode())
    with pytest.raises(FaultyParticipant) as caught:
        ceremony.deliver(3, 2)
    assert (caught.value.index, caught.value.code) == (accuser, "malformed_message")
    assert ceremony.culprit() == (accuser, "malformed_message")


def test_r22_a_complaint_opens_the_one_message_and_no_other() -> None:
    # In a reshare never more than this pair: the source set stays in use.
    ceremony = mixed().run_until(1)
    reseal(ceremony, PURE, RECEIVER, bytes(64))
    ceremony.run_round(1)
    key = complaint_of(ceremony, RECEIVER).revealed_key
    context = ceremony.context
    hello = parse_hello(context, RECEIVER, ceremony.sent[0][RECEIVER])
    assert public_key(key) == session_key_for(context, hello, RECEIVER, PURE)
    with pytest.raises(InvalidScalar):
        dealt_shares(ceremony, PURE, RECEIVER, key)
    others = [(dealer, victim) for dealer in (BOTH, PURE) for victim in context.other_receivers(dealer)]
    others.remove((PURE, RECEIVER))
    assert len(others) == 4
    for dealer, victim in others:
        with pytest.raises(DecryptionFailed):
            dealt_shares(ceremony, dealer, victim, key)


def test_the_public_judgement_needs_no_secret_and_no_source() -> None:
    ceremony = mixed().run_until(1)
    reseal(ceremony, PURE, RECEIVER, bytes(64))
    ceremony.run_round(1)
    revealed = complaint_of(ceremony, RECEIVER).revealed_key
    arguments = (ceremony.context, ceremony.sent[0], ceremony.sent[1], RECEIVER, PURE)
    assert adjudicate(*arguments, revealed) == PURE
    assert adjudicate(*arguments, bytes(32)) == RECEIVER
    assert parse_deal(ceremony.context, RECEIVER, ceremony.sent[1][RECEIVER]).sealed_shares == ()


def test_42_a_receiver_keeps_its_shares_secret_when_another_one_complains() -> None:
    ceremony = mixed().run_until(1)
    reseal(ceremony, BOTH, RECEIVER, bytes(64))
    ceremony.run_round(1)
    revealed = b"".join(ceremony.sent[2].values())
    for share in (*ceremony.shares.values(), *MAIN.shares.values()):
        assert not any(secret in revealed for secret in share.secret_shares)
