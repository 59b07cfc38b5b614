"""A participant killed between any two rounds goes on with the same bytes and draws nothing anew (R23;
test 32).
"""

import pytest

from mpc.dealing import Dealing
from mpc.errors import EncodingError, FaultyParticipant, WrongState
from tests.mpc.ceremony import Ceremony, make_context, signer
from tests.mpc.cheating import reseal


def restored(ceremony: Ceremony, index: int) -> Dealing:
    data = ceremony.machines[index].to_bytes()
    machine = Dealing.from_bytes(ceremony.context, data, signer(index))
    assert machine.to_bytes() == data
    return machine


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_32_a_step_after_a_restart_gives_the_same_bytes(number: int) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    copy = restored(ceremony, 2)
    machine = ceremony.machines[2]
    assert (copy.round, copy.notes) == (number, machine.notes)
    inbox = ceremony.inbox(2, number)
    assert copy.receive(inbox) == machine.receive(inbox)
    if number < 3:
        assert copy.to_bytes() == machine.to_bytes()


def test_32_all_participants_restart_between_each_pair_of_rounds() -> None:
    ceremony = Ceremony(make_context(3, 5)).start()
    for number in range(4):
        for index in ceremony.context.indices:
            ceremony.machines[index] = restored(ceremony, index)
        ceremony.run_round(number)
    assert len({certificate.encode() for certificate in ceremony.certificates.values()}) == 1
    ceremony.certificates[1].verify()


def test_32_a_complaint_survives_a_restart() -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(1)
    reseal(ceremony, 1, 2, bytes(64))
    ceremony.run_round(1)
    ceremony.machines[2] = restored(ceremony, 2)
    with pytest.raises(FaultyParticipant) as caught:
        ceremony.deliver(2, 2)
    assert (caught.value.index, caught.value.code) == (1, "bad_share")


def test_a_state_rolled_back_never_uses_a_nonce_twice() -> None:
    # The mailbox shows a restored participant other bodies than before: new challenges, so new nonce points.
    ceremony = Ceremony(make_context(2, 3)).start()
    copy = restored(ceremony, 1)
    other = Ceremony(ceremony.context).start()
    first = ceremony.machines[1].receive(ceremony.inbox(1, 0)).outgoing[0].body
    second = copy.receive(other.inbox(1, 0)).outgoing[0].body
    # After echo, entropy, salt, count and two points: the proof's nonce point.
    at = slice(32 + 32 + 32 + 2 + 2 * 33, 32 + 32 + 32 + 2 + 2 * 33 + 33)
    assert first[32 : at.start] == second[32 : at.start], "the same polynomial"
    assert first[at] != second[at]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_state_of_another_session_is_refused(number: int) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    data = ceremony.machines[1].to_bytes()
    with pytest.raises(WrongState):
        Dealing.from_bytes(make_context(2, 3, attempt=2), data, signer(1))


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_damaged_states_are_refused(number: int) -> None:
    ceremony = Ceremony(make_context(2, 2)).run_until(number)
    data = ceremony.machines[1].to_bytes()
    step = max(1, len(data) // 40)
    for size in range(0, len(data), step):
        with pytest.raises(EncodingError):
            Dealing.from_bytes(ceremony.context, data[:size], signer(1))
    for wrong in (data + b"\x00", b"\x02" + data[1:]):
        with pytest.raises(EncodingError):
            Dealing.from_bytes(ceremony.context, wrong, signer(1))
    # Index 0, index n + 1, round 4.
    for at, value in ((34, 0), (34, 3), (35, 4)):
        with pytest.raises(EncodingError):
            Dealing.from_bytes(ceremony.context, data[:at] + bytes([value]) + data[at + 1 :], signer(1))


def test_the_state_forgets_secrets_as_soon_as_it_can() -> None:
    ceremony = Ceremony(make_context(2, 2)).start()
    seeds = ceremony.machines[1]._secrets
    ceremony.run_round(0)
    after_deal = ceremony.machines[1].to_bytes()
    assert seeds.dealing_seed not in after_deal
    assert seeds.receiving_seed in after_deal
    ceremony.run_round(1)
    after_prepared = ceremony.machines[1].to_bytes()
    assert seeds.receiving_seed not in after_prepared
    for secret in ceremony.shares[1].secret_shares:
        assert secret not in after_prepared
