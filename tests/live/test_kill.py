"""kill -9 of any one process at any round, then restart: the request ends, explained; a new one works (T01).

A gate in the network holds one node's message of round r, so the ceremony stands still in round r while the
process is killed; the database is asked to prove it.
"""

import pytest

from tests.live.proxy import carries_round
from tests.live.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HELD = "bob"
MEMBERS = ["alice", "bob", "carol"]
ROUNDS = (0, 1, 2, 3)


@pytest.mark.parametrize("round_number", ROUNDS)
@pytest.mark.parametrize("victim", ["site", "worker", "node-carol", "node-bob"])
def test_t01_kill_mid_ceremony_and_restart(impatient_stack: Stack, victim: str, round_number: int) -> None:
    stack = impatient_stack
    with stack.proxies[HELD].holding(carries_round(round_number)) as gate:
        vault_id = stack.vault(f"kill {victim} {round_number}")
        request_id = stack.key_gen(vault_id, stack.group(vault_id, MEMBERS, 2))
        assert gate.hit.wait(60), "the ceremony never reached the round"
        stack.wait_for(lambda: ceremony(stack, request_id)[1] == round_number, "the others' messages")

        stack.kill(victim)

        # The fault happened, and mid-ceremony: open, and in exactly this round.
        assert not stack.processes.children[victim].running
        assert ceremony(stack, request_id) == ("open", round_number)
        stack.restart(victim)
    request = stack.finished(vault_id, request_id)

    if request["status"] != "Success":
        assert request["status"] == "KeyGeneratingFailed"
        assert request["state_reason"]
        if victim.startswith("node-"):
            assert request["failed_node_ids"] == [stack.node_ids[victim.removeprefix("node-")]]
    else:
        assert one_key(stack, vault_id)
    # The whole is as good as new.
    again = stack.vault(f"after {victim} {round_number}")
    second = stack.key_gen(again, stack.group(again, MEMBERS, 2))
    assert stack.finished(again, second)["status"] == "Success"


@pytest.mark.parametrize("victim", ["worker", "site"])
def test_t01_kill_between_last_approval_and_start(impatient_stack: Stack, victim: str) -> None:
    """The job row outlives the worker and the message in Redis (T02)."""
    stack = impatient_stack
    stack.kill("worker")
    vault_id = stack.vault(f"queued {victim}")
    request_id = stack.key_gen(vault_id, stack.group(vault_id, MEMBERS, 2))
    stack.wait_for(lambda: stack.request(vault_id, request_id)["state"] == "Approved", "the approvals")
    assert stack.sql("SELECT count(*) FROM tss_ceremony WHERE request_id = %s", request_id) == [(0,)]
    if victim == "site":
        stack.kill("site")
        stack.restart("site")
    stack.flush_redis()
    stack.restart("worker")
    assert stack.finished(vault_id, request_id)["status"] == "Success"


def test_t01_a_node_that_stays_away_is_named(impatient_stack: Stack) -> None:
    stack = impatient_stack
    with stack.proxies[HELD].holding(carries_round(1)) as gate:
        vault_id = stack.vault("gone for good")
        request_id = stack.key_gen(vault_id, stack.group(vault_id, MEMBERS, 2))
        assert gate.hit.wait(60)
        stack.kill(f"node-{HELD}")
        request = stack.finished(vault_id, request_id)
    stack.restart(f"node-{HELD}")
    assert request["status"] == "KeyGeneratingFailed"
    assert request["failed_node_ids"] == [stack.node_ids[HELD]]
    assert HELD in request["state_reason"]


def ceremony(stack: Stack, request_id: str) -> tuple[str, int]:
    rows = stack.sql("SELECT state, round FROM tss_ceremony WHERE request_id = %s", request_id)
    assert len(rows) == 1
    return rows[0][0], rows[0][1]


def one_key(stack: Stack, vault_id: str) -> bool:
    """Every member's own store holds the root keys that the coordinator shows."""
    claimed = stack.api.get(f"/wallets/mpc/vaults/{vault_id}")["root_pubkeys"]
    expected = {(vault_id, entry["curve"], entry["root_pubkey"]) for entry in claimed}
    assert len(expected) == 2

    def probe() -> bool:
        return all(expected <= stack.stored_keys(name) for name in MEMBERS)

    return bool(stack.wait_for(probe, "every member to hold the key"))
