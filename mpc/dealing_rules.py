"""In what the protocols of the dealing family differ; all else they share (mpc.dealing)."""

from collections.abc import Mapping
from typing import Protocol

from mpc.certificate import Statement
from mpc.curves import Curve, Point
from mpc.dealing_messages import Deal
from mpc.errors import InvalidParameters
from mpc.keygen_rules import KeyGenRules
from mpc.reshare_rules import ReshareRules
from mpc.session import KEYGEN, RESHARE, SessionContext


class Rules(Protocol):
    """What a deal must hold, and how all deals become one sharing. Mappings are by dealer index."""

    def entropy(self, seed: bytes) -> bytes:
        """The dealer's part of the chain codes; empty where these are given."""

    def proof(
        self, seed: bytes, ssid: bytes, index: int, curve: Curve, constant: bytes, public: Point
    ) -> bytes:
        """Proof that the dealer knows its constant term; empty where that is pinned."""

    def check_deal(self, ssid: bytes, index: int, deal: Deal) -> None:
        """Is the constant term of each curve one that this dealer may deal? Raises FaultyParticipant."""

    def combine_points(self, curve: Curve, points: Mapping[int, Point]) -> Point:
        """Raises PointAtInfinity."""

    def combine_shares(self, curve: Curve, shares: Mapping[int, bytes]) -> bytes:
        """The receiver's share. Raises InvalidScalar if that is 0."""

    def chain_code(self, curve: Curve, root: Point, ssid: bytes, deals: Mapping[int, Deal]) -> bytes:
        """The chain code that belongs to this root key. Raises UnknownFault if the root may not be."""


def rules_of(context: SessionContext, source: Statement | None) -> Rules:
    """The rules of the context's protocol.

    source: of a reshare, the statement of the verified certificate that it starts from. Raises
    InvalidParameters.
    """
    if context.protocol == KEYGEN and source is None:
        return KeyGenRules(context)
    if context.protocol == RESHARE and source is not None:
        return ReshareRules(context, source)
    if context.protocol in (KEYGEN, RESHARE):
        raise InvalidParameters("source", f"must be given for {RESHARE} and only there")
    raise InvalidParameters("protocol", f"must be {KEYGEN} or {RESHARE}")
