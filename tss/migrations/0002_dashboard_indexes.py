"""Indexes behind the filters and orders of the native lists, and on Postgres the one behind their search."""

from typing import Any

from django.db import migrations, models

# Both extensions are "trusted": the owner of the database may create them (Postgres 13). The organisation is
# part of the index, so that a search does not read what other tenants have written. No pending list
# (fastupdate): a search costs the same before and after a vacuum.
SEARCH = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE INDEX request_by_text ON tss_tssrequest
    USING gin (organisation_id, upper(description) gin_trgm_ops) WITH (fastupdate = off);
"""


def index_texts(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(SEARCH)


def drop_index(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX request_by_text")


class Migration(migrations.Migration):
    dependencies = [
        ("tss", "0001_initial"),
        ("vaults", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="tssrequest",
            index=models.Index(
                condition=models.Q(("state__in", ("Rejected", "Expired", "Cancelled", "Unsatisfiable"))),
                fields=["organisation", "-created_at", "-id"],
                name="ended_request_by_organisation",
            ),
        ),
        migrations.AddIndex(
            model_name="tssrequest",
            index=models.Index(fields=["organisation", "-updated_at", "-id"], name="request_by_update"),
        ),
        migrations.AddIndex(
            model_name="tssrequest",
            index=models.Index(fields=["organisation", "-expires_at", "-id"], name="request_by_expiry"),
        ),
        migrations.AddIndex(
            model_name="tssrequest",
            index=models.Index(
                fields=["organisation", "state", "-updated_at", "-id"], name="request_by_state_update"
            ),
        ),
        migrations.AddIndex(
            model_name="tssrequest",
            index=models.Index(
                fields=["organisation", "state", "-expires_at", "-id"], name="request_by_state_expiry"
            ),
        ),
        migrations.AddIndex(
            model_name="tssrequest",
            index=models.Index(fields=["vault", "-updated_at", "-id"], name="request_by_vault_update"),
        ),
        migrations.AddIndex(
            model_name="tssrequest",
            index=models.Index(
                fields=["vault", "state", "-created_at", "-id"], name="request_by_vault_state"
            ),
        ),
        migrations.RunPython(index_texts, drop_index),
    ]
