"""A dealer that cheats: it follows the protocol but for the parts a test replaces, and binds them as an
honest dealer would.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mpc.curves import Point, curve_named
from mpc.dealing_checks import deal_commitment, open_shares, sealing_context
from mpc.dealing_messages import CurveDeal, Deal, parse_deal, parse_hello, session_key_for
from mpc.dealing_secrets import Coefficients, draw_coefficients, session_key
from mpc.polynomial import commit
from mpc.pop import prove
from mpc.sealing import seal
from mpc.session import SessionContext
from tests.mpc.ceremony import Ceremony

SALT = ENTROPY = bytes(32)


def coefficients_of(ceremony: Ceremony, index: int) -> Coefficients:
    """An honest dealer's secret polynomials; read before round 0 has been received."""
    kept = ceremony.machines[index]._secrets
    return draw_coefficients(ceremony.context, kept.dealing_seed, kept.constants)


def private_session_key(ceremony: Ceremony, owner: int, dealer: int) -> bytes:
    """The owner's key for this dealer's message; read before round 1 has been received."""
    return session_key(ceremony.machines[owner]._secrets.receiving_seed, dealer)


def commitments_to(context: SessionContext, coefficients: Coefficients) -> list[list[Point]]:
    return [
        list(commit(curve_named(name), each)) for name, each in zip(context.curves, coefficients, strict=True)
    ]


def deal_instead(
    ceremony: Ceremony,
    index: int,
    commitments: Sequence[Sequence[Point]],
    constants: Sequence[bytes] = (),
    change: Callable[[Deal], Deal] = lambda deal: deal,
) -> None:
    """Run rounds 0 and 1 up to the deals, dealer `index` committing to and revealing `commitments`.

    constants: the secrets that a dealer of KeyGen uses in its proofs of possession. Its sealed shares stay
    those of its honest polynomials. `change` alters the finished deal.
    """
    promise(ceremony, index, commitments)
    ceremony.run_until(1)
    reveal(ceremony, index, commitments, constants, change)


def promise(ceremony: Ceremony, index: int, commitments: Sequence[Sequence[Point]]) -> None:
    """Make dealer `index` commit to `commitments` in round 0."""
    context, entropy = ceremony.context, _entropy(ceremony)
    hello = parse_hello(context, index, ceremony.sent[0][index])
    commitment = deal_commitment(context.session_id(), index, commitments, entropy, SALT)
    ceremony.forge(0, index, replace(hello, commitment=commitment).encode())


def reveal(
    ceremony: Ceremony,
    index: int,
    commitments: Sequence[Sequence[Point]],
    constants: Sequence[bytes] = (),
    change: Callable[[Deal], Deal] = lambda deal: deal,
) -> None:
    """Make dealer `index` deal in round 1 what it promised."""
    context = ceremony.context
    deal = parse_deal(context, index, ceremony.sent[1][index])
    curves = [CurveDeal(tuple(commitment)) for commitment in commitments]
    if not context.dealers:
        for at, (name, constant) in enumerate(zip(context.curves, constants, strict=True)):
            curve, public = curve_named(name), commitments[at][0]
            proof = prove(curve, deal.echo, index, constant, public, curve.encode_int(777))
            curves[at] = replace(curves[at], proof=proof)
    forged = replace(deal, curves=tuple(curves), entropy=_entropy(ceremony), salt=SALT)
    ceremony.forge(1, index, change(forged).encode())


def _entropy(ceremony: Ceremony) -> bytes:
    return b"" if ceremony.context.dealers else ENTROPY


def change_deal(ceremony: Ceremony, index: int, change: Callable[[Deal], Deal]) -> None:
    """Replace what dealer `index` broadcasts in round 1."""
    ceremony.forge(1, index, change(parse_deal(ceremony.context, index, ceremony.sent[1][index])).encode())


def reseal(ceremony: Ceremony, dealer: int, victim: int, plaintext: bytes) -> None:
    """Make the dealer's sealed share for one victim hold `plaintext`, in a validly sealed message."""

    def change(deal: Deal) -> Deal:
        hello = parse_hello(ceremony.context, victim, ceremony.sent[0][victim])
        key = session_key_for(ceremony.context, hello, victim, dealer)
        sealed = seal(plaintext, key, sealing_context(deal.echo, dealer, victim), b"\x05" * 32)
        return replace_sealed(ceremony, deal, dealer, victim, sealed)

    change_deal(ceremony, dealer, change)


def replace_sealed(ceremony: Ceremony, deal: Deal, dealer: int, victim: int, sealed: bytes) -> Deal:
    at = ceremony.context.other_receivers(dealer).index(victim)
    return replace(deal, sealed_shares=(*deal.sealed_shares[:at], sealed, *deal.sealed_shares[at + 1 :]))


def dealt_shares(ceremony: Ceremony, dealer: int, victim: int, private_key: bytes) -> tuple[bytes, ...]:
    """What the dealer sealed for the victim, as the holder of the victim's session key sees it."""
    deal = parse_deal(ceremony.context, dealer, ceremony.sent[1][dealer])
    return open_shares(ceremony.context, deal.echo, dealer, victim, deal, private_key)
