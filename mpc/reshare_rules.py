"""The rules of reshare/1: t holders of a source set deal their own shares, and root keys stay what they are.

A dealer's constant term is pinned to its certified public share (what happens otherwise: ePrint 2020/1052),
so the certificate of the source set takes the place of proofs of possession. With Lagrange's
coefficients of the dealers' source indices the constants add up to the root key, and the polynomials to a
fresh sharing of it. Chain codes are copied.
"""

from collections.abc import Mapping

from mpc.certificate import Statement
from mpc.curves import Curve, Point, curve_named
from mpc.dealing_messages import Deal
from mpc.errors import FaultyParticipant, InvalidParameters, UnknownFault
from mpc.keyshare import KeyShare
from mpc.polynomial import lagrange_coefficient
from mpc.session import SessionContext


def check_source(context: SessionContext, source: Statement) -> None:
    """Is `source` the set that this reshare starts from, and are the dealers t of its holders?

    Raises InvalidParameters that names the field of the context (test 34).
    """
    if source.certificate_hash() != context.previous_certificate_hash:
        raise InvalidParameters("previous_certificate_hash", "is of another share set")
    before = source.context
    if before.domain != context.domain:
        raise InvalidParameters("domain", "is not the source set's (R2)")
    if before.curves != context.curves:
        raise InvalidParameters("curves", "are not the source set's")
    if len(context.dealers) != before.threshold:
        raise InvalidParameters("dealers", f"must be exactly {before.threshold} holders of the source set")
    for dealer in context.dealers:
        if dealer.source_index not in before.receiver_indices:
            raise InvalidParameters("dealers.source_index", "is no share of the source set")
        member = context.participants[dealer.index - 1]
        holder = before.participants[dealer.source_index - 1]
        if (member.node_id, member.verify_key) != (holder.node_id, holder.verify_key):
            raise InvalidParameters("dealers", f"participant {dealer.index} is not the holder of its share")


def check_share(context: SessionContext, source: Statement, index: int, share: KeyShare) -> None:
    """Is this the share that participant `index` deals? Raises InvalidParameters, InvalidCertificate."""
    if all((dealer.index, dealer.source_index) != (index, share.index) for dealer in context.dealers):
        raise InvalidParameters("share", "is not the one that this participant deals")
    if share.statement != source:
        raise InvalidParameters("share", "is not of the source set")
    share.verify()


class ReshareRules:
    """See mpc.dealing_rules.Rules. Raises InvalidParameters."""

    def __init__(self, context: SessionContext, source: Statement) -> None:
        check_source(context, source)
        self._source = source
        self._source_index = {dealer.index: dealer.source_index for dealer in context.dealers}
        sources = self._source_index.values()
        self._weights = {
            name: {
                index: lagrange_coefficient(curve_named(name), sources, at)
                for index, at in self._source_index.items()
            }
            for name in context.curves
        }

    def entropy(self, seed: bytes) -> bytes:
        return b""

    def proof(
        self, seed: bytes, ssid: bytes, index: int, curve: Curve, constant: bytes, public: Point
    ) -> bytes:
        return b""

    def check_deal(self, ssid: bytes, index: int, deal: Deal) -> None:
        for result, each in zip(self._source.curves, deal.curves, strict=True):
            # Tests 33, 36 and 42: whatever else it deals, it deals the share that it was certified with.
            if each.commitment[0].encoded != result.public_shares[self._source_index[index] - 1]:
                detail = f"{result.curve}: the constant term is not its certified share"
                raise FaultyParticipant(index, "foreign_constant", detail)

    def combine_points(self, curve: Curve, points: Mapping[int, Point]) -> Point:
        weights = self._weights[curve.name]
        return curve.sum(curve.multiply(point, weights[index]) for index, point in points.items())

    def combine_shares(self, curve: Curve, shares: Mapping[int, bytes]) -> bytes:
        weights = self._weights[curve.name]
        return curve.scalar_sum(
            curve.scalar_multiply(share, weights[index]) for index, share in shares.items()
        )

    def chain_code(self, curve: Curve, root: Point, ssid: bytes, deals: Mapping[int, Deal]) -> bytes:
        result = self._source.result(curve.name)
        # Tests 35 and 45: pinned constants add up to it unless the source statement contradicts itself.
        if root.encoded != result.root_key:
            raise UnknownFault("root_changed", f"{curve.name}: the dealers' shares are not of the root key")
        return result.chain_code
