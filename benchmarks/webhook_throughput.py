"""Webhook deliveries of one worker process: a minute to twenty loopback endpoints, the median of three.

    .venv/bin/python -m benchmarks.webhook_throughput [--runs 3] [--seconds 60] [--endpoints 20]

Durable Postgres, Redis, one Celery worker as docs/operations.md starts it, one receiver process that reads
and answers. More events than a run can deliver are stored before the worker starts, and their endpoints rung
for once; from then on the worker keeps going by itself. What counts is what the receiver has got between the
first arrival and the end of the time, each delivery signed three ways and logged.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from quickstart.processes import Processes, python
from tests.services import provide_postgres, provide_redis

TYPE = "mpc_vaults.created"
# Beyond what the machine delivers, deliveries a second.
SUPPLY = 1500


def main() -> None:
    """Start what is missing, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--endpoints", type=int, default=20)
    options = parser.parse_args()
    rates = [_run(options.seconds, options.endpoints) for _ in range(options.runs)]
    print(f"one worker process, {options.endpoints} endpoints, {options.seconds} s a run")
    print(f"deliveries a second: {', '.join(f'{rate:.0f}' for rate in rates)}")
    print(f"median: {statistics.median(rates):.0f}")


def _run(seconds: int, endpoints: int) -> float:
    with provide_postgres(durable=True) as postgres, provide_redis() as redis, TemporaryDirectory() as folder:
        environment = {
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            "SECRET_KEY": "benchmarks only " * 4,
            "ALLOWED_HOSTS": "127.0.0.1",
            "RESPONSE_SIGNING_KEY": "5a" * 32,
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "WEBHOOK_NETWORKS": "127.0.0.0/8",
        }
        context = multiprocessing.get_context("spawn")
        arrived, done = context.Value("q", 0), context.Event()
        port = context.Queue()
        receiver = context.Process(target=_receive, args=(port, arrived, done), daemon=True)
        receiver.start()
        setup = context.Process(target=_store, args=(environment, port.get(), endpoints, seconds * SUPPLY))
        setup.start()
        setup.join()
        if setup.exitcode != 0:
            raise SystemExit("the events could not be stored")
        processes = Processes(Path(folder))
        try:
            worker = python(
                "-m", "celery", "-A", "config", "worker", "--queues", "coordinator", "-l", "WARNING"
            )
            processes.start("worker", worker, environment)
            while arrived.value == 0:
                processes.check()
                time.sleep(0.01)
            began, before = time.monotonic(), arrived.value
            time.sleep(seconds)
            rate: float = (arrived.value - before) / (time.monotonic() - began)
            if arrived.value >= seconds * SUPPLY:
                raise SystemExit("everything was delivered before the end: raise SUPPLY")
            processes.check()
        finally:
            processes.stop()
            done.set()
            receiver.join()
    return rate


def _store(environment: dict[str, str], port: int, endpoints: int, deliveries: int) -> None:
    """An organisation, its endpoints and the events; rung for when all is there."""
    os.environ.update(environment)
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import transaction

    from vaults import services as vaults
    from vaults.actors import Actor
    from webhooks import outbox, services

    call_command("migrate", verbosity=0)
    actor = Actor.system("benchmark")
    organisation = vaults.create_organisation(actor=actor, name="benchmark")
    rows = [
        services.create_endpoint(
            actor=actor,
            organisation=organisation,
            url=f"http://127.0.0.1:{port}/{number}",
            subscribed_events=[TYPE],
        )
        for number in range(endpoints)
    ]
    data: dict[str, Any] = {
        "data_type": "MPCVault",
        "vault_id": "00000000-0000-4000-8000-000000000001",
        "project_id": None,
        "name": "Treasury",
        "type": "Org-Controlled",
        "root_pubkeys": [],
        "created_timestamp": 1795253880434,
    }
    with transaction.atomic():
        for _ in range(deliveries // endpoints):
            outbox.emit(organisation_id=str(organisation.pk), type=TYPE, data=data)
        # One ring for each endpoint is enough, of the thousands.
        transaction.get_connection().run_on_commit.clear()
        for row in rows:
            outbox.ring(row)


def _receive(port: Any, arrived: Any, done: Event) -> None:
    """An HTTP server as cheap as can be: it counts, and answers 200 over connections that stay open."""
    import asyncio

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                arrived.value += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(done.wait)
        server.close()

    asyncio.run(run())


if __name__ == "__main__":
    main()
