"""T10 on Postgres: an audit log that somebody holds locked is as good as none."""

import psycopg
import pytest
from django.db import connection
from django.test import Client

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_t10_readiness_does_not_wait_for_a_locked_log() -> None:
    settings = connection.get_connection_params()
    address = {name: settings[name] for name in ("dbname", "host", "port", "user", "password")}
    with psycopg.connect(**address) as other:
        other.execute("LOCK TABLE audit_auditrow IN ACCESS EXCLUSIVE MODE")
        answer = Client().get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["audit"]) == (503, "failed")
        assert answer.json()["checks"]["database"] == "ok"
    assert Client().get("/readyz").status_code == 200
