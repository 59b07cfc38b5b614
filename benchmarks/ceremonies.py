"""Whole ceremonies in this process, timed: both curves, no network, no storage."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nacl.signing import SigningKey

from mpc.certificate import Certificate, Statement
from mpc.dealing import Dealing
from mpc.keyshare import KeyShare
from mpc.session import KEYGEN, RESHARE, Dealer, Participant, SessionContext


@dataclass(frozen=True)
class Run:
    """A finished ceremony. seconds: wall time per participant; shares: by index."""

    certificate: Certificate
    shares: Mapping[int, KeyShare]
    seconds: float


def key_gen(threshold: int, size: int) -> Run:
    """Raises RuntimeError unless it ends in one valid certificate."""
    return _run(_context(KEYGEN, threshold, size))


def reshare(base: Run, threshold: int, size: int) -> Run:
    """Reshare to members 1..size, dealt by the first t of the base's members. Raises RuntimeError."""
    source = base.certificate.statement
    dealers = range(1, source.context.threshold + 1)
    context = _context(
        RESHARE,
        threshold,
        size,
        previous_certificate_hash=base.certificate.hash(),
        dealers=tuple(Dealer(index, index) for index in dealers),
    )
    return _run(context, source, {index: base.shares[index] for index in dealers})


def print_table(title: str, rows: Sequence[tuple[str, Sequence[float]]]) -> None:
    """rows: group and the seconds of each run; prints milliseconds."""
    width = max(len(group) for group, _ in rows)
    print(title)
    print(f"{'group':>{width}} {'min':>8} {'median':>8} {'max':>8}")
    for group, seconds in rows:
        figures = (1000 * each(seconds) for each in (min, statistics.median, max))
        print(f"{group:>{width}}", *(f"{figure:8.2f}" for figure in figures))


def _key(index: int) -> SigningKey:
    return SigningKey(index.to_bytes(32, "big"))


def _signer(index: int) -> Callable[[bytes], bytes]:
    key = _key(index)
    return lambda message: key.sign(message).signature


def _context(
    protocol: str,
    threshold: int,
    size: int,
    previous_certificate_hash: bytes = b"",
    dealers: tuple[Dealer, ...] = (),
) -> SessionContext:
    return SessionContext(
        domain="vault",
        protocol=protocol,
        digest=bytes(32),
        attempt=1,
        role="main",
        epoch=1,
        manifest_hash=bytes(32),
        previous_certificate_hash=previous_certificate_hash,
        threshold=threshold,
        participants=tuple(
            Participant(index, f"node-{index}", bytes(_key(index).verify_key)) for index in range(1, size + 1)
        ),
        dealers=dealers,
    )


def _run(
    context: SessionContext, source: Statement | None = None, held: Mapping[int, KeyShare] | None = None
) -> Run:
    signers = {index: _signer(index) for index in context.indices}
    shares: dict[int, KeyShare] = {}
    began = time.perf_counter()
    machines, steps = {}, {}
    for index, sign in signers.items():
        share = (held or {}).get(index)
        machines[index], steps[index] = Dealing.start(context, index, sign, source=source, share=share)
    while not all(machine.finished for machine in machines.values()):
        bodies = {index: step.outgoing[0].body for index, step in steps.items()}
        for index, machine in machines.items():
            step = machine.receive({other: body for other, body in bodies.items() if other != index})
            steps[index] = step
            if step.pending is not None:
                shares[index] = step.pending
    elapsed = time.perf_counter() - began
    certificates = [step.certificate for step in steps.values()]
    first = certificates[0]
    if first is None or any(certificate != first for certificate in certificates):
        raise RuntimeError("participants disagree")
    first.verify()
    return Run(first, shares, elapsed / context.size)
