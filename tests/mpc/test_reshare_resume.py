"""Participants of a reshare killed between any two rounds go on with the same bytes (R23; test 32)."""

import pytest

from mpc.dealing import Dealing
from mpc.errors import EncodingError, FaultyParticipant, InvalidParameters, WrongState
from tests.mpc.ceremony import complete, reshare
from tests.mpc.cheating import reseal
from tests.mpc.resharing import BOTH, DEALERS, MAIN, PURE, RECEIVER, mixed

ROUNDS = pytest.mark.parametrize("number", [0, 1, 2, 3])
KINDS = pytest.mark.parametrize("index", [BOTH, RECEIVER, PURE])


@ROUNDS
@KINDS
def test_32_a_step_after_a_restart_gives_the_same_bytes(number: int, index: int) -> None:
    ceremony = mixed().run_until(number)
    before = ceremony.machines[index]
    ceremony.restart(index)
    after = ceremony.machines[index]
    assert (after.round, after.notes) == (number, before.notes)
    inbox = ceremony.inbox(index, number)
    assert after.receive(inbox) == before.receive(inbox)
    if number < 3:
        assert after.to_bytes() == before.to_bytes()


def test_32_all_participants_restart_between_each_pair_of_rounds() -> None:
    ceremony = reshare(complete(3, 5), 2, (4, 6, 7), (2, 4, 5)).start()
    for number in range(4):
        for index in ceremony.context.indices:
            ceremony.restart(index)
        ceremony.run_round(number)
    ceremony.certificate.verify()


def test_32_a_complaint_survives_a_restart() -> None:
    ceremony = mixed().run_until(1)
    reseal(ceremony, PURE, RECEIVER, bytes(64))
    ceremony.run_round(1)
    ceremony.restart(RECEIVER)
    with pytest.raises(FaultyParticipant) as caught:
        ceremony.deliver(RECEIVER, 2)
    assert (caught.value.index, caught.value.code) == (PURE, "bad_share")


@ROUNDS
def test_a_state_goes_on_only_with_its_own_session_and_source(number: int) -> None:
    ceremony = mixed().run_until(number)
    data, sign = ceremony.machines[BOTH].to_bytes(), ceremony.signer(BOTH)
    other = reshare(MAIN, 2, (2, 4, 5), (1, 2), attempt=2).context
    with pytest.raises(WrongState):
        Dealing.from_bytes(other, data, sign, source=MAIN.statement)
    with pytest.raises(InvalidParameters, match="source"):
        Dealing.from_bytes(ceremony.context, data, sign)
    with pytest.raises(InvalidParameters, match="previous_certificate_hash"):
        Dealing.from_bytes(ceremony.context, data, sign, source=complete(2, 3).statement)


@ROUNDS
@KINDS
def test_damaged_states_are_refused(number: int, index: int) -> None:
    ceremony = mixed().run_until(number)
    data, sign = ceremony.machines[index].to_bytes(), ceremony.signer(index)
    damaged = [data[:size] for size in range(0, len(data), max(1, len(data) // 40))]
    for wrong in (*damaged, data + b"\x00", b"\x02" + data[1:]):
        with pytest.raises(EncodingError):
            Dealing.from_bytes(ceremony.context, wrong, sign, source=ceremony.source)


def test_the_state_forgets_secrets_as_soon_as_it_can() -> None:
    ceremony = mixed().start()
    seeds = {index: machine._secrets for index, machine in ceremony.machines.items()}
    for index in ceremony.context.indices:
        assert bool(seeds[index].dealing_seed) == (index in DEALERS), "only a dealer keeps one"
        assert bool(seeds[index].receiving_seed) == (index != PURE), "only a receiver keeps one"
    ceremony.run_round(0)
    for index in DEALERS:
        after_deal = ceremony.machines[index].to_bytes()
        for secret in (seeds[index].dealing_seed, *seeds[index].constants):
            assert secret
            assert secret not in after_deal
    ceremony.run_round(1)
    for index in (BOTH, RECEIVER):
        after_prepared = ceremony.machines[index].to_bytes()
        for secret in (seeds[index].receiving_seed, *ceremony.shares[index].secret_shares):
            assert secret not in after_prepared
