"""A very small database adapter: the node's store on SQLite, the service signer's on Postgres.

SQL is written once with `?` for parameters and the types BLOB and SERIAL; Postgres gets its own spelling of
the three.
"""

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg

from signers.errors import NodeError

Row = tuple[Any, ...]
STORAGE_FAILED = "storage_failed"
# One lock number for all nodes on a Postgres server: each service signer has a database of its own.
_ADVISORY_LOCK = 0x71756F72


class Database(Protocol):
    """What the store needs of a database."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; the number of rows it changed."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]: ...

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when it ends; a block inside a block belongs to the outer one."""

    def scrub(self) -> bool:
        """Have the bytes of deleted rows overwritten where the database can; False when it has to be tried
        again."""

    def lock(self) -> bool:
        """Become the one process that runs this node; False when another does."""

    def close(self) -> None: ...


class SqliteDatabase:
    """SQLite in WAL mode with synchronous=FULL: a commit has reached the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _make_private(path)
        self._connection = sqlite3.connect(path, timeout=20, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._lock_file: int | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with _storage_errors():
            return self._connection.execute(sql.replace("SERIAL", "INTEGER"), parameters).rowcount

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with _storage_errors():
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._connection.in_transaction:
            yield
            return
        # IMMEDIATE: the command line and the running node write to one file; whoever begins to write has the
        # lock.
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        # A full disk may have done so already.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def scrub(self) -> bool:
        # secure_delete overwrites deleted bytes in the file; the write-ahead log still has the old pages.
        busy, _, _ = self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0]
        return not busy

    def lock(self) -> bool:
        descriptor = os.open(self._path.with_name("node.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock_file = descriptor
        return True

    def close(self) -> None:
        self._connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


class PostgresDatabase:
    """Postgres over one psycopg connection in autocommit mode."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        connection.autocommit = True
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with _storage_errors(), self._connection.cursor() as cursor:
            cursor.execute(_postgres(sql).encode(), parameters)
            return cursor.rowcount

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with _storage_errors(), self._connection.cursor() as cursor:
            cursor.execute(_postgres(sql).encode(), parameters)
            return cursor.fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with _storage_errors(), self._connection.transaction():
            yield

    def scrub(self) -> bool:
        # Deleted bytes go with the next vacuum and with the log's segments, which a client cannot hasten.
        return True

    def lock(self) -> bool:
        return bool(self.rows("SELECT pg_try_advisory_lock(?)", (_ADVISORY_LOCK,))[0][0])

    def close(self) -> None:
        self._connection.close()


@contextmanager
def _storage_errors() -> Iterator[None]:
    """N14: a full or failing disk is an error that the node reports, not one that ends it."""
    try:
        yield
    except (sqlite3.OperationalError, psycopg.OperationalError) as error:
        raise NodeError(STORAGE_FAILED, f"the node's database cannot be written: {error}") from None


DATABASE_FILE = "node.sqlite3"


def open_database(state_dir: Path, url: str = "") -> Database:
    """The database at `url` (postgresql://...), or DIR/node.sqlite3 when there is none.

    Raises NodeError state_not_private when others can enter the folder.
    """
    private_folder(state_dir)
    if not url:
        return SqliteDatabase(state_dir / DATABASE_FILE)
    if not url.startswith(("postgres://", "postgresql://")):
        raise NodeError("bad_database_url", "the database is a postgresql:// address, or none for SQLite")
    return PostgresDatabase(psycopg.connect(url, autocommit=True))


def private_folder(folder: Path) -> None:
    """Make `folder` with mode 700, or refuse one that others can enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        raise NodeError("state_not_private", f"others can enter {folder}: chmod 700 it")


def _make_private(path: Path) -> None:
    # SQLite gives its -wal and -shm files the mode of the database.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            raise NodeError("state_not_private", f"others can read {path.name}: chmod 600 it")
    finally:
        os.close(descriptor)


def _postgres(sql: str) -> str:
    return sql.replace("?", "%s").replace("SERIAL", "BIGSERIAL").replace(" BLOB", " BYTEA")
