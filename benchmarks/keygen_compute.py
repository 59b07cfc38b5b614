"""Compute that KeyGen costs each participant: whole ceremonies in this process, both curves, no network, no
storage.

    python -m benchmarks.keygen_compute [--runs N] [--groups 2-of-3,14-of-20]

A run's figure is its wall time divided by n: hello, deal, checks, statement, both signatures and the
certificate.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from nacl.signing import SigningKey

from mpc.keygen import KeyGen
from mpc.session import Participant, SessionContext

GROUPS = "2-of-3,3-of-5,5-of-9,14-of-20"


def run(threshold: int, size: int) -> float:
    """Seconds per participant of one ceremony.

    Raises RuntimeError if it does not end in valid certificates.
    """
    keys = [SigningKey.generate() for _ in range(size)]
    roster = tuple(Participant(i, f"node-{i}", bytes(key.verify_key)) for i, key in enumerate(keys, start=1))
    context = SessionContext(
        domain="vault",
        protocol="keygen/1",
        digest=bytes(32),
        attempt=1,
        role="main",
        epoch=1,
        manifest_hash=bytes(32),
        previous_certificate_hash=b"",
        threshold=threshold,
        participants=roster,
    )
    began = time.perf_counter()
    started = [KeyGen.start(context, i, _signer(key)) for i, key in enumerate(keys, start=1)]
    machines = {machine.index: machine for machine, _ in started}
    steps = {machine.index: step for machine, step in started}
    while not all(machine.finished for machine in machines.values()):
        bodies = {index: step.outgoing[0].body for index, step in steps.items()}
        for index, machine in machines.items():
            steps[index] = machine.receive({other: body for other, body in bodies.items() if other != index})
    elapsed = time.perf_counter() - began
    certificates = [step.certificate for step in steps.values()]
    if certificates[0] is None or any(certificate != certificates[0] for certificate in certificates):
        raise RuntimeError("participants disagree")
    certificates[0].verify()
    return elapsed / size


def _signer(key: SigningKey) -> Callable[[bytes], bytes]:
    return lambda message: key.sign(message).signature


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="ceremonies per group (default 7)")
    parser.add_argument("--groups", default=GROUPS, help=f"t-of-n list (default {GROUPS})")
    options = parser.parse_args()
    run(2, 3)
    print(f"KeyGen compute per participant, milliseconds, {options.runs} runs")
    print(f"{'group':>10} {'min':>8} {'median':>8} {'max':>8}")
    for group in options.groups.split(","):
        threshold, size = (int(part) for part in group.split("-of-"))
        times = [1000 * run(threshold, size) for _ in range(max(1, options.runs))]
        print(f"{group:>10} {min(times):8.2f} {statistics.median(times):8.2f} {max(times):8.2f}")


if __name__ == "__main__":
    main()
