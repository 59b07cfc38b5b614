"""Sums that make no key or a lower threshold end the run though every dealer's part is valid (tests 28,
29).
"""

from collections.abc import Callable, Sequence

import pytest

from mpc import dealing
from mpc.curves import curve_named
from mpc.dealing import find_culprit
from mpc.dealing_messages import parse_deal
from mpc.dealing_secrets import Coefficients, draw_coefficients
from mpc.errors import UnknownFault
from mpc.session import SessionContext
from tests.mpc.ceremony import Ceremony, make_context

Draw = Callable[[SessionContext, bytes, Sequence[bytes]], Coefficients]


def colluding(position: int, vanishing: int) -> Draw:
    """Dealers whose coefficient number `vanishing` on one curve adds up to 0; the third dealer completes the
    sum.

    Dealers are told apart by the order in which they start; later calls repeat by seed.
    """
    honest, known = draw_coefficients, dict[bytes, Coefficients]()

    def draw(context: SessionContext, seed: bytes, constants: Sequence[bytes]) -> Coefficients:
        if seed not in known:
            drawn = [list(each) for each in honest(context, seed, constants)]
            curve = curve_named(context.curves[position])
            if len(known) == context.size - 1:
                total = [each[position][vanishing] for each in known.values()]
                others = total[0]
                for each in total[1:]:
                    others = curve.scalar_add(others, each)
                drawn[position][vanishing] = curve.scalar_multiply(others, curve.encode_int(-1))
            known[seed] = tuple(tuple(each) for each in drawn)
        return known[seed]

    return draw


@pytest.mark.parametrize("position", [0, 1], ids=["secp256k1", "ed25519"])
@pytest.mark.parametrize(("vanishing", "name"), [(2, "leading"), (0, "constant")])
def test_28_29_sums_that_cancel(
    position: int, vanishing: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing, "draw_coefficients", colluding(position, vanishing))
    ceremony = Ceremony(make_context(3, 3)).run_until(1)
    assert_cancels(ceremony, position, vanishing)
    for receiver in ceremony.context.indices:
        with pytest.raises(UnknownFault) as caught:
            ceremony.deliver(receiver, 1)
        assert (caught.value.index, caught.value.code) == (0, "degenerate_sum")
        assert ceremony.machines[receiver].round == 1
    assert not ceremony.shares
    assert find_culprit(ceremony.context, ceremony.sent) is None, "nobody can be named"


def test_a_public_share_at_infinity_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = draw_coefficients
    calls: dict[bytes, Coefficients] = {}

    def draw(context: SessionContext, seed: bytes, constants: Sequence[bytes]) -> Coefficients:
        if seed not in calls:
            drawn = honest(context, seed, constants)
            if calls:
                # The sum becomes 2c - c x, which is 0 at participant 2.
                curve = curve_named("ed25519")
                constant, slope = next(iter(calls.values()))[0]
                drawn = (
                    (
                        curve.scalar_add(
                            curve.scalar_multiply(constant, curve.encode_int(-1)), curve.encode_int(10)
                        ),
                        curve.scalar_add(
                            curve.scalar_multiply(slope, curve.encode_int(-1)), curve.encode_int(-5)
                        ),
                    ),
                )
            calls[seed] = drawn
        return calls[seed]

    monkeypatch.setattr(dealing, "draw_coefficients", draw)
    ceremony = Ceremony(make_context(2, 2, curves=("ed25519",))).run_until(1)
    with pytest.raises(UnknownFault) as caught:
        ceremony.deliver(1, 1)
    assert caught.value.code == "degenerate_sum"


def assert_cancels(ceremony: Ceremony, position: int, vanishing: int) -> None:
    """The fault is there: minus the last dealer's point is the sum of the others'."""
    context = ceremony.context
    points = [
        parse_deal(context, index, ceremony.sent[1][index]).curves[position].commitment[vanishing]
        for index in context.indices
    ]
    curve = curve_named(context.curves[position])
    assert curve.sum(points[:-1]) == curve.negate(points[-1])
