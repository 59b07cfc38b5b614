"""Different bodies for different participants of a reshare, and bodies from elsewhere, end it (tests 6 to 8,
13; N03).
"""

from dataclasses import replace

import pytest

from mpc.certificate import prepared_message
from mpc.dealing_messages import parse_hello
from mpc.errors import FaultyParticipantOrCoordinator, InvalidParameters, MalformedMessage, ProtocolAbort
from tests.mpc.ceremony import Ceremony, Tamper, complete, make_context, node_at, reshare
from tests.mpc.cheating import dealt_shares, private_session_key, reseal
from tests.mpc.resharing import BOTH, MAIN, NODES, OTHER, PURE, RECEIVER, mixed
from tests.mpc.test_keygen_echo import another_signature

ROUNDS = pytest.mark.parametrize("number", [0, 1, 2, 3])
# One of each kind; OTHER is the one that is shown something else.
EVERYBODY = pytest.mark.parametrize("liar", [BOTH, RECEIVER, PURE])


def shown_to(victim: int, liar: int, other: bytes) -> Tamper:
    return lambda _round, sender, receiver, body: other if (sender, receiver) == (liar, victim) else body


def from_elsewhere(sender: int, other: bytes) -> Tamper:
    return lambda _round, each, _receiver, body: other if each == sender else body


def assert_split_is_found(ceremony: Ceremony, number: int, victim: int) -> None:
    """The victim suspects all others, they suspect the victim, and nobody goes on."""
    for receiver in ceremony.context.indices:
        with pytest.raises(FaultyParticipantOrCoordinator) as caught:
            ceremony.deliver(receiver, number)
        assert caught.value.code == "echo_mismatch"
        if receiver != victim:
            assert caught.value.index == victim
        assert ceremony.machines[receiver].round == number
    assert not ceremony.certificates


@EVERYBODY
def test_13_n03_two_hellos_are_found_in_round_1(liar: int) -> None:
    ceremony = mixed().start()
    hello = parse_hello(ceremony.context, liar, ceremony.sent[0][liar])
    other = replace(hello, notes=b"something else").encode()
    ceremony.run_round(0, shown_to(OTHER, liar, other))
    assert_split_is_found(ceremony, 1, OTHER)
    assert not ceremony.shares


@pytest.mark.parametrize("liar", [BOTH, PURE])
def test_13_n03_two_deals_are_found_in_round_2(liar: int) -> None:
    # Both pass every check: the share for the victim is sealed anew with another ephemeral key.
    ceremony = mixed().run_until(1)
    first = ceremony.sent[1][liar]
    shares = dealt_shares(ceremony, liar, OTHER, private_session_key(ceremony, OTHER, liar))
    reseal(ceremony, liar, OTHER, b"".join(shares))
    other = ceremony.sent[1][liar]
    assert other != first
    ceremony.forge(1, liar, first)
    ceremony.run_round(1, shown_to(OTHER, liar, other))
    assert set(ceremony.shares) == {BOTH, RECEIVER, OTHER}, "each view is consistent in itself"
    assert_split_is_found(ceremony, 2, OTHER)


@EVERYBODY
def test_13_n03_two_prepared_signatures_are_found_in_round_3(liar: int) -> None:
    ceremony = mixed().run_until(2)
    message = prepared_message(ceremony.shares[BOTH].statement)
    signature = another_signature(node_at(ceremony.context, liar), message)
    other = ceremony.sent[2][liar][:33] + signature
    ceremony.run_round(2, shown_to(OTHER, liar, other))
    assert_split_is_found(ceremony, 3, OTHER)


@EVERYBODY
def test_39_n03_two_last_messages_cannot_make_two_certificates(liar: int) -> None:
    # A body that differs is a bad signature, or another good one under which the same set is certified.
    ceremony = mixed().run_until(3)
    body = ceremony.sent[3][liar]
    with pytest.raises(ProtocolAbort) as caught:
        ceremony.deliver(OTHER, 3, shown_to(OTHER, liar, body[:-1] + bytes([body[-1] ^ 1])))
    assert (caught.value.index, caught.value.code) == (liar, "activated_signature")
    ceremony.run_round(3)
    assert len({certificate.hash() for certificate in ceremony.certificates.values()}) == 1


@ROUNDS
@EVERYBODY
def test_7_bodies_of_an_earlier_attempt_or_another_target_are_refused(number: int, liar: int) -> None:
    ceremony = mixed().run_until(number)
    for foreign in (
        reshare(MAIN, 2, NODES, (1, 2), attempt=2),
        reshare(MAIN, 2, NODES, (1, 2), role="recovery"),
    ):
        foreign.run_until(number)
        with pytest.raises(ProtocolAbort) as caught:
            ceremony.deliver(OTHER, number, from_elsewhere(liar, foreign.sent[number][liar]))
        assert caught.value.index == liar
        assert ceremony.machines[OTHER].round == number


@ROUNDS
def test_7_bodies_of_a_key_gen_are_refused(number: int) -> None:
    ceremony, foreign = mixed().run_until(number), Ceremony(make_context(2, 4)).run_until(number)
    with pytest.raises(ProtocolAbort) as caught:
        ceremony.deliver(OTHER, number, from_elsewhere(BOTH, foreign.sent[number][BOTH]))
    assert caught.value.index == BOTH


@pytest.mark.parametrize("number", [1, 2, 3])
def test_7_bodies_of_a_run_with_the_same_context_are_refused(number: int) -> None:
    ceremony, twin = mixed().run_until(number), mixed().run_until(number)
    assert twin.context == ceremony.context
    for liar in (BOTH, RECEIVER, PURE):
        with pytest.raises(FaultyParticipantOrCoordinator) as caught:
            ceremony.deliver(OTHER, number, from_elsewhere(liar, twin.sent[number][liar]))
        assert (caught.value.index, caught.value.code) == (liar, "echo_mismatch")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_8_an_own_body_reflected_as_another_s_blames_its_sender(number: int) -> None:
    ceremony = mixed().run_until(number)
    for receiver, sender in ((RECEIVER, OTHER), (BOTH, PURE), (PURE, BOTH)):
        reflected = ceremony.sent[number][receiver]
        if (number, receiver) == (1, RECEIVER):
            continue  # who does not deal sends the echo alone, and both send the same
        with pytest.raises(ProtocolAbort) as caught:
            ceremony.deliver(receiver, number, from_elsewhere(sender, reflected))
        assert caught.value.index == sender


@ROUNDS
def test_11_a_round_needs_the_body_of_every_participant(number: int) -> None:
    ceremony = mixed().run_until(number)
    for receiver in ceremony.context.indices:
        machine, state = ceremony.machines[receiver], ceremony.machines[receiver].to_bytes()
        for missing in ceremony.context.others(receiver):
            bodies = {i: body for i, body in ceremony.inbox(receiver, number).items() if i != missing}
            with pytest.raises(InvalidParameters, match="bodies"):
                machine.receive(bodies)
        assert machine.to_bytes() == state


@ROUNDS
@EVERYBODY
@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 20), slice(0, 0), None], ids=str)
def test_5_truncated_extended_and_empty_bodies_are_malformed(
    number: int, liar: int, cut: slice | None
) -> None:
    ceremony = mixed().run_until(number)
    body = ceremony.sent[number][liar]
    ceremony.sent[number][liar] = body + b"\x00" if cut is None else body[cut]
    with pytest.raises(MalformedMessage) as caught:
        ceremony.deliver(OTHER, number)
    assert caught.value.index == liar
    assert ceremony.culprit() == (liar, "malformed_message")


@ROUNDS
@EVERYBODY
def test_the_keeper_of_the_mailbox_blames_a_wrong_echo_on_its_sender(number: int, liar: int) -> None:
    ceremony = mixed().run_until(number)
    ceremony.sent[number][liar] = bytes(32) + ceremony.sent[number][liar][32:]
    assert ceremony.culprit() == (liar, "echo_mismatch")


@ROUNDS
def test_an_incomplete_transcript_blames_nobody(number: int) -> None:
    for missing in (BOTH, RECEIVER, PURE):
        ceremony = mixed().run_until(number)
        del ceremony.sent[number][missing]
        assert ceremony.culprit() is None


def test_7_participants_with_different_sources_never_meet_in_one_session() -> None:
    # Another KeyGen of the same nodes: the session id differs, so that round 0 ends it.
    other = reshare(complete(2, 3), 2, NODES, (1, 2)).start()
    ceremony = mixed().start()
    with pytest.raises(FaultyParticipantOrCoordinator) as caught:
        ceremony.deliver(RECEIVER, 0, from_elsewhere(PURE, other.sent[0][PURE]))
    assert (caught.value.index, caught.value.code) == (PURE, "echo_mismatch")
