"""The service's own signer: the same node on Postgres, woken through its Celery task in its own process."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from signers import sealing
from signers.database import open_database
from signers.errors import NodeError
from signers.node import Node, create_node
from signers.store import Store
from tests.signers.mailbox import OPEN, SUCCEEDED, MailboxTransport, Request
from tests.signers.test_transport import reply, server
from tests.signers.world import CHEAP, DEMO_POLICY, World

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """A database of its own on the Postgres of the test run."""
    admin = os.environ["DATABASE_URL"]
    name = f"signer_{os.getpid()}_{abs(hash(tmp_path)) % 10**9}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    parts = urlsplit(admin)
    yield urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class ServiceWorld(World):
    """Node "s" keeps its records on Postgres; the others on SQLite."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, ["a", "b"])
        self.url = url
        self.state("s").mkdir(mode=0o700)
        (self.state("s") / "policy.toml").write_text(DEMO_POLICY)
        key_file = self.state("s") / "key"
        store = Store(open_database(self.state("s"), url))
        create_node(store, sealing.make_key_file(key_file), "service", CHEAP)
        store.set_setting("coordinator", "http://127.0.0.1:1")
        self.nodes["s"] = self._service(store)
        for name in ("a", "b"):
            self.pin(name, self.card("s"), "service")
            self.pin("s", self.card(name), name)
        self.names = ["a", "b", "s"]

    def _service(self, store: Store) -> Node:
        secret = sealing.read_key_file(self.state("s") / "key")
        transport = MailboxTransport(self.mailbox, store.sealed_identity()[0])
        return Node.unlock(store, secret, self.state("s"), transport)

    def restart(self, name: str) -> Node:
        if name != "s":
            return super().restart(name)
        self.nodes["s"].store.close()
        self.nodes["s"] = self._service(Store(open_database(self.state("s"), self.url)))
        return self.nodes["s"]


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[ServiceWorld]:
    made = ServiceWorld(tmp_path / "world", database_url)
    yield made
    made.close()


def approved(world: ServiceWorld) -> Request:
    """A request that the operators and the service's rule approve; the ceremony waits."""
    request = world.open_request(manifest=world.manifest(["a", "b", "s"]))
    world.approve(request, "a", "b")
    return request


def test_a_ceremony_with_a_node_on_postgres_restarted_between_all_rounds(world: ServiceWorld) -> None:
    request = approved(world)
    for _ in range(20):
        world.sync("a", "b")
        world.restart("s").sync_once(0)
        if request.ceremonies and request.ceremony.state != OPEN:
            break
    world.finish(request)
    assert request.state == SUCCEEDED
    assert len({world.nodes[name].keys()[0].root_keys for name in world.names}) == 1


def test_the_database_of_the_service_signer_holds_no_share_in_the_clear(world: ServiceWorld) -> None:
    request = approved(world)
    world.finish(request)
    rows = world.store("s").database.rows("SELECT sealed FROM share_sets")
    assert len(rows) == 1
    assert bytes(rows[0][0])[4:40].find(b"share") > 0  # the header of a sealed record


def test_one_process_at_a_time_is_the_node(world: ServiceWorld, database_url: str) -> None:
    assert world.store("s").database.lock()
    second = open_database(world.state("s"), database_url)
    assert not second.lock()
    world.store("s").close()
    # The server lets go of a closed connection's lock when its own process has noticed.
    deadline = time.monotonic() + 10
    while not second.lock():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second.close()
    world.nodes["s"] = world._service(Store(open_database(world.state("s"), database_url)))


def test_a_transaction_that_fails_leaves_nothing(world: ServiceWorld) -> None:
    store = world.store("s")
    with contextlib.suppress(ZeroDivisionError), store.database.transaction():
        store.set_setting("half", "way")
        _ = 1 / 0
    assert store.setting("half") == ""


def test_a_pin_inserted_by_sql_is_no_pin(world: ServiceWorld) -> None:
    """P10 on the service's own database: its server is not its operator."""
    world.store("s").database.execute("UPDATE pins SET pinned_by = 'the database administrator'")
    request = world.open_request(manifest=world.manifest(["a", "b", "s"]))
    world.sync("s")
    record = world.store("s").requests.get(request.digest)
    assert record is not None
    assert record.code == "pin_tampered"


def test_another_kind_of_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        open_database(tmp_path / "s", "mysql://localhost/x")
    assert caught.value.code == "bad_database_url"


def wake(world: ServiceWorld) -> subprocess.CompletedProcess[str]:
    """Run the Celery task once, in a process with the service signer's own settings."""
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "config.settings.service_signer",
        "SERVICE_SIGNER_DATABASE_URL": world.url,
        "SERVICE_SIGNER_STATE": str(world.state("s")),
        "SERVICE_SIGNER_KEY_FILE": str(world.state("s") / "key"),
        "REDIS_URL": os.environ["REDIS_URL"],
    }
    program = """
import sys, config, django
django.setup()
config.celery_app.loader.import_default_modules()
assert "signers.tasks.wake" in config.celery_app.tasks, sorted(config.celery_app.tasks)
config.celery_app.tasks["signers.tasks.wake"].apply(throw=True)
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"vaults", "tss", "webhooks", "audit"}, "the coordinator's code was loaded"
"""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_celery_task_works_until_nothing_is_left(world: ServiceWorld) -> None:
    request = approved(world)
    transport = MailboxTransport(world.mailbox, world.node_id("s"))

    def handle(call: Any, body: bytes) -> None:
        # The other nodes move whenever the service signer calls, each time opened anew: a database connection
        # belongs to one thread.
        answer = transport.raw(json.loads(body))
        for name in ("a", "b"):
            node = world.reopen(name)
            node.sync_once(0)
            node.store.close()
        reply(answer)(call, body)

    with server(handle) as (url, seen):
        world.store("s").set_setting("coordinator", url)
        for name in ("a", "b"):
            world.nodes[name].store.close()
        done = wake(world)
    for name in ("a", "b"):
        world.reopen(name)
    assert done.returncode == 0, done.stderr
    assert seen
    assert request.state == SUCCEEDED
    assert world.store("s").shares.final()
    assert (world.state("s") / "key").read_text().strip() not in done.stderr
