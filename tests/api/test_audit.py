"""The audit log: written with the act or not at all, and any change shows."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from audit import services as audit
from audit.models import AuditRow
from tests.api.conftest import Tenant
from vaults.models import SignedRequest, Vault
from webhooks.models import OutboxEvent

# The database decides these races and refusals: both databases have to.
pytestmark = pytest.mark.embedded


def test_acts_leave_rows(tenant: Tenant) -> None:
    before = AuditRow.objects.count()
    vault_id = tenant.vault()
    tenant.group(vault_id)
    rows = list(AuditRow.objects.order_by("sequence"))[before:]
    assert [row.act for row in rows] == ["vault.created", "group.created"]
    assert rows[0].subject == f"vault:{vault_id}"
    assert {row.actor for row in rows} == {f"api_key:{tenant.api_key.id}"}
    assert {row.organisation_id for row in rows} == {str(tenant.organisation.id)}
    assert audit.verify() is None
    assert audit.head()[0] == before + 2


@pytest.mark.parametrize(
    "change",
    [
        {"detail": "{}"},
        {"actor": "api_key:somebody-else"},
        {"time": 1},
        {"organisation_id": ""},
        {"hash": "00" * 32},
        {"previous_hash": "00" * 32},
    ],
)
def test_a_changed_row_is_found(tenant: Tenant, change: dict[str, Any]) -> None:
    tenant.vault()
    AuditRow.objects.filter(sequence=3).update(**change)
    assert audit.verify() == 3
    with pytest.raises(CommandError, match="row 3"):
        call_command("audit", "verify")


def test_a_removed_or_repaired_row_is_found(tenant: Tenant) -> None:
    tenant.vault()
    row = AuditRow.objects.get(sequence=2)
    row.detail = "{}"
    row.hash = audit.row_hash(row)
    row.save()
    assert audit.verify() == 3
    row.delete()
    assert audit.verify() == 2


def test_no_audit_row_no_act(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "record", broken)
    reply = tenant.client.post("/wallets/mpc/vaults", {"name": "v", "vault_type": "Org-Controlled"})
    assert reply.error == (500, 2000, "")
    assert not Vault.objects.exists()
    assert not OutboxEvent.objects.filter(type="mpc_vaults.created").exists()
    # An internal error stores no answer: the same call may be sent again.
    assert not SignedRequest.objects.exists()


def test_rolled_back_acts_leave_no_row(tenant: Tenant) -> None:
    head = audit.head()
    with transaction.atomic():
        audit.record(actor="a", act="b", subject="c", detail={"n": 1})
        transaction.set_rollback(True)
    assert audit.head() == head
    assert audit.verify() is None
