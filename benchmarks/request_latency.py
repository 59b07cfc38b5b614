"""Latency of a KeyGen from its last approval to Success: real processes, Postgres and Redis, one machine.

    .venv/bin/python -m benchmarks.request_latency [--runs 20] [--threshold 2] [--participants 3]

Prints the median, minimum and 95th percentile of the whole and of its parts:
queue: last approval to the opening of the ceremony;
compute: the busiest node's time in the protocol;
network: the rest of the time from the opening to the certificate, four rounds of messages and their storage;
finish: certificate to Success.
"""

import argparse
import os
import sqlite3
import statistics
import tempfile
from pathlib import Path

from tests.live.stack import Stack
from tests.services import provide_postgres, provide_redis

QUERY = """
SELECT extract(epoch FROM max(a.received_at)), extract(epoch FROM c.started_at), extract(epoch FROM
s.created_at),
       extract(epoch FROM r.updated_at)
FROM tss_tssrequest r
JOIN tss_approval a ON a.request_id = r.id
JOIN tss_ceremony c ON c.request_id = r.id
JOIN tss_shareset s ON s.ceremony_id = c.session_id
WHERE r.id = %s GROUP BY c.started_at, s.created_at, r.updated_at
"""


def main() -> None:
    """Start what is missing, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threshold", type=int, default=2)
    parser.add_argument("--participants", type=int, default=3, choices=(2, 3, 4, 5))
    options = parser.parse_args()
    with (
        provide_postgres(durable=True) as postgres,
        provide_redis() as redis,
        tempfile.TemporaryDirectory() as folder,
    ):
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = postgres.url, redis.url
        stack = Stack(Path(folder), proxied=False)
        try:
            stack.start()
            samples = [_sample(stack, run, options) for run in range(options.runs + 2)][2:]
        finally:
            stack.stop()
    scheme = f"{options.threshold} of {options.participants}"
    print(f"KeyGen {scheme}, {options.runs} runs after 2 warm-ups, milliseconds")
    print(f"{'':34}{'median':>9}{'min':>9}{'p95':>9}")
    for position, name in enumerate(
        ("last approval -> Success", "  queue", "  compute", "  network", "  finish")
    ):
        values = sorted(sample[position] * 1000 for sample in samples)
        p95 = values[min(len(values) - 1, round(0.95 * len(values)))]
        print(f"{name:34}{statistics.median(values):9.1f}{values[0]:9.1f}{p95:9.1f}")


def _sample(stack: Stack, run: int, options: argparse.Namespace) -> tuple[float, ...]:
    names = ["alice", "bob", "carol", "dave", "erin"][: options.participants]
    vault_id = stack.vault(f"run {run}")
    request_id = stack.key_gen(vault_id, stack.group(vault_id, names, options.threshold))
    request = stack.finished(vault_id, request_id)
    if request["status"] != "Success":
        raise SystemExit(f"the request ended as {request['state']}: {request['state_reason']}")
    approved, opened, certified, succeeded = (float(value) for value in stack.sql(QUERY, request_id)[0])
    compute = max(_compute_seconds(stack, name) for name in names)
    network = certified - opened - compute
    return succeeded - approved, opened - approved, compute, network, succeeded - certified


def _compute_seconds(stack: Stack, name: str) -> float:
    with sqlite3.connect(f"file:{stack.nodes[name].folder / 'node.sqlite3'}?mode=ro", uri=True) as connection:
        row = connection.execute(
            "SELECT compute_us FROM sessions ORDER BY started_at DESC LIMIT 1"
        ).fetchone()
    return float(row[0]) / 1e6


if __name__ == "__main__":
    main()
