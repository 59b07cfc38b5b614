"""manage.py seed_requests: copies that lists show as they show requests, and never by accident."""

import io
import json

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection

from tests.api.conftest import Tenant
from tss.models import OPEN_STATES, TssRequest
from webhooks.models import OutboxEvent


def seed(*arguments: str) -> dict[str, int]:
    out = io.StringIO()
    call_command("seed_requests", *arguments, stdout=out)
    made: dict[str, int] = json.loads(out.getvalue())
    return made


def test_copies_are_listed_filtered_and_found(tenant: Tenant) -> None:
    vault_id = tenant.vault()
    like = tenant.request(vault_id, tenant.group(vault_id))
    before, indexes = OutboxEvent.objects.count(), names_of_indexes()
    made = seed("--like", like, "--requests", "200", "--per-group", "10", "--events", "300")
    assert (made["groups"], made["requests_per_group"], made["requests"]) == (20, 10, 200)
    assert TssRequest.objects.count() == 201
    assert OutboxEvent.objects.count() == before + 300
    assert TssRequest.objects.filter(state__in=OPEN_STATES).count() == 21
    found = tenant.client.get("/requests", "text=inv-00000042").json["data"]
    assert [each["description"].split()[1] for each in found] == ["INV-00000042"]
    assert tenant.client.get(f"/requests/{found[0]['tss_request_id']}/timeline").json["entries"]
    assert (
        len(
            tenant.client.get("/requests", f"group={found[0]['target_key_share_holder_group_id']}").json[
                "data"
            ]
        )
        == 10
    )
    assert names_of_indexes() == indexes


def names_of_indexes() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--like", "x"], "no request"),
        (["--like", "x", "--requests", "0"], "above zero"),
    ],
)
def test_bad_arguments(transactional_db: None, arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        seed(*arguments)


def test_never_in_production_by_accident(settings: LazySettings) -> None:
    settings.SETTINGS_MODULE = "config.settings.production"
    with pytest.raises(CommandError, match="--force"):
        seed("--like", "x")
