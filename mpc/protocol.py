"""The small interface that every protocol implements; whoever runs a protocol knows nothing else about it.

A protocol is a state machine without I/O. The runner starts it, sends what a Step tells it to send, collects
the bodies of all other participants for `machine.round`, passes them to `receive`, and stores
`machine.to_bytes()` together with the outgoing bodies and the pending share in one transaction before it
sends (R23). The runner authenticates senders: a body reaches the machine only after its envelope's signature
was checked against the manifest, which is what makes blame provable (R22).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mpc.certificate import Certificate
from mpc.keyshare import KeyShare
from mpc.session import Participant, SessionContext, Sign

__all__ = ["BROADCAST", "Machine", "Outgoing", "Participant", "SessionContext", "Sign", "Step"]

BROADCAST = 0


@dataclass(frozen=True)
class Outgoing:
    """One message to send.

    round: its slot; to: BROADCAST (0) or a participant's index; body: opaque bytes.
    """

    round: int
    to: int
    body: bytes


@dataclass(frozen=True)
class Step:
    """What a machine wants done.

    outgoing: send these; pending: store this share durably before sending (R25); certificate: the run has
    succeeded.
    """

    outgoing: tuple[Outgoing, ...] = ()
    pending: KeyShare | None = None
    certificate: Certificate | None = None


class Machine(Protocol):
    """A running protocol."""

    @property
    def round(self) -> int:
        """The round whose messages the machine waits for."""

    @property
    def finished(self) -> bool:
        """True once a Step carried the certificate."""

    @property
    def notes(self) -> Mapping[int, bytes]:
        """Each participant's notes of round 0, by index; empty until round 0 has been received."""

    def receive(self, bodies: Mapping[int, bytes]) -> Step:
        """Take the bodies of all other participants for `round`, by index, and advance exactly one round.

        Raises ProtocolAbort (or WrongState, InvalidParameters) and then has not advanced; the caller aborts
        the session.
        """

    def to_bytes(self) -> bytes:
        """The whole state, secrets included: the caller encrypts it."""
