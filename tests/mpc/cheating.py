"""A dealer that cheats: it follows KeyGen but for the parts a test replaces, and binds them as an honest
dealer would.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mpc.curves import Point, curve_named
from mpc.keygen import draw_coefficients
from mpc.keygen_checks import deal_commitment, open_shares, sealing_context
from mpc.keygen_messages import Deal, Dealing, parse_deal, parse_hello, slot
from mpc.polynomial import commit
from mpc.pop import prove
from mpc.sealing import seal
from mpc.session import SessionContext
from tests.mpc.ceremony import Ceremony

Coefficients = tuple[tuple[bytes, ...], ...]
SALT = ENTROPY = bytes(32)


def coefficients_of(ceremony: Ceremony, index: int) -> Coefficients:
    """An honest dealer's secret polynomials; read before round 0 has been received."""
    return draw_coefficients(ceremony.context, ceremony.machines[index]._secrets.dealing_seed)


def commitments_to(context: SessionContext, coefficients: Coefficients) -> list[list[Point]]:
    return [
        list(commit(curve_named(name), each)) for name, each in zip(context.curves, coefficients, strict=True)
    ]


def deal_instead(
    ceremony: Ceremony,
    index: int,
    commitments: Sequence[Sequence[Point]],
    constants: Sequence[bytes],
    change: Callable[[Deal], Deal] = lambda deal: deal,
) -> None:
    """Run rounds 0 and 1 up to the deals, dealer `index` committing to and revealing `commitments`.

    constants: the secrets that the dealer uses in its proofs of possession. Its sealed shares stay those of
    its honest polynomials. `change` alters the finished deal.
    """
    context, session_id = ceremony.context, ceremony.context.session_id()
    hello = parse_hello(context, index, ceremony.sent[0][index])
    promise = deal_commitment(session_id, index, commitments, ENTROPY, SALT)
    ceremony.forge(0, index, replace(hello, commitment=promise).encode())
    ceremony.run_until(1)
    deal = parse_deal(context, index, ceremony.sent[1][index])
    dealings = []
    for name, commitment, constant in zip(context.curves, commitments, constants, strict=True):
        curve = curve_named(name)
        proof = prove(curve, deal.echo, index, constant, commitment[0], curve.encode_int(777))
        dealings.append(Dealing(tuple(commitment), proof))
    forged = replace(deal, dealings=tuple(dealings), entropy=ENTROPY, salt=SALT)
    ceremony.forge(1, index, change(forged).encode())


def change_deal(ceremony: Ceremony, index: int, change: Callable[[Deal], Deal]) -> None:
    """Replace what dealer `index` broadcasts in round 1."""
    ceremony.forge(1, index, change(parse_deal(ceremony.context, index, ceremony.sent[1][index])).encode())


def reseal(ceremony: Ceremony, dealer: int, victim: int, plaintext: bytes) -> None:
    """Make the dealer's sealed share for one victim hold `plaintext`, in a validly sealed message."""

    def change(deal: Deal) -> Deal:
        hello = parse_hello(ceremony.context, victim, ceremony.sent[0][victim])
        key = hello.session_keys[slot(ceremony.context, victim, dealer)]
        sealed = seal(plaintext, key, sealing_context(deal.echo, dealer, victim), b"\x05" * 32)
        return replace_sealed(ceremony, deal, dealer, victim, sealed)

    change_deal(ceremony, dealer, change)


def replace_sealed(ceremony: Ceremony, deal: Deal, dealer: int, victim: int, sealed: bytes) -> Deal:
    at = slot(ceremony.context, dealer, victim)
    return replace(deal, sealed_shares=(*deal.sealed_shares[:at], sealed, *deal.sealed_shares[at + 1 :]))


def dealt_shares(ceremony: Ceremony, dealer: int, victim: int, private_key: bytes) -> tuple[bytes, ...]:
    """What the dealer sealed for the victim, as the holder of the victim's session key sees it."""
    deal = parse_deal(ceremony.context, dealer, ceremony.sent[1][dealer])
    return open_shares(ceremony.context, deal.echo, dealer, victim, deal, private_key)
