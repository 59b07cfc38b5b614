"""Many copies of a request, to measure how the site does with many. Postgres only, never for a site in use.

The copies look like history: each group has at most one open request, states come in everyday shares, times
spread over a year, and descriptions have common words and one of their own. They share the documents of the
request that they are copies of: good to list, filter, search and read, and for nothing else.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from tss.models import Approval, RequestEvent, TssRequest, Voter
from vaults.models import Group, Vault
from webhooks.models import OutboxEvent

GROUPS_PER_VAULT = 20
_LOADED = (TssRequest, Voter, Approval, RequestEvent, OutboxEvent)
_WORDS = "ARRAY['payroll','supplier','rent','refund','treasury','exchange','custody','audit','grant','fee']"
# Of a hundred that are not the newest of their group.
_STATE = """CASE WHEN n <= {groups} THEN 'AwaitingApproval' ELSE CASE
    WHEN mod(n, 100) < 80 THEN 'Succeeded' WHEN mod(n, 100) < 88 THEN 'Failed'
    WHEN mod(n, 100) < 93 THEN 'Rejected' WHEN mod(n, 100) < 97 THEN 'Expired'
    WHEN mod(n, 100) < 99 THEN 'Cancelled' ELSE 'Unsatisfiable' END END"""
_TYPE = "CASE WHEN mod(n, 10) < 7 THEN 'Refresh' WHEN mod(n, 10) < 9 THEN 'KeyGen' ELSE 'Recovery' END"
_CREATED = "now() - (n::float8 / {requests}) * interval '365 days'"
_ID = "to_char({created}, 'YYYYMMDDHH24MISS') || lpad(n::text, 18, '0')"


@dataclass(frozen=True)
class Seeded:
    """What was made."""

    vaults: int
    groups: int
    requests: int
    events: int
    outbox: int


def seed(*, like: TssRequest, requests: int, per_group: int, events: int) -> Seeded:
    """Add copies of a request, with its voters and decisions, in new vaults of the same organisation.

    events: rows of the outbox; each request has two lines in its timeline beside. Raises ValueError for a
    database that is not Postgres.
    """
    if connection.vendor != "postgresql":
        raise ValueError("only Postgres can be seeded")
    groups = -(-requests // per_group)
    vaults = -(-groups // GROUPS_PER_VAULT)
    created = _CREATED.format(requests=requests)
    number = _ID.format(created=created)
    group_id = f"md5('group ' || mod(n, {groups}) || ' of ' || %(like)s)::uuid"
    vault_of_group = f"md5('vault ' || mod(n, {groups}) / {GROUPS_PER_VAULT} || ' of ' || %(like)s)::uuid"
    with transaction.atomic(), _bulk():
        _copy(
            Vault._meta.db_table,
            like.vault_id,
            vaults,
            like,
            id="md5('vault ' || n - 1 || ' of ' || %(like)s)::uuid",
            name="'Seed ' || lpad(n::text, 8, '0')",
        )
        _copy(Group._meta.db_table, like.target_group_id, groups, like, id=group_id, vault_id=vault_of_group)
        _copy(
            TssRequest._meta.db_table,
            like.pk,
            requests,
            like,
            id=number,
            digest="md5('a' || n || %(like)s) || md5('b' || n || %(like)s)",
            target_group_id=group_id,
            vault_id=vault_of_group,
            type=_TYPE,
            state=_STATE.format(groups=groups),
            created_at=created,
            updated_at=f"{created} + mod(n::bigint * 7919, 86400) * interval '1 second'",
            expires_at=f"{created} + (86400 + mod(n::bigint * 104729, 604800)) * interval '1 second'",
            description=f"'Invoice INV-' || lpad(n::text, 8, '0') || ' ' || ({_WORDS})[mod(n, 10) + 1]",
        )
        for model in (Voter, Approval):
            for key in model.objects.filter(request=like).values_list("pk", flat=True):
                _copy(model._meta.db_table, key, requests, like, request_id=number)
        for key in like.events.order_by("version").values_list("pk", flat=True)[:2]:
            _copy(RequestEvent._meta.db_table, key, requests, like, request_id=number)
        outbox = OutboxEvent.objects.filter(
            organisation_id=like.organisation_id, data__tss_request_id=like.pk
        ).first()
        if outbox is not None:
            _copy(OutboxEvent._meta.db_table, outbox.pk, events, like, event_id="gen_random_uuid()")
    _analyse()
    return Seeded(vaults, groups, requests, requests * min(2, like.events.count()), events if outbox else 0)


def _copy(table: str, key: UUID | str | int, times: int, like: TssRequest, **changes: str) -> None:
    """Insert copies of a row; changes: column -> SQL over n, which counts from 1."""
    with connection.cursor() as cursor:
        columns = [column.name for column in connection.introspection.get_table_description(cursor, table)]
        primary = connection.introspection.get_primary_key_column(cursor, table)
        values: Mapping[str, str] = {
            column: changes.get(column, f"original.{column}")
            for column in columns
            if column in changes or column != primary
        }
        # Names are the models' own and `changes` are the constants above: nothing here is a caller's text.
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608
            f"FROM {table} AS original, generate_series(1, {times}) AS n WHERE original.{primary} = %(key)s",
            {"key": key, "like": like.pk},
        )


@contextmanager
def _bulk() -> Iterator[None]:
    """Make indexes once at the end instead of row by row, and do not check foreign keys, which fit."""
    tables = [model._meta.db_table for model in _LOADED]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if cursor.fetchone() == (True,):
            cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indrelid = ANY(%s::regclass[]) "
            "AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)",
            [tables],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
    yield
    with connection.cursor() as cursor:
        for _, definition in indexes:
            cursor.execute(definition)


def _analyse() -> None:
    """Visibility and statistics as they are on a site that has run for a while."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for model in (*_LOADED, Group, Vault):
            cursor.execute(f"VACUUM ANALYZE {model._meta.db_table}")
        cursor.execute("RESET statement_timeout")
