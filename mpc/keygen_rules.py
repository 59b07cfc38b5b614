"""The rules of keygen/1: everybody deals a fresh constant, and the sum of all is the new key."""

from collections.abc import Mapping

from mpc.curves import Curve, Point, curve_named
from mpc.dealing_messages import Deal
from mpc.dealing_secrets import derive
from mpc.encoding import tagged_hash
from mpc.errors import FaultyParticipant
from mpc.pop import is_valid, prove
from mpc.session import SessionContext


class KeyGenRules:
    """See mpc.dealing_rules.Rules."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context

    def entropy(self, seed: bytes) -> bytes:
        return derive(seed, "entropy")[:32]

    def proof(
        self, seed: bytes, ssid: bytes, index: int, curve: Curve, constant: bytes, public: Point
    ) -> bytes:
        # The nonce follows from the ssid too: it can never serve two different challenges.
        nonce = curve.scalar_from_uniform(derive(seed, "pop-nonce", ssid, curve.name.encode()))
        return prove(curve, ssid, index, constant, public, nonce)

    def check_deal(self, ssid: bytes, index: int, deal: Deal) -> None:
        for name, each in zip(self._context.curves, deal.curves, strict=True):
            if not is_valid(curve_named(name), ssid, index, each.commitment[0], each.proof):
                detail = f"{name}: not valid for this session and index"
                raise FaultyParticipant(index, "proof_of_possession", detail)

    def combine_points(self, curve: Curve, points: Mapping[int, Point]) -> Point:
        return curve.sum(points.values())

    def combine_shares(self, curve: Curve, shares: Mapping[int, bytes]) -> bytes:
        return curve.scalar_sum(shares.values())

    def chain_code(self, curve: Curve, root: Point, ssid: bytes, deals: Mapping[int, Deal]) -> bytes:
        entropy = tagged_hash("quorate/entropy/v1", *(deals[index].entropy for index in sorted(deals)))
        return tagged_hash("quorate/chaincode/v1", curve.name.encode(), ssid, entropy)
