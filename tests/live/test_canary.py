"""Test 16, C01: no share, seed or secret nonce of any node is anywhere at the coordinator.

A KeyGen and a KeyGenFromKeyGroup are held in round 0, where every node still has the seeds from which all its
session secrets follow; then they run to Success and everything that the coordinator has is searched: database
with mailbox, Redis, logs, HTTP traffic, and the memory of site and worker. The same search finds a planted
secret in each of these places.
"""

import base64
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import chain

import pytest
import redis

from tests.live import secrets
from tests.live.proxy import carries_round
from tests.live.secrets import Search
from tests.live.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MEMBERS = ["alice", "bob", "service"]
SIGNERS = ["bob", "dave", "erin"]


@pytest.fixture(scope="module")
def search(stack: Stack) -> Search:
    vault_id = stack.vault("canary")
    main = stack.group(vault_id, MEMBERS, 2)
    found = secrets_of_a_ceremony(stack, vault_id, MEMBERS, lambda: stack.key_gen(vault_id, main))
    stack.pin_anchor(vault_id, ["dave", "erin"])
    signing = stack.group(vault_id, SIGNERS, 2, "SigningGroup")
    found |= secrets_of_a_ceremony(
        stack,
        vault_id,
        list(dict.fromkeys((*MEMBERS, *SIGNERS))),
        lambda: stack.reshare("KeyGenFromKeyGroup", vault_id, signing, main),
    )
    for group_id, names in ((main, MEMBERS), (signing, SIGNERS)):
        for name in names:
            stack.wait_for(lambda: stack.stored_epoch(name, group_id), f"{name} to hold its share")  # noqa: B023
    for name in {*MEMBERS, *SIGNERS}:
        found |= secrets.long_term_secrets(stack.nodes[name])
    # KeyGen: 3 nodes x (2 seeds, 2 curves x (2 coefficients + 3 dealt shares)); the other: 2 dealers with as
    # many, 3 receivers with a seed; then every node's 4 own keys and the shares of 6 places on 2 curves.
    assert len(found) >= 3 * (2 + 2 * 5) + 2 * (1 + 2 * 5) + 3 + 5 * 4 + 6 * 2
    assert all(len(value) == 32 for value in found.values())
    return Search(found)


def secrets_of_a_ceremony(
    stack: Stack, vault_id: str, names: list[str], ask: Callable[[], str]
) -> dict[str, bytes]:
    """What its participants hold in round 0, while one of them is held back; then it runs to Success."""
    with stack.proxies["bob"].holding(carries_round(0)) as gate:
        request_id = ask()
        assert gate.hit.wait(60)
        rows = """SELECT c.participants - count(m.id) FROM tss_ceremony c
            LEFT JOIN tss_message m ON m.ceremony_id = c.session_id
            WHERE c.request_id = %s GROUP BY c.session_id"""
        stack.wait_for(lambda: stack.sql(rows, request_id) == [(1,)], "the others to be in round 0")
        found: dict[str, bytes] = {}
        for name in names:
            found |= secrets.session_secrets(stack.nodes[name])
    assert stack.finished(vault_id, request_id)["status"] == "Success"
    return found


def test_16_database_and_mailbox(stack: Stack, search: Search) -> None:
    assert search.find(secrets.database_dump(stack)) == set()


def test_16_redis(stack: Stack, search: Search) -> None:
    assert search.find(secrets.redis_dump(stack)) == set()


def test_16_logs(stack: Stack, search: Search) -> None:
    for name in ("site", "worker"):
        lines = stack.processes.children[name].log.read_text().splitlines()
        assert any(line.startswith('{"time":') for line in lines), f"{name} logs as production does"
    assert search.find(secrets.logs(stack)) == set()


def test_16_http_traffic(stack: Stack, search: Search) -> None:
    assert any(proxy.traffic for proxy in stack.proxies.values())
    assert search.find(secrets.traffic(stack)) == set()


@pytest.mark.parametrize("process", ["site", "worker"])
def test_16_memory(stack: Stack, search: Search, process: str) -> None:
    pids = secrets.process_tree(stack.processes.children[process].pid)
    places = list(chain.from_iterable(secrets.memory(pid) for pid in pids))
    assert sum(len(data) for _, data in places) > 10_000_000
    # The search really reads the process: what it must know is there.
    known = Search({"public": bytes.fromhex(stack.setup["api_public_key"])})
    assert process != "site" or known.find(places)
    assert search.find(places) == set()


def test_16_a_planted_secret_is_found(stack: Stack) -> None:
    planted = b"planted secret: thirty-two bytes"
    search = Search({"planted": planted})
    stack.sql("UPDATE vaults_organisation SET name = %s", planted.hex())
    assert ("planted", "table vaults_organisation") in search.find(secrets.database_dump(stack))
    stack.sql(
        "UPDATE tss_message SET envelope = %s WHERE id = (SELECT min(id) FROM tss_message)", b"x" + planted
    )
    assert ("planted", "table tss_message") in search.find(secrets.database_dump(stack))
    redis.Redis.from_url(stack.redis_url).set("planted", planted)
    assert search.find(secrets.redis_dump(stack))
    with (stack.folder / "logs" / "site.log").open("a") as log:
        log.write(str(int.from_bytes(planted, "big")))
    assert ("planted", "log site.log") in search.find(secrets.logs(stack))
    stack.proxies["alice"].traffic.append(b'{"message": "' + base64.b64encode(b"a" + planted + b"z") + b'"}')
    assert search.find(secrets.traffic(stack))
    assert search.find(memory_of_a_process_that_holds(planted))


def memory_of_a_process_that_holds(planted: bytes) -> list[tuple[str, bytes]]:
    program = f"held = bytes.fromhex('{planted.hex()}'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        begun = time.monotonic()
        places = list(secrets.memory(process.pid))
        assert time.monotonic() - begun < 60
        process.kill()
    return places
