"""A deal that is not exactly what the protocol asks for ends the run and blames its dealer (tests 17 to
22, 30).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from coincurve import PublicKey

from mpc.curves import SECP256K1, Point, curve_named
from mpc.dealing import find_culprit
from mpc.dealing_messages import CurveDeal, Deal, parse_deal, parse_hello
from mpc.errors import FaultyParticipant, MalformedMessage
from tests.mpc.ceremony import Ceremony, make_context
from tests.mpc.cheating import change_deal, coefficients_of, commitments_to, deal_instead

CHEAT = 2
CURVES = pytest.mark.parametrize("position", [0, 1], ids=["secp256k1", "ed25519"])


def fresh(threshold: int = 2, size: int = 3) -> Ceremony:
    return Ceremony(make_context(threshold, size)).start()


def assert_blamed(ceremony: Ceremony, code: str, index: int = CHEAT) -> None:
    """Every other participant and the keeper of the mailbox name the culprit, and nobody advances."""
    for receiver in ceremony.context.others(index):
        machine = ceremony.machines[receiver]
        state = machine.to_bytes()
        with pytest.raises(FaultyParticipant) as caught:
            machine.receive(ceremony.inbox(receiver, 1))
        assert (caught.value.index, caught.value.code) == (index, code)
        assert machine.to_bytes() == state
    culprit = find_culprit(ceremony.context, ceremony.sent)
    assert culprit is not None
    assert (culprit.index, culprit.code) == (index, code)


@CURVES
@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_17_wrong_commitment_length(position: int, count: int) -> None:
    ceremony = fresh()
    coefficients = coefficients_of(ceremony, CHEAT)
    commitments = commitments_to(ceremony.context, coefficients)
    longer = [*commitments[position], *commitments[position]]
    forged = list(commitments)
    forged[position] = longer[:count] if count else []

    def cut(deal: Deal) -> Deal:
        curves = list(deal.curves)
        curves[position] = replace(curves[position], commitment=tuple(forged[position]))
        return replace(deal, curves=tuple(curves))

    # Round 0 commits to the forged vector too: the length is wrong, not the opening.
    promised = [each if each else commitments[position] for each in forged]
    deal_instead(ceremony, CHEAT, promised, [each[0] for each in coefficients], cut)
    assert_blamed(ceremony, "commitment_length")


def bad_points(position: int) -> list[bytes]:
    if position == 0:
        good = SECP256K1.base_multiply(SECP256K1.encode_int(9)).encoded
        uncompressed = PublicKey(good).format(compressed=False)
        hybrid = bytes([6 + uncompressed[64] % 2]) + uncompressed[1:]
        off_curve = b"\x02" + (7).to_bytes(32, "big")
        # The longer forms are cut to the slot's size, as a reader of fixed sizes sees them.
        return [bytes(33), off_curve, b"\x02" + b"\xff" * 32, uncompressed[:33], hybrid[:33]]
    neutral, of_order_two, off_curve = (
        b"\x01" + bytes(31),
        b"\xec" + b"\xff" * 30 + b"\x7f",
        b"\x02" + bytes(31),
    )
    return [neutral, of_order_two, off_curve, bytes(32), b"\xff" * 32]


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    ("position", "encoded"),
    [(position, point) for position in (0, 1) for point in bad_points(position)],
    ids=lambda value: value.hex()[:8] if isinstance(value, bytes) else str(value),
)
def test_18_invalid_points(position: int, encoded: bytes, at: int) -> None:
    ceremony = fresh()
    coefficients = coefficients_of(ceremony, CHEAT)
    commitments = commitments_to(ceremony.context, coefficients)
    good = commitments[position][0]
    commitments[position][at] = Point(encoded)

    def prove_with_a_good_point(deal: Deal) -> Deal:
        curves = list(deal.curves)
        forged = list(curves[position].commitment)
        forged[at] = Point(encoded)
        curves[position] = replace(curves[position], commitment=tuple(forged))
        return replace(deal, curves=tuple(curves))

    provable = [list(each) for each in commitments]
    provable[position][at] = good
    deal_instead(ceremony, CHEAT, provable, [each[0] for each in coefficients], prove_with_a_good_point)
    assert_blamed(ceremony, "invalid_point")


def test_18_an_uncompressed_point_does_not_fit_the_message() -> None:
    ceremony = fresh().run_until(1)
    deal = parse_deal(ceremony.context, CHEAT, ceremony.sent[1][CHEAT])
    point = deal.curves[0].commitment[0].encoded
    longer = ceremony.sent[1][CHEAT].replace(point, PublicKey(point).format(compressed=False))
    ceremony.forge(1, CHEAT, longer)
    assert_blamed(ceremony, "invalid_point")


def honest_proofs(ceremony: Ceremony, change: Callable[[CurveDeal], CurveDeal], position: int) -> None:
    def alter(deal: Deal) -> Deal:
        curves = list(deal.curves)
        curves[position] = change(curves[position])
        return replace(deal, curves=tuple(curves))

    change_deal(ceremony, CHEAT, alter)


@CURVES
def test_19_proof_of_another_index(position: int) -> None:
    ceremony = fresh().run_until(1)
    other = parse_deal(ceremony.context, 1, ceremony.sent[1][1]).curves[position].proof
    honest_proofs(ceremony, lambda dealing: replace(dealing, proof=other), position)
    assert_blamed(ceremony, "proof_of_possession")


@CURVES
def test_19_proof_from_another_session(position: int) -> None:
    ceremony = fresh()
    # The same dealing seed in a session whose other members sent other nonces.
    twin = Ceremony(ceremony.context).start()
    twin.machines[CHEAT] = type(ceremony.machines[CHEAT]).from_bytes(
        ceremony.context, ceremony.machines[CHEAT].to_bytes(), ceremony.machines[CHEAT]._sign
    )
    twin.sent[0][CHEAT] = ceremony.sent[0][CHEAT]
    twin.run_until(1)
    ceremony.run_until(1)
    foreign = parse_deal(twin.context, CHEAT, twin.sent[1][CHEAT])
    own = parse_deal(ceremony.context, CHEAT, ceremony.sent[1][CHEAT])
    assert foreign.curves[position].commitment == own.curves[position].commitment
    honest_proofs(ceremony, lambda dealing: foreign.curves[position], position)
    assert_blamed(ceremony, "proof_of_possession")


@CURVES
def test_19_proof_of_another_key(position: int) -> None:
    ceremony = fresh()
    coefficients = coefficients_of(ceremony, CHEAT)
    commitments = commitments_to(ceremony.context, coefficients)
    # The proof is made with the linear coefficient's secret.
    constants = [each[1] if at == position else each[0] for at, each in enumerate(coefficients)]
    deal_instead(ceremony, CHEAT, commitments, constants)
    assert_blamed(ceremony, "proof_of_possession")


@CURVES
def test_19_proof_missing(position: int) -> None:
    ceremony = fresh().run_until(1)
    honest_proofs(ceremony, lambda dealing: replace(dealing, proof=bytes(len(dealing.proof))), position)
    assert_blamed(ceremony, "proof_of_possession")
    ceremony = fresh().run_until(1)
    honest_proofs(ceremony, lambda dealing: replace(dealing, proof=b""), position)
    with pytest.raises(FaultyParticipant) as caught:
        ceremony.deliver(1, 1)
    assert caught.value.index == CHEAT


@CURVES
def test_20_rogue_key(position: int) -> None:
    ceremony = fresh()
    context = ceremony.context
    curve = curve_named(context.curves[position])
    coefficients = coefficients_of(ceremony, CHEAT)
    commitments = commitments_to(context, coefficients)
    # Even a dealer that foresees the others' constants cannot prove possession of X minus their sum.
    chosen = curve.encode_int(4242)
    others = [commitments_to(context, coefficients_of(ceremony, index))[position][0] for index in (1, 3)]
    commitments[position][0] = curve.subtract(curve.base_multiply(chosen), curve.sum(others))
    constants = [chosen if at == position else each[0] for at, each in enumerate(coefficients)]
    deal_instead(ceremony, CHEAT, commitments, constants)
    assert_blamed(ceremony, "proof_of_possession")


@CURVES
def test_21_copied_commitment_without_its_secret(position: int) -> None:
    ceremony = fresh()
    coefficients = coefficients_of(ceremony, CHEAT)
    commitments = commitments_to(ceremony.context, coefficients)
    commitments[position] = commitments_to(ceremony.context, coefficients_of(ceremony, 1))[position]
    deal_instead(ceremony, CHEAT, commitments, [each[0] for each in coefficients])
    assert_blamed(ceremony, "proof_of_possession")


@CURVES
def test_21_copied_constant_with_its_secret(position: int) -> None:
    ceremony = fresh()
    stolen, own = coefficients_of(ceremony, 1), coefficients_of(ceremony, CHEAT)
    coefficients = tuple(stolen[at] if at == position else own[at] for at in (0, 1))
    commitments = commitments_to(ceremony.context, coefficients)
    deal_instead(ceremony, CHEAT, commitments, [each[0] for each in coefficients])
    assert_blamed(ceremony, "duplicate_commitment")


@CURVES
def test_22_another_commitment_than_promised(position: int) -> None:
    ceremony = fresh().run_until(1)
    curve = curve_named(ceremony.context.curves[position])
    shifted = curve.base_multiply(curve.encode_int(31337))
    honest_proofs(
        ceremony,
        lambda dealing: replace(dealing, commitment=(dealing.commitment[0], shifted)),
        position,
    )
    assert_blamed(ceremony, "commitment_opening")


@pytest.mark.parametrize("field", ["entropy", "salt"])
def test_30_chain_code_contribution_changed_after_the_commitment(field: str) -> None:
    ceremony = fresh().run_until(1)
    changes: dict[str, Any] = {field: bytes(32)}
    change_deal(ceremony, CHEAT, lambda deal: replace(deal, **changes))
    assert_blamed(ceremony, "commitment_opening")


def test_30_the_chain_code_depends_on_every_contribution() -> None:
    ceremony = fresh().run_until(4)
    first = ceremony.certificates[1].statement
    again = fresh().run_until(4).certificates[1].statement
    assert first.result("secp256k1").chain_code != again.result("secp256k1").chain_code
    assert first.result("secp256k1").chain_code != first.result("ed25519").chain_code


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31)])
def test_weak_session_keys_are_refused_by_the_dealer(key: bytes) -> None:
    ceremony = fresh()
    hello = parse_hello(ceremony.context, CHEAT, ceremony.sent[0][CHEAT])
    ceremony.forge(0, CHEAT, replace(hello, session_keys=(key, hello.session_keys[1])).encode())
    with pytest.raises(FaultyParticipant) as caught:
        ceremony.deliver(1, 0)
    assert (caught.value.index, caught.value.code) == (CHEAT, "weak_session_key")
    culprit = find_culprit(ceremony.context, ceremony.sent)
    assert culprit is not None
    assert (culprit.index, culprit.code) == (CHEAT, "weak_session_key")


@pytest.mark.parametrize("number", [0, 1, 2, 3])
@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 40), slice(0, 0), None], ids=str)
def test_5_truncated_extended_and_empty_bodies_are_malformed(number: int, cut: slice | None) -> None:
    ceremony = fresh().run_until(number)
    body = ceremony.sent[number][CHEAT]
    ceremony.sent[number][CHEAT] = body + b"\x00" if cut is None else body[cut]
    state = ceremony.machines[1].to_bytes()
    with pytest.raises(MalformedMessage) as caught:
        ceremony.deliver(1, number)
    assert caught.value.index == CHEAT
    assert ceremony.machines[1].to_bytes() == state
    culprit = find_culprit(ceremony.context, ceremony.sent)
    assert isinstance(culprit, MalformedMessage)


def test_the_curves_cannot_be_exchanged() -> None:
    ceremony = fresh().run_until(1)
    change_deal(ceremony, CHEAT, lambda deal: replace(deal, curves=deal.curves[::-1]))
    with pytest.raises(FaultyParticipant) as caught:
        ceremony.deliver(1, 1)
    assert caught.value.index == CHEAT
