"""Proof of possession: Schnorr's proof that a dealer knows the constant term behind its commitment.

Without it a dealer could answer with X minus everyone else's commitments (rogue key). Bound by a tagged hash
to ssid, dealer index, curve and key, so that a proof of another session, participant or key is worth nothing.
The Fiat-Shamir transform gives knowledge soundness by rewinding in the random oracle model;
commit-before-reveal makes that enough here (docs/security.md).
"""

from mpc.curves import SCALAR_SIZE, Curve, Point
from mpc.encoding import tagged_hash
from mpc.errors import EncodingError, PointAtInfinity


def proof_size(curve: Curve) -> int:
    """Bytes of a proof: the nonce point, then the response."""
    return curve.point_size + SCALAR_SIZE


def prove(curve: Curve, ssid: bytes, index: int, secret: bytes, public: Point, nonce: bytes) -> bytes:
    """Prove knowledge of `secret` behind `public`; `nonce` is a fresh secret scalar, never used twice."""
    commitment = curve.base_multiply(nonce)
    challenge = _challenge(curve, ssid, index, public, commitment.encoded)
    response = curve.scalar_add(curve.scalar_multiply(challenge, secret), nonce)
    return commitment.encoded + response


def is_valid(curve: Curve, ssid: bytes, index: int, public: Point, proof: bytes) -> bool:
    """Is this proof of `proof_size` bytes by dealer `index` in session `ssid` for `public` valid?"""
    if len(proof) != proof_size(curve):
        return False
    commitment = proof[: curve.point_size]
    challenge = _challenge(curve, ssid, index, public, commitment)
    try:
        response = curve.base_multiply(curve.parse_scalar(proof[curve.point_size :]))
        # Comparing encodings also refuses every non-canonical nonce point, without a validation of its own.
        return curve.subtract(response, curve.multiply(public, challenge)).encoded == commitment
    except (EncodingError, PointAtInfinity):
        return False


def _challenge(curve: Curve, ssid: bytes, index: int, public: Point, commitment: bytes) -> bytes:
    fields = (ssid, index.to_bytes(2, "big"), curve.name.encode(), public.encoded, commitment)
    wide = tagged_hash("quorate/pop/v1", b"\x00", *fields) + tagged_hash("quorate/pop/v1", b"\x01", *fields)
    return curve.scalar_from_uniform(wide)
