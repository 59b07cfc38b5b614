"""Every secret of a running node, and every place at the coordinator where one could have leaked to."""

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
import redis
from ahocorasick_rs import BytesAhoCorasick
from psycopg import sql

from mpc.curves import curve_named
from mpc.dealing_secrets import draw_coefficients
from mpc.keyshare import KeyShare
from mpc.polynomial import evaluate
from quickstart.nodes import DemoNode
from signers.node import Node, open_store
from signers.sealing import read_key_file
from signers.sessions import RUNNING
from signers.shares import share_place
from tests.live.stack import Stack

CHUNK = 1 << 20


def unlocked(node: DemoNode) -> Node:
    return Node.unlock(open_store(node.folder), read_key_file(node.key_file), node.folder)


def long_term_secrets(node: DemoNode) -> dict[str, bytes]:
    """Identity keys, the key of the store, and every secret share."""
    opened = unlocked(node)
    try:
        identity = opened.identity
        found = {
            "signing key": identity._signing_key.encode(),
            "encryption key": identity._encryption_key.encode(),
            "store key": opened.data_key._key,
            "key file": bytes.fromhex(node.key_file.read_text().strip()),
        }
        for record in opened.store.shares.final():
            encoded = opened.data_key.open(share_place(record, identity.node_id), record.sealed)
            share = KeyShare.parse(encoded)
            for curve, secret in zip(share.statement.context.curves, share.secret_shares, strict=True):
                found[f"{curve} share {record.group_id}"] = secret
        assert len(found) >= 6
        return {f"{node.name} {label}": value for label, value in found.items()}
    finally:
        opened.store.close()


def session_secrets(node: DemoNode) -> dict[str, bytes]:
    """Seeds, and of a dealer the polynomials and the share for each receiver, of the ceremony that runs
    now."""
    opened = unlocked(node)
    try:
        running = [each for each in opened.store.sessions.listed() if each.state == RUNNING]
        if not running:
            return {}  # a source holder that was not chosen to deal
        (record,) = running
        machine = opened.runner._ceremonies.machine(record, opened.runner._ceremonies.of(record))
    finally:
        opened.store.close()
    kept, context = machine._secrets, machine.context
    found = {}
    if machine.index in context.receiver_indices:
        found["receiving seed"] = kept.receiving_seed
    if machine.index in context.dealer_indices:
        found["dealing seed"] = kept.dealing_seed
        coefficients = draw_coefficients(context, kept.dealing_seed, kept.constants)
        for curve, polynomial in zip(context.curves, coefficients, strict=True):
            for k, coefficient in enumerate(polynomial):
                found[f"{curve} coefficient {k}"] = coefficient
            for index in context.receiver_indices:
                found[f"{curve} share for {index}"] = evaluate(curve_named(curve), polynomial, index)
    return {f"{node.name} {context.protocol} {label}": value for label, value in found.items()}


def spellings(secret: bytes) -> Iterator[bytes]:
    """The forms in which 32 bytes show up in rows, logs, JSON and memory."""
    yield secret
    yield secret[::-1]
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield str(int.from_bytes(secret, "big")).encode()
    yield str(int.from_bytes(secret, "little")).encode()
    # base64 at each of the three alignments, without the characters that neighbours share.
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + secret)
        yield encoded[4 if shift else 0 : -4]
        yield encoded[4 if shift else 0 : -4].replace(b"+", b"-").replace(b"/", b"_")


class Search:
    """Looks for many secrets in one pass over some bytes."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        forms = [(form, name) for name, secret in secrets.items() for form in spellings(secret)]
        self._names = [name for _, name in forms]
        self._automaton = BytesAhoCorasick([form for form, _ in forms])

    def find(self, places: Iterable[tuple[str, bytes]]) -> set[tuple[str, str]]:
        """(secret, place) of every hit."""
        return {
            (self._names[match], place)
            for place, data in places
            for match, _start, _end in self._automaton.find_matches_as_indexes(data)
        }


def database_dump(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Every table of the coordinator, as text and with binary columns decoded; the mailbox is one of them."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert ("tss_message",) in tables
        for (table,) in tables:
            statement = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(sql.Identifier(table))
            with connection.cursor().copy(statement) as copy:
                yield f"table {table}", b"".join(bytes(block) for block in copy)


def redis_dump(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Every key of the stack's Redis number, serialised."""
    client = redis.Redis.from_url(stack.redis_url)
    for key in client.scan_iter():
        dumped = client.dump(key)
        yield f"redis {key!r}", bytes(key) + (dumped if isinstance(dumped, bytes) else b"")


def logs(stack: Stack) -> Iterator[tuple[str, bytes]]:
    for path in sorted((stack.folder / "logs").iterdir()):
        yield f"log {path.name}", path.read_bytes()


def traffic(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """What went over HTTP between nodes and site, with base64 fields decoded too."""
    for name, proxy in stack.proxies.items():
        for number, data in enumerate(proxy.traffic):
            yield f"traffic {name} {number}", data
            for encoded in re.findall(rb'"([A-Za-z0-9+/]{40,}={0,2})"', data):
                try:
                    yield f"traffic {name} {number}, decoded", base64.b64decode(encoded)
                except ValueError:
                    continue


def memory(pid: int) -> Iterator[tuple[str, bytes]]:
    """All readable, writable memory of a process, in overlapping chunks."""
    overlap = 128
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, permissions = line.split()[:2]
            if not permissions.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            for at in range(start, end, CHUNK):
                try:
                    mem.seek(at)
                    data = mem.read(min(CHUNK + overlap, end - at))
                except (OSError, ValueError):
                    break
                yield f"memory of {pid}", data


def process_tree(pid: int) -> list[int]:
    """The process and all its descendants: a worker's pool too."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            pids += process_tree(int(child))
    return pids
