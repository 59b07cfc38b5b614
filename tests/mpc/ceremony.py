"""Runs KeyGen in memory, through bytes only, with a hook for whoever wants to cheat.

Also the one place that puts keys together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from nacl.signing import SigningKey

from mpc.certificate import Certificate
from mpc.curves import Curve
from mpc.keygen import KeyGen
from mpc.keyshare import KeyShare
from mpc.polynomial import lagrange_coefficient
from mpc.session import CURVE_NAMES, Participant, SessionContext, Sign

# (round, sender, receiver, body) -> what the receiver gets instead.
Tamper = Callable[[int, int, int, bytes], bytes]


def signing_key(index: int) -> SigningKey:
    return SigningKey(bytes([index]) * 32)


def signer(index: int) -> Sign:
    key = signing_key(index)
    return lambda message: key.sign(message).signature


def roster(size: int) -> tuple[Participant, ...]:
    return tuple(
        Participant(index, f"node{index}", bytes(signing_key(index).verify_key))
        for index in range(1, size + 1)
    )


def make_context(
    threshold: int,
    size: int,
    *,
    curves: tuple[str, ...] = CURVE_NAMES,
    attempt: int = 1,
    allow_single: bool = False,
) -> SessionContext:
    return SessionContext(
        domain="vault",
        protocol="keygen/1",
        digest=bytes(range(32)),
        attempt=attempt,
        role="main",
        epoch=1,
        manifest_hash=bytes(range(32, 64)),
        previous_certificate_hash=b"",
        threshold=threshold,
        participants=roster(size),
        curves=curves,
        allow_single=allow_single,
    )


def honest(number: int, sender: int, receiver: int, body: bytes) -> bytes:
    return body


@dataclass
class Ceremony:
    """All participants of a run. sent: round -> index -> body."""

    context: SessionContext
    machines: dict[int, KeyGen] = field(default_factory=dict)
    sent: dict[int, dict[int, bytes]] = field(default_factory=dict)
    shares: dict[int, KeyShare] = field(default_factory=dict)
    certificates: dict[int, Certificate] = field(default_factory=dict)

    def start(self) -> "Ceremony":
        for index in self.context.indices:
            machine, step = KeyGen.start(self.context, index, signer(index), notes=f"notes {index}".encode())
            self.machines[index] = machine
            self.sent.setdefault(0, {})[index] = step.outgoing[0].body
        return self

    def inbox(self, receiver: int, number: int, tamper: Tamper = honest) -> Mapping[int, bytes]:
        return {
            sender: tamper(number, sender, receiver, body)
            for sender, body in self.sent[number].items()
            if sender != receiver
        }

    def deliver(self, receiver: int, number: int, tamper: Tamper = honest) -> None:
        """Give `receiver` all bodies of one round and collect what it answers."""
        machine = self.machines[receiver]
        assert machine.round == number
        step = machine.receive(self.inbox(receiver, number, tamper))
        for outgoing in step.outgoing:
            assert (outgoing.round, outgoing.to) == (number + 1, 0)
            self.sent.setdefault(outgoing.round, {})[receiver] = outgoing.body
        if step.pending is not None:
            self.shares[receiver] = step.pending
        if step.certificate is not None:
            self.certificates[receiver] = step.certificate

    def run_round(self, number: int, tamper: Tamper = honest) -> "Ceremony":
        for receiver in self.context.indices:
            self.deliver(receiver, number, tamper)
        return self

    def run_until(self, number: int) -> "Ceremony":
        """Complete all rounds before `number`: every machine then waits for the bodies of `number`."""
        if not self.machines:
            self.start()
        for each in range(self.machines[1].round, number):
            self.run_round(each)
        return self

    def forge(self, number: int, sender: int, body: bytes) -> "Ceremony":
        """Replace the body that `sender` shows to everybody, itself included."""
        self.sent[number][sender] = body
        machine = self.machines[sender]
        if machine.round == number:
            machine._bodies = (*machine._bodies[:-1], {sender: body})
        return self


def complete(threshold: int, size: int, *, curves: tuple[str, ...] = CURVE_NAMES) -> Ceremony:
    return Ceremony(make_context(threshold, size, curves=curves)).run_until(4)


def byte_order(curve: Curve) -> Literal["big", "little"]:
    return "big" if curve.name == "secp256k1" else "little"


def interpolate_secret(curve: Curve, shares: Mapping[int, bytes]) -> int:
    """The polynomial's constant term: a whole secret, which the product never computes."""
    order = byte_order(curve)
    return (
        sum(
            int.from_bytes(lagrange_coefficient(curve, shares, index), order) * int.from_bytes(share, order)
            for index, share in shares.items()
        )
        % curve.order
    )
