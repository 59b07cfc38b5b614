"""Runs KeyGen and reshares in memory, through bytes only, with a hook for whoever wants to cheat.

A node is known by its number, which never changes; its index in a session is its place in that roster. Also
the one place that puts keys together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nacl.signing import SigningKey

from mpc.certificate import Certificate, Statement
from mpc.curves import Curve
from mpc.dealing import Dealing, find_culprit
from mpc.keyshare import KeyShare
from mpc.polynomial import lagrange_coefficient
from mpc.session import CURVE_NAMES, KEYGEN, RESHARE, Dealer, Participant, SessionContext, Sign

# (round, sender, receiver, body) -> what the receiver gets instead.
Tamper = Callable[[int, int, int, bytes], bytes]


def signing_key(node: int) -> SigningKey:
    return SigningKey(bytes([node]) * 32)


def signer(node: int) -> Sign:
    key = signing_key(node)
    return lambda message: key.sign(message).signature


def roster_of(nodes: Iterable[int]) -> tuple[Participant, ...]:
    return tuple(
        Participant(index, f"node{node}", bytes(signing_key(node).verify_key))
        for index, node in enumerate(nodes, start=1)
    )


def roster(size: int) -> tuple[Participant, ...]:
    return roster_of(range(1, size + 1))


def node_at(context: SessionContext, index: int) -> int:
    return int(context.participants[index - 1].node_id.removeprefix("node"))


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
        protocol=KEYGEN,
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


def reshare_context(
    source: Statement,
    threshold: int,
    nodes: Sequence[int],
    dealers: Sequence[int],
    *,
    attempt: int = 1,
    role: str = "main",
    allow_single: bool = False,
) -> SessionContext:
    """nodes: numbers of the new holders in index order; dealers: source indices."""
    old = source.context
    dealing = {at: node_at(old, at) for at in sorted(dealers)}
    pure = [node for node in dealing.values() if node not in nodes]
    everyone = [*nodes, *pure]
    return SessionContext(
        domain=old.domain,
        protocol=RESHARE,
        digest=bytes(range(1, 33)),
        attempt=attempt,
        role=role,
        epoch=old.epoch + 1,
        manifest_hash=bytes(range(64, 96)),
        previous_certificate_hash=source.certificate_hash(),
        threshold=threshold,
        participants=roster_of(everyone),
        curves=old.curves,
        dealers=tuple(Dealer(everyone.index(node) + 1, at) for at, node in dealing.items()),
        pure_dealers=len(pure),
        allow_single=allow_single,
    )


def honest(number: int, sender: int, receiver: int, body: bytes) -> bytes:
    return body


@dataclass
class Ceremony:
    """All participants of a run.

    source, held: of a reshare, the set that it starts from and its dealers' shares by index in this session;
    sent: round -> index -> body.
    """

    context: SessionContext
    source: Statement | None = None
    held: Mapping[int, KeyShare] = field(default_factory=dict)
    machines: dict[int, Dealing] = field(default_factory=dict)
    sent: dict[int, dict[int, bytes]] = field(default_factory=dict)
    shares: dict[int, KeyShare] = field(default_factory=dict)
    certificates: dict[int, Certificate] = field(default_factory=dict)

    def start(self) -> "Ceremony":
        for index in self.context.indices:
            machine, step = Dealing.start(
                self.context,
                index,
                self.signer(index),
                source=self.source,
                share=self.held.get(index),
                notes=f"notes {index}".encode(),
            )
            self.machines[index] = machine
            self.sent.setdefault(0, {})[index] = step.outgoing[0].body
        return self

    def signer(self, index: int) -> Sign:
        return signer(node_at(self.context, index))

    @property
    def statement(self) -> Statement:
        """What all participants of a finished run agree on."""
        return self.certificate.statement

    @property
    def certificate(self) -> Certificate:
        (encoded,) = {certificate.encode() for certificate in self.certificates.values()}
        assert set(self.certificates) == set(self.context.indices)
        return Certificate.parse(encoded)

    def culprit(self) -> tuple[int, str] | None:
        """Whom the keeper of the mailbox names, with the code."""
        fault = find_culprit(self.context, self.sent, self.source)
        return (fault.index, fault.code) if fault else None

    def restart(self, index: int) -> None:
        """Kill this participant and let it go on from its stored state."""
        data = self.machines[index].to_bytes()
        machine = Dealing.from_bytes(self.context, data, self.signer(index), source=self.source)
        assert machine.to_bytes() == data
        self.machines[index] = machine

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


def reshare(
    base: Ceremony,
    threshold: int,
    nodes: Sequence[int],
    dealers: Sequence[int] = (),
    *,
    attempt: int = 1,
    role: str = "main",
) -> Ceremony:
    """A reshare of a finished run's set, not yet started; dealers are its first t holders unless given."""
    source = base.statement
    chosen = dealers or range(1, source.context.threshold + 1)
    context = reshare_context(source, threshold, nodes, chosen, attempt=attempt, role=role)
    held = {dealer.index: base.shares[dealer.source_index] for dealer in context.dealers}
    return Ceremony(context, source, held)


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
