"""Polynomials that cancel: a lower threshold ends the run, a partial sum of 0 harms nobody (tests 25, 28)."""

from collections.abc import Callable, Sequence

import pytest

from mpc import dealing
from mpc.curves import curve_named
from mpc.dealing_messages import parse_deal
from mpc.dealing_secrets import Coefficients, draw_coefficients
from mpc.errors import UnknownFault
from mpc.polynomial import evaluate, lagrange_coefficient
from mpc.session import SessionContext
from tests.mpc.ceremony import Ceremony, complete, reshare
from tests.mpc.cheating import dealt_shares, private_session_key

CURVES = pytest.mark.parametrize("position", [0, 1], ids=["secp256k1", "ed25519"])
BASE = complete(3, 3)
Draw = Callable[[SessionContext, bytes, Sequence[bytes]], Coefficients]
# Takes what the first dealers drew on one curve and what the last one drew; returns its linear coefficient.
Choose = Callable[[list[Sequence[bytes]], Sequence[bytes]], bytes]


def colluding(position: int, dealers: int, choose: Choose) -> Draw:
    """The first `dealers` dealers collude: the last of them chooses its linear coefficient by the others'.

    Dealers are told apart by the order in which they start; later calls repeat by seed.
    """
    known: dict[bytes, Coefficients] = {}

    def draw(context: SessionContext, seed: bytes, constants: Sequence[bytes]) -> Coefficients:
        if seed not in known:
            drawn = [list(each) for each in draw_coefficients(context, seed, constants)]
            if len(known) == dealers - 1:
                others: list[Sequence[bytes]] = [each[position] for each in known.values()]
                drawn[position][1] = choose(others, drawn[position])
            known[seed] = tuple(tuple(each) for each in drawn)
        return known[seed]

    return draw


def weight(name: str, source_index: int) -> bytes:
    return lagrange_coefficient(curve_named(name), (1, 2, 3), source_index)


@CURVES
def test_28_a_leading_coefficient_that_cancels_would_lower_the_threshold(
    position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = BASE.context.curves[position]
    curve = curve_named(name)

    def cancel(others: list[Sequence[bytes]], _own: Sequence[bytes]) -> bytes:
        # Lagrange's coefficients at 0 of 1, 2, 3 are 3, -3, 1.
        weighted = [curve.scalar_multiply(each[1], weight(name, at)) for at, each in enumerate(others, 1)]
        return curve.scalar_multiply(curve.scalar_sum(weighted), curve.encode_int(-1))

    monkeypatch.setattr(dealing, "draw_coefficients", colluding(position, 3, cancel))
    ceremony = reshare(BASE, 2, (1, 2, 3)).run_until(1)
    first, second, third = (
        parse_deal(ceremony.context, index, ceremony.sent[1][index]).curves[position].commitment[1]
        for index in (1, 2, 3)
    )
    assert curve.sum([first] * 3 + [curve.negate(second)] * 3) == curve.negate(third), "the fault is there"
    for receiver in ceremony.context.indices:
        with pytest.raises(UnknownFault) as caught:
            ceremony.deliver(receiver, 1)
        assert caught.value.code == "degenerate_sum"
    assert not ceremony.shares
    assert ceremony.culprit() is None, "nobody can be named"


@CURVES
def test_25_two_dealers_whose_shares_for_a_third_party_cancel_do_not_stop_it(
    position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, victim = BASE.context.curves[position], 1
    curve = curve_named(name)

    def cancel(others: list[Sequence[bytes]], own: Sequence[bytes]) -> bytes:
        theirs = curve.scalar_multiply(evaluate(curve, others[0], victim), weight(name, 1))
        # w2 (constant + linear * 1) = -theirs
        minus = curve.scalar_multiply(theirs, curve.encode_int(-1))
        inverse = pow(-3, -1, curve.order)
        wanted = curve.scalar_multiply(minus, curve.encode_int(inverse))
        return curve.scalar_add(wanted, curve.scalar_multiply(own[0], curve.encode_int(-1)))

    monkeypatch.setattr(dealing, "draw_coefficients", colluding(position, 2, cancel))
    # Nodes 7, 8, 9 receive, so that the victim adds up what it got from dealers 1, 2, 3 in this order.
    ceremony = reshare(BASE, 2, (7, 8, 9)).start()
    keys = [private_session_key(ceremony, victim, dealer) for dealer in (4, 5)]
    ceremony.run_until(1)
    assert_cancels(ceremony, position, victim, keys)
    ceremony.run_until(4)
    ceremony.shares[victim].verify()
    ceremony.certificate.verify()


def assert_cancels(ceremony: Ceremony, position: int, victim: int, keys: Sequence[bytes]) -> None:
    """The fault is there: the first two dealers' weighted shares for the victim are opposite."""
    name = ceremony.context.curves[position]
    curve = curve_named(name)
    first, second = (
        curve.scalar_multiply(dealt_shares(ceremony, dealer, victim, key)[position], weight(name, at))
        for at, (dealer, key) in enumerate(zip((4, 5), keys, strict=True), start=1)
    )
    assert first == curve.scalar_multiply(second, curve.encode_int(-1))
