"""T10: while the audit log cannot be written, nothing that belongs into it happens, and readiness is red."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from audit import services as audit
from audit.models import AuditRow
from tests.tss.nodes import Site
from tss.models import Approval, State

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

_REFUSE = {
    "postgresql": (
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE 'disk full'; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER refuse BEFORE INSERT ON audit_auditrow FOR EACH ROW EXECUTE FUNCTION refuse()",
    ),
    "sqlite": (
        "CREATE TRIGGER refuse BEFORE INSERT ON audit_auditrow BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    ),
}
_ALLOW = {
    "postgresql": ("DROP TRIGGER refuse ON audit_auditrow", "DROP FUNCTION refuse"),
    "sqlite": ("DROP TRIGGER refuse",),
}


@contextmanager
def unwritable() -> Iterator[None]:
    """Every insert into the log fails in the database itself."""
    with connection.cursor() as cursor:
        for statement in _REFUSE[connection.vendor]:
            cursor.execute(statement)
        yield
        for statement in _ALLOW[connection.vendor]:
            cursor.execute(statement)


def test_t10_no_request_and_no_approval_without_its_audit_row(site: Site) -> None:
    request = site.request()
    rows = AuditRow.objects.count()
    alice = site.signers[0]
    with unwritable():
        with pytest.raises((DatabaseError, RuntimeError)), transaction.atomic():
            alice.decide(request)
        with pytest.raises((DatabaseError, RuntimeError)), transaction.atomic():
            site.new_group(type="SigningGroup", signers=site.signers)
    assert not Approval.objects.exists()
    request.refresh_from_db()
    assert (request.state, request.version) == (State.AWAITING_APPROVAL, 0)
    assert AuditRow.objects.count() == rows
    alice.decide(request)
    assert Approval.objects.count() == 1
    assert audit.verify() is None


def test_t10_readiness_is_red_while_the_log_cannot_be_written(site: Site) -> None:
    client = Client()
    assert client.get("/readyz").status_code == 200
    with unwritable():
        answer = client.get("/readyz")
        assert client.get("/livez").status_code == 200
    assert answer.status_code == 503
    assert answer.json()["checks"]["audit"] == "failed"
    assert "disk full" not in answer.content.decode()
    assert client.get("/readyz").json()["checks"]["audit"] == "ok"
    assert not AuditRow.objects.filter(sequence=0).exists()
