"""A proof of possession is worth something for one session, index, curve and key only."""

import pytest

from mpc.curves import ED25519, SECP256K1, Curve
from mpc.encoding import tagged_hash
from mpc.pop import is_valid, proof_size, prove
from tests.mpc.ceremony import byte_order

CURVES = pytest.mark.parametrize("curve", [SECP256K1, ED25519], ids=lambda curve: curve.name)
SSID = bytes(range(32))


def a_proof(curve: Curve) -> bytes:
    public = curve.base_multiply(curve.encode_int(7))
    return prove(curve, SSID, 2, curve.encode_int(7), public, curve.encode_int(12345))


@CURVES
def test_19_a_proof_is_bound_to_session_index_and_key(curve: Curve) -> None:
    public, proof = curve.base_multiply(curve.encode_int(7)), a_proof(curve)
    assert is_valid(curve, SSID, 2, public, proof)
    assert not is_valid(curve, bytes(32), 2, public, proof)
    assert not is_valid(curve, SSID, 1, public, proof)
    assert not is_valid(curve, SSID, 2, curve.base_multiply(curve.encode_int(8)), proof)
    assert not is_valid(curve, SSID, 2, curve.negate(public), proof)


@CURVES
def test_19_every_altered_byte_and_length_is_refused(curve: Curve) -> None:
    public, proof = curve.base_multiply(curve.encode_int(7)), a_proof(curve)
    assert len(proof) == proof_size(curve)
    for at in range(len(proof)):
        assert not is_valid(curve, SSID, 2, public, proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :])
    for wrong in (b"", proof[:-1], proof + b"\x00", bytes(len(proof))):
        assert not is_valid(curve, SSID, 2, public, wrong)


@CURVES
def test_19_a_response_beyond_the_order_is_refused(curve: Curve) -> None:
    order = byte_order(curve)
    public, proof = curve.base_multiply(curve.encode_int(7)), a_proof(curve)
    response = int.from_bytes(proof[curve.point_size :], order)
    # Only Ed25519 leaves room above its order for the same residue again.
    if response + curve.order < 2**256:
        again = proof[: curve.point_size] + (response + curve.order).to_bytes(32, order)
        assert not is_valid(curve, SSID, 2, public, again)
    assert not is_valid(curve, SSID, 2, public, proof[: curve.point_size] + curve.order.to_bytes(32, order))


@CURVES
def test_20_the_challenge_covers_the_key_itself(curve: Curve) -> None:
    # Otherwise anyone picks a response first and solves for a key that it "possesses" (weak Fiat-Shamir).
    order = byte_order(curve)
    public, proof = curve.base_multiply(curve.encode_int(7)), a_proof(curve)
    fields = (SSID, b"\x00\x02", curve.name.encode(), public.encoded, proof[: curve.point_size])
    wide = b"".join(tagged_hash("quorate/pop/v1", bytes([half]), *fields) for half in (0, 1))
    challenge = int.from_bytes(curve.scalar_from_uniform(wide), order)
    response = int.from_bytes(proof[curve.point_size :], order)
    assert response == (12345 + challenge * 7) % curve.order
