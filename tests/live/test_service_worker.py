"""The service signer as production runs it: a Celery worker with its own database, key and queue."""

import os
from pathlib import Path

import psycopg
import pytest

from tests.live.stack import Stack, with_path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

MEMBERS = ["alice", "bob", "service"]


def test_a_key_with_the_service_signer_in_a_celery_worker(tmp_path: Path) -> None:
    server = os.environ["DATABASE_URL"]
    database = f"service_{os.getpid()}"
    url = with_path(server, database)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"')
    stack = Stack(tmp_path, service_database=url, SERVICE_SIGNER="celery")
    try:
        stack.start()
        vault_id = stack.vault("with the service")
        request_id = stack.key_gen(vault_id, stack.group(vault_id, MEMBERS, 2))
        assert stack.finished(vault_id, request_id)["status"] == "Success"
        stack.wait_for(lambda: stack.stored_keys("service"), "the service signer to hold the key")
        keys = [stack.stored_keys(name) for name in MEMBERS]
        assert keys[0] == keys[1] == keys[2] != set()
        # The node lives in its own database; the coordinator's knows nothing of it but its card.
        assert not (stack.nodes["service"].folder / "node.sqlite3").exists()
        with psycopg.connect(url) as own:
            assert own.execute("SELECT count(*) FROM share_sets").fetchone() == (1,)
        tables = {row[0] for row in stack.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
        assert "share_sets" not in tables
    finally:
        stack.stop()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
