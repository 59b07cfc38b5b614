"""A key's whole life on real processes: further groups, lost nodes, new members, new rules, late nodes."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from embit import script
from embit.bip32 import HDKey

from quickstart.processes import ROOT
from tests.live.proxy import carries_round
from tests.live.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MAIN = ["alice", "bob", "carol"]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Short deadlines, and old shares that go as soon as they may."""
    settings: dict[str, Any] = {
        "ROUND_TIMEOUT_S": "6",
        "CEREMONY_DEADLINE_S": "12",
        "JOB_LEASE_S": "3",
        "ERASE_GRACE_MS": "1",
    }
    stack = Stack(tmp_path_factory.mktemp("stack"), **settings)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def root_keys(stack: Stack, vault_id: str) -> dict[str, str]:
    vault = stack.api.get(f"/wallets/mpc/vaults/{vault_id}")
    return {entry["curve"]: entry["root_pubkey"] for entry in vault["root_pubkeys"]}


def group_of(stack: Stack, vault_id: str, group_id: str) -> dict[str, Any]:
    group: dict[str, Any] = stack.api.get(
        f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups/{group_id}"
    )
    return group


def succeeded(stack: Stack, vault_id: str, request_id: str) -> dict[str, Any]:
    request = stack.finished(vault_id, request_id)
    assert request["state"] == "Succeeded", request
    return request


def all_hold(stack: Stack, group_id: str, names: list[str], epoch: int) -> None:
    stack.wait_for(
        lambda: all(stack.stored_epoch(name, group_id) == epoch for name in names),
        f"{', '.join(names)} to hold epoch {epoch}",
    )


def share_with(stack: Stack, vault_id: str, main: str, names: list[str], kind: str) -> str:
    """A further group of the vault that holds shares of its key."""
    stack.pin_anchor(vault_id, [name for name in names if name not in MAIN])
    group_id = stack.group(vault_id, names, 2, kind)
    succeeded(stack, vault_id, stack.reshare("KeyGenFromKeyGroup", vault_id, group_id, main))
    return group_id


def explain(stack: Stack, request_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = stack.api.get(f"/requests/{request_id}/explain")
    return answer


def verified_elsewhere(stack: Stack, request_id: str, anchor: Path, xpub: str) -> None:
    """R3: the stand-alone verifier, with nothing but the site's answer and a holder's own anchor."""
    answer = stack.api.get(f"/requests/{request_id}/intent")
    child = HDKey.from_string(xpub).derive("m/0/7")
    address = script.p2wpkh(child).address()

    def run(shown: dict[str, Any], claimed: str) -> "subprocess.CompletedProcess[str]":
        path = stack.folder / "request.json"
        path.write_text(json.dumps(shown))
        arguments = ["--anchor", str(anchor), str(path), "--path", "m/0/7", "--address", claimed]
        program = [sys.executable, "-I", "-S", str(ROOT / "verifier" / "quorate_verify.py"), *arguments]
        return subprocess.run(program, capture_output=True, text=True, check=False)

    done = run(answer, address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(answer, script.p2wpkh(child.derive("m/1")).address()).returncode == 1
    assert run({**answer, "approvals": answer["approvals"][:1]}, address).returncode == 1


def test_d01_a_lost_node_is_replaced_and_its_share_is_worth_nothing(hasty: Stack) -> None:
    vault_id, main = hasty.main_key("one lost", MAIN)
    keys = root_keys(hasty, vault_id)
    recovery = share_with(hasty, vault_id, main, ["service", "carol", "erin"], "RecoveryGroup")
    hasty.pin_anchor(vault_id, ["dave"])
    backup = hasty.folder / "stolen"
    hasty.kill("node-bob")
    shutil.copytree(hasty.nodes["bob"].folder, backup)
    hasty.replace(vault_id, main, "bob", "dave")
    holders = {
        each["tss_node_id"]: each["status"] for each in group_of(hasty, vault_id, main)["key_share_holders"]
    }
    assert holders[hasty.node_ids["bob"]] == "Changed"

    request_id = hasty.reshare("Recovery", vault_id, main, recovery)
    succeeded(hasty, vault_id, request_id)

    all_hold(hasty, main, ["alice", "dave", "carol"], 2)
    assert root_keys(hasty, vault_id) == keys
    after = group_of(hasty, vault_id, main)
    assert after["epoch"] == 2
    assert {each["tss_node_id"] for each in after["key_share_holders"]} == {
        hasty.node_ids[name] for name in ("alice", "dave", "carol")
    }
    assert {each["status"] for each in after["key_share_holders"]} == {"Valid"}
    anchor = hasty.nodes["alice"].export_anchor(vault_id)
    verified_elsewhere(hasty, request_id, anchor, keys["SECP256K1"])
    # R28: of the old set, alice and carol have signed that theirs is erased, which makes bob's worthless.
    erased = hasty.wait_for(
        lambda: (
            hasty.sql(
                """SELECT count(*) FROM tss_setstatement s JOIN tss_shareset h USING (ceremony_id)
            WHERE s.state = 'erased' AND h.group_id = %s AND h.epoch = 1""",
                main,
            )
            == [(2,)]
        ),
        "the old shares to be erased",
    )
    assert erased
    # The lost node comes back: it is told that it was left out and takes part in nothing of this key.
    hasty.restart("node-bob")
    refresh = hasty.native(vault_id, "Refresh", main)
    succeeded(hasty, vault_id, refresh)
    all_hold(hasty, main, ["alice", "dave", "carol"], 3)
    assert hasty.stored_epoch("bob", main) <= 1


def test_d02_more_nodes_lost_than_the_threshold_forgives(hasty: Stack, record_property: Any) -> None:
    vault_id, main = hasty.main_key("two lost", MAIN)
    keys = root_keys(hasty, vault_id)
    recovery = share_with(hasty, vault_id, main, ["service", "dave", "erin"], "RecoveryGroup")
    began = time.monotonic()
    for name, spare in (("alice", "dave"), ("bob", "erin")):
        hasty.kill(f"node-{name}")
        hasty.replace(vault_id, main, name, spare)
    # One of three is left: Main alone could do nothing any more.
    succeeded(hasty, vault_id, hasty.reshare("Recovery", vault_id, main, recovery))
    record_property("seconds_to_recover", round(time.monotonic() - began, 2))
    for name in ("alice", "bob"):
        hasty.restart(f"node-{name}")
    all_hold(hasty, main, ["dave", "erin", "carol"], 2)
    assert root_keys(hasty, vault_id) == keys
    succeeded(hasty, vault_id, hasty.native(vault_id, "Refresh", main))


def test_members_and_threshold_change(hasty: Stack) -> None:
    vault_id, main = hasty.main_key("grows", MAIN)
    keys = root_keys(hasty, vault_id)
    hasty.pin_anchor(vault_id, ["dave", "erin"])
    names = ["alice", "carol", "dave", "erin"]
    holders = [{"tss_node_id": hasty.node_ids[name], "name": name} for name in names]
    request_id = hasty.native(vault_id, "Reshare", main, holders=holders, threshold=3)
    succeeded(hasty, vault_id, request_id)
    all_hold(hasty, main, names, 2)
    group = group_of(hasty, vault_id, main)
    assert (group["participants"], group["threshold"], group["epoch"]) == (4, 3, 2)
    assert root_keys(hasty, vault_id) == keys


def test_a_promoted_group_is_main_and_can_share(hasty: Stack) -> None:
    vault_id, main = hasty.main_key("promotes", MAIN)
    signing = share_with(hasty, vault_id, main, ["carol", "dave", "erin"], "SigningGroup")
    request_id = hasty.native(vault_id, "RoleChange", signing, original_main="signing")
    succeeded(hasty, vault_id, request_id)
    assert group_of(hasty, vault_id, signing)["type"] == "MainGroup"
    assert group_of(hasty, vault_id, main)["type"] == "SigningGroup"
    # The nodes have learnt it too: the promoted group is what further groups come from now (R16).
    further = hasty.group(vault_id, ["alice", "bob"], 2, "SigningGroup")
    succeeded(hasty, vault_id, hasty.reshare("KeyGenFromKeyGroup", vault_id, further, signing))


def test_p12_a_changed_policy_stops_what_was_approved_under_the_old_one(hasty: Stack) -> None:
    vault_id, main = hasty.main_key("new rules", MAIN)
    # Nothing else can be approved while carol is away, so the Refresh waits with two approvals of three.
    hasty.pin_anchor(vault_id, ["dave", "erin"])
    hasty.kill("node-erin")
    waiting = hasty.group(vault_id, ["dave", "erin"], 2, "SigningGroup")
    first = hasty.reshare("KeyGenFromKeyGroup", vault_id, waiting, main)
    hasty.wait_for(lambda: len(hasty.request(vault_id, first)["approvals"]["by"]) >= 2, "approvals")
    change = hasty.native(vault_id, "PolicyChange", main, policy={"required_approvals": 3})
    succeeded(hasty, vault_id, change)
    hasty.restart("node-erin")
    request = hasty.request(vault_id, first)
    assert request["state"] == "Unsatisfiable"
    assert "policy" in request["state_reason"]
    # The nodes judge by the new policy now: three source approvals, and they know its hash.
    second = hasty.reshare("KeyGenFromKeyGroup", vault_id, waiting, main)
    succeeded(hasty, vault_id, second)
    votes = {vote["side"]: vote for vote in hasty.request(vault_id, second)["approvals"]["votes"]}
    assert votes["source"]["needed"] == 3


def test_r26_a_node_that_missed_the_end_completes_the_set_when_it_is_back(hasty: Stack) -> None:
    """All shares are prepared when a node dies: no other attempt is made, the set waits for it."""
    vault_id, main = hasty.main_key("late", MAIN)
    with hasty.proxies["carol"].holding(carries_round(3), lose=True) as gate:
        request_id = hasty.native(vault_id, "Refresh", main)
        assert gate.hit.wait(60), "carol never activated"
        hasty.kill("node-carol")
        failed = hasty.finished(vault_id, request_id)
    assert failed["state"] == "Failed"
    assert failed["retryable"] is True
    assert failed["failed_node_ids"] == [hasty.node_ids["carol"]]
    # Nothing is replaced: the old epoch is the group's, and nobody has erased it.
    assert group_of(hasty, vault_id, main)["epoch"] == 1
    assert {hasty.stored_epoch(name, main) for name in ("alice", "bob")} == {1}
    words = str(explain(hasty, request_id))
    assert "carol" in words

    hasty.restart("node-carol")

    hasty.wait_for(lambda: hasty.request(vault_id, request_id)["state"] == "Succeeded", "the set to complete")
    all_hold(hasty, main, MAIN, 2)
    assert hasty.sql("SELECT count(*) FROM tss_ceremony WHERE request_id = %s", request_id) == [(1,)]


def test_r21_a_retry_leaves_out_a_dealer_that_stays_silent(hasty: Stack) -> None:
    vault_id, main = hasty.main_key("silent dealer", MAIN)
    hasty.pin_anchor(vault_id, ["dave", "erin"])
    signing = hasty.group(vault_id, ["dave", "erin"], 2, "SigningGroup")
    gates = [hasty.proxies[name].holding(carries_round(1)) for name in MAIN]
    with gates[0] as first, gates[1] as second, gates[2] as third:
        request_id = hasty.reshare("KeyGenFromKeyGroup", vault_id, signing, main)
        hit = hasty.wait_for(
            lambda: [
                name for name, gate in zip(MAIN, (first, second, third), strict=True) if gate.hit.is_set()
            ],
            "a dealer to deal",
        )
        silent = hit[0]
        hasty.kill(f"node-{silent}")
    request = hasty.wait_for(
        lambda: (now := hasty.request(vault_id, request_id))["status"] == "Success" and now, "another attempt"
    )
    hasty.restart(f"node-{silent}")
    assert request["attempt"] >= 2
    dealers = hasty.sql(
        "SELECT dealers FROM tss_ceremony WHERE request_id = %s ORDER BY attempt DESC LIMIT 1", request_id
    )[0][0]
    assert hasty.node_ids[silent] not in dealers


def test_a_scheduled_refresh_comes_by_itself(hasty: Stack) -> None:
    vault_id, main = hasty.main_key("by the clock", MAIN)
    hasty.api.put(f"/vaults/{vault_id}/groups/{main}/refresh_schedule", {"every_days": 30})
    # Thirty days pass.
    hasty.sql("UPDATE vaults_group SET next_refresh_at = now() - interval '1 second' WHERE id = %s", main)
    hasty.wait_for(lambda: group_of(hasty, vault_id, main)["epoch"] == 2, "the Refresh")
    all_hold(hasty, main, MAIN, 2)
    rows = hasty.sql(
        "SELECT type, state FROM tss_tssrequest WHERE vault_id = %s ORDER BY created_at", vault_id
    )
    assert rows == [("KeyGen", "Succeeded"), ("Refresh", "Succeeded")]


def test_n07_r30_a_node_from_an_old_backup_is_quarantined_until_it_has_a_new_share(hasty: Stack) -> None:
    vault_id, main = hasty.main_key("restored", MAIN)
    bob = hasty.nodes["bob"]
    backup = hasty.folder / "backup of bob"
    hasty.kill("node-bob")
    shutil.copytree(bob.folder, backup)
    hasty.restart("node-bob")
    for epoch in (2, 3):
        succeeded(hasty, vault_id, hasty.native(vault_id, "Refresh", main))
        all_hold(hasty, main, MAIN, epoch)
    hasty.kill("node-bob")
    shutil.rmtree(bob.folder)
    shutil.copytree(backup, bob.folder)
    assert hasty.stored_epoch("bob", main) == 1

    hasty.restart("node-bob")

    listed = hasty.wait_for(lambda: bob.call("quarantine", "list").strip(), "bob to find out")
    assert vault_id in listed
    assert "rolled_back" in listed
    # By rule it approves nothing any more; its operator may let it receive.
    request_id = hasty.native(vault_id, "Refresh", main)
    hasty.wait_for(lambda: request_id in bob.call("requests"), "bob to be asked")
    assert hasty.node_ids["bob"] not in hasty.request(vault_id, request_id)["approvals"]["by"]
    bob.call("approve", request_id, "--yes")
    succeeded(hasty, vault_id, request_id)
    all_hold(hasty, main, MAIN, 4)
    dealers = hasty.sql(
        "SELECT dealers FROM tss_ceremony WHERE request_id = %s ORDER BY attempt DESC LIMIT 1", request_id
    )[0][0]
    assert hasty.node_ids["bob"] not in dealers
    hasty.wait_for(lambda: vault_id not in bob.call("quarantine", "list"), "the quarantine to end")
