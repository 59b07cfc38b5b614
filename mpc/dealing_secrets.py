"""What a dealer and a receiver derive from their two seeds: the same bytes however often a step runs (R23).

Everything follows from a seed and public values by HMAC-SHA512. The dealing seed makes the polynomials and
what goes with them, the receiving seed the session keys.
"""

import hashlib
import hmac
from collections.abc import Sequence

from mpc.curves import curve_named
from mpc.encoding import encode_fields
from mpc.polynomial import evaluate
from mpc.session import SessionContext

SEED_SIZE = 32

Coefficients = tuple[tuple[bytes, ...], ...]


def derive(seed: bytes, label: str, *fields: bytes) -> bytes:
    """64 bytes of HMAC-SHA512, a PRF under the secret seed."""
    return hmac.digest(seed, encode_fields(f"quorate/dealing/{label}/v1", *fields), hashlib.sha512)


def draw_coefficients(context: SessionContext, seed: bytes, constants: Sequence[bytes] = ()) -> Coefficients:
    """The dealer's secret polynomials, one a curve, t coefficients each, constant term first.

    All are uniform; in a reshare `constants`, the dealer's own shares, take the place of the constant terms.
    """
    drawn = tuple(
        tuple(
            curve_named(name).scalar_from_uniform(
                derive(seed, "coefficient", name.encode(), k.to_bytes(2, "big"))
            )
            for k in range(context.threshold)
        )
        for name in context.curves
    )
    if not constants:
        return drawn
    return tuple((constant, *each[1:]) for constant, each in zip(constants, drawn, strict=True))


def evaluate_all(context: SessionContext, coefficients: Coefficients, index: int) -> tuple[bytes, ...]:
    """The shares of `index`, one a curve."""
    return tuple(
        evaluate(curve_named(name), each, index)
        for name, each in zip(context.curves, coefficients, strict=True)
    )


def session_key(receiving_seed: bytes, dealer: int) -> bytes:
    """The X25519 private key that opens the message of this dealer and no other (R22)."""
    return derive(receiving_seed, "session-key", dealer.to_bytes(2, "big"))[:32]


def ephemeral_key(dealing_seed: bytes, ssid: bytes, recipient: int) -> bytes:
    """The single-use X25519 private key of one sealed share."""
    return derive(dealing_seed, "ephemeral", ssid, recipient.to_bytes(2, "big"))[:32]


def salt(dealing_seed: bytes) -> bytes:
    """What hides the deal that round 0 commits to, 32 bytes."""
    return derive(dealing_seed, "salt")[:32]
