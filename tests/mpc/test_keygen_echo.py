"""Different bodies for different people, and bodies from elsewhere, end the run (tests 6 to 8, 10, 13)."""

import hashlib
from dataclasses import replace

import pytest

from mpc.certificate import is_signed, prepared_message
from mpc.curves import ED25519
from mpc.dealing import find_culprit
from mpc.dealing_messages import MAX_BODY, parse_hello
from mpc.errors import FaultyParticipantOrCoordinator, MalformedMessage, ProtocolAbort
from tests.mpc.ceremony import Ceremony, Tamper, make_context, signing_key
from tests.mpc.cheating import dealt_shares, private_session_key, reseal
from wire import envelope

ROUNDS = pytest.mark.parametrize("number", [0, 1, 2, 3])


def alternative(ceremony: Ceremony, number: int, sender: int) -> bytes:
    """Another valid body of the sender for the same slot, which an equivocating sender or a mailbox with
    its keys would show.
    """
    if number == 0:
        hello = parse_hello(ceremony.context, sender, ceremony.sent[0][sender])
        return replace(hello, notes=b"something else").encode()
    return ceremony.sent[number][sender][:-1] + bytes([ceremony.sent[number][sender][-1] ^ 1])


def substitute(culprit: int, other: bytes) -> Tamper:
    return lambda _round, sender, _receiver, body: other if sender == culprit else body


def test_13_two_views_of_round_0_are_found_in_round_1() -> None:
    ceremony = Ceremony(make_context(2, 3)).start()
    other = alternative(ceremony, 0, 2)
    ceremony.run_round(
        0, lambda _round, sender, receiver, body: other if (sender, receiver) == (2, 3) else body
    )
    for receiver, suspect in ((1, 3), (3, 1)):
        with pytest.raises(FaultyParticipantOrCoordinator) as caught:
            ceremony.deliver(receiver, 1)
        assert (caught.value.index, caught.value.code) == (suspect, "echo_mismatch")
        assert ceremony.machines[receiver].round == 1
    assert not ceremony.shares


def test_13_two_views_of_round_1_are_found_in_round_2() -> None:
    # Two deals of one dealer that both pass every check: the seals are made anew with another ephemeral key.
    ceremony = Ceremony(make_context(2, 3)).run_until(1)
    one = dict(ceremony.sent[1])
    key = private_session_key(ceremony, 3, 2)
    reseal(ceremony, 2, 3, b"".join(dealt_shares(ceremony, 2, 3, key)))
    other = ceremony.sent[1][2]
    assert other != one[2]
    ceremony.forge(1, 2, one[2])
    ceremony.run_round(
        1, lambda _round, sender, receiver, body: other if (sender, receiver) == (2, 3) else body
    )
    assert set(ceremony.shares) == {1, 2, 3}, "each view is consistent in itself"
    with pytest.raises(FaultyParticipantOrCoordinator) as caught:
        ceremony.deliver(1, 2)
    assert (caught.value.index, caught.value.code) == (3, "echo_mismatch")
    assert not ceremony.certificates


def test_13_another_prepared_signature_for_one_receiver_must_be_valid_too() -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(2)
    other = alternative(ceremony, 2, 2)
    with pytest.raises(ProtocolAbort) as caught:
        ceremony.deliver(3, 2, substitute(2, other))
    assert (caught.value.index, caught.value.code) == (2, "prepared_signature")


def test_13_two_valid_prepared_signatures_are_found_in_round_3() -> None:
    # Ed25519 signatures are not unique: a signer that chooses its nonces can show a different one to each.
    ceremony = Ceremony(make_context(2, 3)).run_until(2)
    message = prepared_message(ceremony.shares[1].statement)
    other = ceremony.sent[2][2][:33] + another_signature(2, message)
    ceremony.deliver(3, 2, substitute(2, other))
    ceremony.deliver(1, 2)
    ceremony.deliver(2, 2)
    for receiver, suspect in ((1, 3), (3, 1)):
        with pytest.raises(FaultyParticipantOrCoordinator) as caught:
            ceremony.deliver(receiver, 3)
        assert (caught.value.index, caught.value.code) == (suspect, "echo_mismatch")
    assert not ceremony.certificates


def another_signature(index: int, message: bytes) -> bytes:
    """A valid Ed25519 signature with a nonce that RFC 8032 would not choose."""
    key = signing_key(index)
    expanded = bytearray(hashlib.sha512(bytes(key)).digest()[:32])
    expanded[0] &= 248
    expanded[31] = expanded[31] & 127 | 64
    secret = ED25519.scalar_from_uniform(bytes(expanded) + bytes(32))
    nonce = ED25519.encode_int(4711)
    commitment = ED25519.base_multiply(nonce).encoded
    hashed = hashlib.sha512(commitment + bytes(key.verify_key) + message).digest()
    response = ED25519.scalar_add(ED25519.scalar_multiply(ED25519.scalar_from_uniform(hashed), secret), nonce)
    signature = commitment + response
    assert is_signed(bytes(key.verify_key), message, signature)
    return signature


@ROUNDS
def test_7_bodies_of_another_session_are_refused(number: int) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    for foreign in (make_context(2, 3, attempt=2), replace(make_context(2, 3), epoch=2)):
        other = Ceremony(foreign).run_until(number)
        with pytest.raises(ProtocolAbort) as caught:
            ceremony.deliver(1, number, substitute(2, other.sent[number][2]))
        assert caught.value.index == 2
        assert ceremony.machines[1].round == number


@pytest.mark.parametrize("number", [1, 2, 3])
def test_7_bodies_of_a_run_with_the_same_context_are_refused(number: int) -> None:
    # Same digest, attempt and roster: only the nonces differ, so safety does not rest on the coordinator's
    # numbers (R20).
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    twin = Ceremony(make_context(2, 3)).run_until(number)
    with pytest.raises(FaultyParticipantOrCoordinator) as caught:
        ceremony.deliver(1, number, substitute(2, twin.sent[number][2]))
    assert (caught.value.index, caught.value.code) == (2, "echo_mismatch")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_7_bodies_of_another_round_are_refused(number: int) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    for earlier in range(number):
        with pytest.raises(ProtocolAbort) as caught:
            ceremony.deliver(1, number, substitute(2, ceremony.sent[earlier][2]))
        assert caught.value.index == 2


@pytest.mark.parametrize("number", [1, 2, 3])
def test_8_an_own_body_reflected_as_another_s_blames_its_sender(number: int) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    with pytest.raises(ProtocolAbort) as caught:
        ceremony.deliver(1, number, substitute(2, ceremony.sent[number][1]))
    assert caught.value.index == 2


def test_8_a_reflected_hello_splits_the_views_and_ends_the_run_a_round_later() -> None:
    ceremony = Ceremony(make_context(2, 3)).start()
    ceremony.deliver(1, 0, substitute(2, ceremony.sent[0][1]))
    ceremony.deliver(2, 0)
    ceremony.deliver(3, 0)
    with pytest.raises(FaultyParticipantOrCoordinator):
        ceremony.deliver(1, 1)
    with pytest.raises(FaultyParticipantOrCoordinator) as caught:
        ceremony.deliver(3, 1)
    assert caught.value.index == 1


def test_14_the_longest_body_fits_an_envelope() -> None:
    assert MAX_BODY < envelope.MAX_BODY


@ROUNDS
def test_14_oversize_bodies_are_refused_before_they_are_read(number: int) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    with pytest.raises(MalformedMessage, match="longer"):
        ceremony.deliver(1, number, substitute(2, bytes(MAX_BODY + 1)))


def test_15_an_unknown_version_is_malformed() -> None:
    ceremony = Ceremony(make_context(2, 3)).start()
    body = ceremony.sent[0][2]
    ceremony.forge(0, 2, body[:32] + b"\x02" + body[33:])
    with pytest.raises(MalformedMessage) as caught:
        ceremony.deliver(1, 0)
    assert (caught.value.index, caught.value.field) == (2, "version")


@pytest.mark.parametrize("number", [0, 1])
def test_an_unknown_or_filled_pair_setup_slot_is_malformed(number: int) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    body = ceremony.sent[number][2]
    assert body[-5:] == bytes(5), "kind NONE and an empty slot end the body"
    for forged in (body[:-5] + b"\x01" + bytes(4), body[:-4] + b"\x00\x00\x00\x01x"):
        ceremony.sent[number][2] = forged
        with pytest.raises(MalformedMessage, match="pair_setup"):
            ceremony.deliver(1, number)


def test_the_kind_of_an_answer_is_known() -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(2)
    body = ceremony.sent[2][2]
    ceremony.sent[2][2] = body[:32] + b"\x03" + body[33:]
    with pytest.raises(MalformedMessage, match="kind"):
        ceremony.deliver(1, 2)


@ROUNDS
def test_the_keeper_of_the_mailbox_blames_a_wrong_echo_on_its_sender(number: int) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    ceremony.sent[number][3] = bytes(32) + ceremony.sent[number][3][32:]
    culprit = find_culprit(ceremony.context, ceremony.sent)
    assert culprit is not None
    assert (culprit.index, culprit.code) == (3, "echo_mismatch")


@ROUNDS
def test_an_incomplete_transcript_blames_nobody_without_proof(number: int) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    del ceremony.sent[number][2]
    assert find_culprit(ceremony.context, ceremony.sent) is None
    assert find_culprit(ceremony.context, {}) is None
