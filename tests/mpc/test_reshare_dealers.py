"""A dealer of a reshare deals the share that it was certified with, to exactly the new threshold, or is named
(tests 17, 18, 22, 33, 35, 36, 42, 45).
"""

from dataclasses import replace
from typing import Any

import pytest

from mpc.certificate import Statement
from mpc.curves import Point, curve_named
from mpc.dealing_messages import Deal, parse_hello
from mpc.errors import FaultyParticipant, InvalidParameters, UnknownFault
from mpc.keyshare import KeyShare
from tests.mpc.ceremony import Ceremony, reshare, reshare_context
from tests.mpc.cheating import change_deal, coefficients_of, commitments_to, deal_instead, promise, reveal
from tests.mpc.resharing import BOTH, DEALERS, MAIN, NODES, OTHER, PURE, RECEIVER, assert_blamed, mixed

CURVES = pytest.mark.parametrize("position", [0, 1], ids=["secp256k1", "ed25519"])
CHEATS = pytest.mark.parametrize("cheat", DEALERS, ids=["who receives too", "who only deals"])


def commitments_of(ceremony: Ceremony, index: int) -> list[list[Point]]:
    return commitments_to(ceremony.context, coefficients_of(ceremony, index))


@CHEATS
@CURVES
def test_33_42_a_constant_that_is_not_the_certified_share(cheat: int, position: int) -> None:
    ceremony = mixed().start()
    curve = curve_named(ceremony.context.curves[position])
    commitments = commitments_of(ceremony, cheat)
    certified = commitments[position][0]
    commitments[position][0] = curve.add(certified, curve.base_multiply(curve.encode_int(1)))
    deal_instead(ceremony, cheat, commitments)
    assert_blamed(ceremony, 1, cheat, "foreign_constant")


@CURVES
def test_33_the_share_of_another_holder_is_not_its_own(position: int) -> None:
    ceremony = mixed().start()
    commitments = commitments_of(ceremony, PURE)
    commitments[position][0] = commitments_of(ceremony, BOTH)[position][0]
    deal_instead(ceremony, PURE, commitments)
    assert_blamed(ceremony, 1, PURE, "foreign_constant")


@CURVES
def test_36_a_refresh_moves_no_constant(position: int) -> None:
    ceremony = reshare(MAIN, 2, (1, 2, 3)).start()
    curve = curve_named(ceremony.context.curves[position])
    commitments = commitments_of(ceremony, 2)
    commitments[position][0] = curve.base_multiply(curve.encode_int(5))
    deal_instead(ceremony, 2, commitments)
    assert_blamed(ceremony, 1, 2, "foreign_constant")


@CURVES
def test_n11_constants_shifted_so_that_the_root_key_stays_are_found_all_the_same(position: int) -> None:
    # The root key would be the old one and the receivers' shares none of it.
    ceremony = mixed().start()
    curve = curve_named(ceremony.context.curves[position])
    forged = {index: commitments_of(ceremony, index) for index in DEALERS}
    # Lagrange's coefficients at 0 are 2 for share 1 and -1 for share 2.
    for index, shift in ((PURE, 1), (BOTH, 2)):
        constants = forged[index][position]
        constants[0] = curve.add(constants[0], curve.base_multiply(curve.encode_int(shift)))
        promise(ceremony, index, forged[index])
    total = curve.sum([forged[PURE][position][0]] * 2 + [curve.negate(forged[BOTH][position][0])])
    assert total.encoded == MAIN.statement.curves[position].root_key
    ceremony.run_until(1)
    for index in DEALERS:
        reveal(ceremony, index, forged[index])
    for receiver in (RECEIVER, OTHER):
        with pytest.raises(FaultyParticipant) as caught:
            ceremony.deliver(receiver, 1)
        assert (caught.value.index, caught.value.code) == (BOTH, "foreign_constant")
    assert ceremony.culprit() == (BOTH, "foreign_constant")


@CHEATS
@CURVES
@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_17_n10_a_commitment_of_another_length(cheat: int, position: int, count: int) -> None:
    ceremony = mixed().start()
    commitments = commitments_of(ceremony, cheat)
    forged = [*commitments[position], *commitments[position]][:count]
    promised = [forged or each if at == position else each for at, each in enumerate(commitments)]

    def cut(deal: Deal) -> Deal:
        curves = list(deal.curves)
        curves[position] = replace(curves[position], commitment=tuple(forged))
        return replace(deal, curves=tuple(curves))

    # Round 0 commits to the forged vector too: the length is wrong, not the opening.
    deal_instead(ceremony, cheat, promised, change=cut)
    assert_blamed(ceremony, 1, cheat, "commitment_length")


BAD_POINTS = {
    (0, "neutral"): bytes(33),
    (0, "off the curve"): b"\x02" + (7).to_bytes(32, "big"),
    (1, "neutral"): b"\x01" + bytes(31),
    (1, "of order 2"): b"\xec" + b"\xff" * 30 + b"\x7f",
    (1, "off the curve"): b"\x02" + bytes(31),
}


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(("position", "encoded"), [(at, bad) for (at, _), bad in BAD_POINTS.items()], ids=str)
def test_18_n10_invalid_points(position: int, encoded: bytes, at: int) -> None:
    ceremony = mixed().start()
    commitments = commitments_of(ceremony, PURE)
    commitments[position][at] = Point(encoded)
    deal_instead(ceremony, PURE, commitments)
    assert_blamed(ceremony, 1, PURE, "invalid_point")


@CHEATS
@CURVES
def test_22_r22_another_commitment_than_promised(cheat: int, position: int) -> None:
    # Commit before reveal: no dealer chooses its polynomial after it saw another's.
    ceremony = mixed().run_until(1)
    curve = curve_named(ceremony.context.curves[position])

    def change(deal: Deal) -> Deal:
        curves = list(deal.curves)
        shifted = curve.base_multiply(curve.encode_int(31337))
        curves[position] = replace(curves[position], commitment=(curves[position].commitment[0], shifted))
        return replace(deal, curves=tuple(curves))

    change_deal(ceremony, cheat, change)
    assert_blamed(ceremony, 1, cheat, "commitment_opening")


@CHEATS
def test_22_another_salt_than_promised(cheat: int) -> None:
    ceremony = mixed().run_until(1)
    change_deal(ceremony, cheat, lambda deal: replace(deal, salt=bytes(32)))
    assert_blamed(ceremony, 1, cheat, "commitment_opening")


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31)])
def test_weak_session_keys_are_refused_by_the_dealers(key: bytes) -> None:
    ceremony = mixed().start()
    hello = parse_hello(ceremony.context, RECEIVER, ceremony.sent[0][RECEIVER])
    ceremony.forge(0, RECEIVER, replace(hello, session_keys=(key, key)).encode())
    for dealer in DEALERS:
        with pytest.raises(FaultyParticipant) as caught:
            ceremony.deliver(dealer, 0)
        assert (caught.value.index, caught.value.code) == (RECEIVER, "weak_session_key")
    assert ceremony.culprit() == (RECEIVER, "weak_session_key")


ROLES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "a hello of who only receives, with a commitment": (0, RECEIVER, {"commitment": bytes(32)}),
    "a hello of who only receives, without keys": (0, RECEIVER, {"session_keys": ()}),
    "a hello of who only receives, one key less": (0, RECEIVER, {"session_keys": (bytes(32),)}),
    "a hello of who only deals, with keys": (0, PURE, {"session_keys": (bytes(32),)}),
    "a hello of who only deals, without a commitment": (0, PURE, {"commitment": b""}),
    "a hello of who does both, with a key for itself": (0, BOTH, {"session_keys": (bytes(32),) * 2}),
    "a deal of who only receives": (1, RECEIVER, {"salt": bytes(32)}),
    "a deal with a share less": (1, PURE, {"sealed_shares": (bytes(112),) * 2}),
    "a deal with a share for itself": (1, BOTH, {"sealed_shares": (bytes(112),) * 3}),
}


@pytest.mark.parametrize(("number", "sender", "changes"), ROLES.values(), ids=ROLES)
def test_a_body_has_the_form_of_its_senders_role(number: int, sender: int, changes: dict[str, Any]) -> None:
    ceremony = mixed().run_until(number)
    if number == 0:
        hello = parse_hello(ceremony.context, sender, ceremony.sent[0][sender])
        ceremony.forge(0, sender, replace(hello, **changes).encode())
    else:
        change_deal(ceremony, sender, lambda deal: replace(deal, **changes))
    assert_blamed(ceremony, number, sender, "malformed_message")


def test_a_deal_of_a_reshare_has_no_entropy() -> None:
    ceremony = mixed().run_until(1)
    # Read as a salt, the entropy puts the salt where the number of points stands.
    change_deal(ceremony, PURE, lambda deal: replace(deal, entropy=bytes(32), salt=bytes(32)))
    assert_blamed(ceremony, 1, PURE, "commitment_length")


def contradicting(position: int) -> Statement:
    """A source statement whose root key is not what its public shares are shares of."""
    results = list(MAIN.statement.curves)
    curve = curve_named(results[position].curve)
    results[position] = replace(results[position], root_key=curve.base_multiply(curve.encode_int(3)).encoded)
    return replace(MAIN.statement, curves=tuple(results))


@CURVES
def test_35_45_n11_a_root_key_that_would_change_ends_the_run(position: int) -> None:
    source = contradicting(position)
    context = reshare_context(source, 2, NODES, (1, 2))
    held = {
        dealer.index: KeyShare(dealer.source_index, source, MAIN.shares[dealer.source_index].secret_shares)
        for dealer in context.dealers
    }
    ceremony = Ceremony(context, source, held).run_until(1)
    for receiver in context.indices:
        with pytest.raises(UnknownFault) as caught:
            ceremony.deliver(receiver, 1)
        assert caught.value.code == "root_changed"
        assert ceremony.machines[receiver].round == 1
    assert not ceremony.shares
    assert ceremony.culprit() is None, "the dealers did what they should"


@CURVES
def test_45_chain_codes_are_the_sources(position: int) -> None:
    results = list(MAIN.statement.curves)
    results[position] = replace(results[position], chain_code=bytes(32))
    source = replace(MAIN.statement, curves=tuple(results))
    with pytest.raises(InvalidParameters, match="previous_certificate_hash"):
        # Another chain code is another set: its hash is not the one that the session is bound to.
        Ceremony(mixed().context, source).start()
    kept = [result.chain_code for result in mixed().run_until(4).statement.curves]
    assert kept == [result.chain_code for result in MAIN.statement.curves]
