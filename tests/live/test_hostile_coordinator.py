"""Whoever owns the coordinator's database still cannot make an honest node act (A3; P10, N01, N02, N09).

The tests write what they like into the database, or between site and node, and read in the nodes' own words
why they refuse.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from quickstart.nodes import DemoNode
from tests.live.stack import Stack
from tests.wire.builders import card as attacker_card
from tests.wire.builders import signing_key as attacker_key
from wire.approval import Approval
from wire.canonical import canonical_bytes
from wire.identity import HolderCard
from wire.intent import Intent, intent_digest
from wire.manifest import Manifest
from wire.policy import VaultPolicy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

MEMBERS = ["alice", "bob", "carol"]


def test_p10_forged_approval_rows_move_no_node(asking_stack: Stack) -> None:
    stack = asking_stack
    request_id, vault_id = new_request(stack, "forged")
    intent = intent_of(stack, request_id)
    for name in MEMBERS:
        insert_approval(stack, request_id, name, forged(stack, intent, name))
    force_start(stack, request_id)
    request = stack.finished(vault_id, request_id)
    assert request["status"] == "KeyGeneratingFailed"
    assert "not_approved_here" in request["state_reason"]
    assert_no_keys(stack, vault_id)


def test_p10_a_real_approval_beside_forged_ones(asking_stack: Stack) -> None:
    """Alice really approved; what the database says of Bob and Carol does not convince her node."""
    stack = asking_stack
    request_id, vault_id = new_request(stack, "half forged")
    approve(stack, "alice", request_id)
    intent = intent_of(stack, request_id)
    with silenced(stack, "bob", "carol"):
        for name in ("bob", "carol"):
            insert_approval(stack, request_id, name, forged(stack, intent, name))
        force_start(stack, request_id)
        assert refusal(stack, request_id, "alice") == "forged_approval"
    assert stack.finished(vault_id, request_id)["status"] == "KeyGeneratingFailed"
    assert_no_keys(stack, vault_id)


def test_n01_swapped_key_under_a_pinned_id(asking_stack: Stack) -> None:
    stack = asking_stack
    vault_id = stack.vault("swapped")
    group_id = stack.group(vault_id, MEMBERS, 2)
    roster = stored_manifest(stack, group_id).to_json()
    roster["holders"][1]["card"]["signing_key"] = bytes(attacker_key("mallory").verify_key).hex()
    # The honest site refuses to work with such a roster; a hostile one would not, so the row is made by hand.
    request_id = insert_request(stack, vault_id, group_id, roster)
    # The site's own code cannot even file a refusal of such a roster: the node's own words count.
    stack.wait_for(
        lambda: own_verdict(stack, "alice", request_id) == "refused: pin_mismatch", "alice to refuse"
    )


def test_n01_a_stranger_in_the_roster(asking_stack: Stack) -> None:
    """A member replaced by a node of the attacker, validly described: nobody has pinned it (R5)."""
    stack = asking_stack
    vault_id = stack.vault("stranger")
    group_id = stack.group(vault_id, MEMBERS, 2)
    roster = stored_manifest(stack, group_id)
    stranger = attacker_card("mallory")
    assert HolderCard.from_json(stranger.to_json()) == stranger
    changed = replace(roster, holders=(roster.holders[0], stranger, roster.holders[2]))
    request_id = insert_request(stack, vault_id, group_id, changed.to_json(), changed.hash())
    assert refusal(stack, request_id, "alice") == "unpinned_node"
    # The refusal prints the fingerprint to compare.
    message = stack.sql(
        "SELECT message FROM tss_refusal WHERE request_id = %s AND node_id = %s",
        request_id,
        stack.node_ids["alice"],
    )[0][0]
    assert stranger.node_id in message
    assert "words" in message


def test_n09_threshold_lowered_after_the_approvals(asking_stack: Stack) -> None:
    stack = asking_stack
    stack.kill("worker")
    names = ["alice", "bob", "carol", "dave", "erin"]
    vault_id = stack.vault("lowered")
    request_id = stack.key_gen(vault_id, stack.group(vault_id, names, 3))
    for name in names:
        approve(stack, name, request_id)
    stack.wait_for(lambda: stack.request(vault_id, request_id)["state"] == "Approved", "the approvals")
    text = stack.sql("SELECT manifest FROM tss_tssrequest WHERE id = %s", request_id)[0][0]
    lowered = replace(Manifest.parse(text.encode()), threshold=2).encode().decode()
    stack.sql("UPDATE tss_tssrequest SET manifest = %s WHERE id = %s", lowered, request_id)
    # In the group's row too, where the site's own code would find the difference.
    stack.sql("UPDATE vaults_group SET manifest = %s WHERE manifest = %s", lowered, text)
    stack.restart("worker")
    request = stack.finished(vault_id, request_id)
    assert request["status"] == "KeyGeneratingFailed"
    assert "refused" in request["state_reason"]
    assert_no_keys(stack, vault_id)


def test_n09_threshold_below_the_nodes_floor(asking_stack: Stack) -> None:
    stack = asking_stack
    policy = stack.nodes["alice"].folder / "policy.toml"
    before = policy.read_text()
    policy.write_text(before.replace("minimum_threshold = 2", "minimum_threshold = 3"))
    try:
        request_id, _vault_id = new_request(stack, "below the floor")
        assert refusal(stack, request_id, "alice") == "threshold_below_floor"
    finally:
        policy.write_text(before)


def test_n02_two_nodes_given_different_rosters(asking_stack: Stack) -> None:
    """Carol is shown another roster, approves it, and her approval is passed off to the others."""
    stack = asking_stack
    vault_id = stack.vault("split view")
    shown: dict[str, str] = {}

    def rewrite(path: str, data: bytes) -> bytes:
        answer = json.loads(data)
        for request in answer.get("requests", []) if path == "/node/v1/sync" else []:
            entry = request["documents"]
            manifest = Manifest.parse(entry["manifest"].encode())
            other = replace(manifest, holders=(manifest.holders[1], manifest.holders[0], manifest.holders[2]))
            intent = Intent.parse(entry["intent"].encode())
            changed = replace(intent, target=replace(intent.target, manifest_hash=other.hash()))
            entry["manifest"], entry["intent"] = other.encode().decode(), changed.encode().decode()
            shown["digest"] = changed.digest().hex()
        return json.dumps(answer).encode()

    stack.proxies["carol"].rewrite = rewrite
    try:
        request_id = stack.key_gen(vault_id, stack.group(vault_id, MEMBERS, 2))
        for name in MEMBERS:
            approve(stack, name, request_id)
        assert shown["digest"] != intent_of(stack, request_id).digest().hex()
        # Her decision about the other digest is nobody's approval of this one; the attacker files it here.
        insert_approval(stack, request_id, "carol", sent_decision(stack, "carol", shown["digest"]))
        with silenced(stack, "bob", "carol"):
            force_start(stack, request_id)
            assert refusal(stack, request_id, "alice") == "approval_of_other_request"
        assert stack.finished(vault_id, request_id)["status"] == "KeyGeneratingFailed"
        assert_no_keys(stack, vault_id)
    finally:
        stack.proxies["carol"].rewrite = None


def test_r1_two_service_members_of_three_are_refused_by_the_nodes(asking_stack: Stack) -> None:
    stack = asking_stack
    second = DemoNode("service2", stack.folder / "nodes" / "service2")
    code = stack.manage("create_enrolment_code", "--service", "--name", "service2")["code"]
    stack.node_ids["service2"] = second.create(
        coordinator=stack.site_url, code=code, service=True, action="ask"
    )
    stack.nodes["alice"].pin([second])
    vault_id = stack.vault("two services")
    group_id = stack.group(vault_id, ["service", "service2", "alice"], 2)
    request_id = stack.key_gen(vault_id, group_id)
    assert refusal(stack, request_id, "alice") == "service_has_threshold"


def new_request(stack: Stack, name: str) -> tuple[str, str]:
    vault_id = stack.vault(name)
    return stack.key_gen(vault_id, stack.group(vault_id, MEMBERS, 2)), vault_id


@contextmanager
def silenced(stack: Stack, *names: str) -> Iterator[None]:
    """Hold every call of these nodes: the first refusal ends a ceremony, and a test wants one node's."""
    with ExitStack() as gates:
        for name in names:
            gates.enter_context(stack.proxies[name].holding(lambda path, _body: path == "/node/v1/sync"))
        yield


def approve(stack: Stack, name: str, request_id: str) -> None:
    node = stack.nodes[name]
    stack.wait_for(lambda: request_id in node.call("requests"), f"{name} to be asked")
    node.call("approve", request_id, "--yes")


def intent_of(stack: Stack, request_id: str) -> Intent:
    text = stack.sql("SELECT intent FROM tss_tssrequest WHERE id = %s", request_id)[0][0]
    return Intent.parse(text.encode())


def stored_manifest(stack: Stack, group_id: str) -> Manifest:
    return Manifest.parse(
        stack.sql("SELECT manifest FROM vaults_group WHERE id = %s", group_id)[0][0].encode()
    )


def forged(stack: Stack, intent: Intent, name: str) -> dict[str, Any]:
    """An approval in the name of a holder, signed by the attacker."""
    key = attacker_key("mallory")
    return Approval.sign(
        lambda message: key.sign(message).signature,
        digest=intent.digest(),
        decision="approve",
        node_id=stack.node_ids[name],
        time=intent.not_before + 1,
    ).to_json()


def insert_approval(stack: Stack, request_id: str, name: str, signed: dict[str, Any]) -> None:
    stack.sql(
        "INSERT INTO tss_approval (request_id, node_id, kind, decision, reason, signed, received_at)"
        " VALUES (%s, %s, 'node', 'approve', '', %s, now())",
        request_id,
        stack.node_ids[name],
        json.dumps(signed),
    )


def force_start(stack: Stack, request_id: str) -> None:
    stack.sql("UPDATE tss_tssrequest SET state = 'Approved', version = version + 1 WHERE id = %s", request_id)
    stack.sql(
        "INSERT INTO tss_job (kind, reference, due_at, fence, attempts, created_at)"
        " VALUES ('start_ceremony', %s, now(), 0, 0, now())",
        request_id,
    )


def insert_request(
    stack: Stack, vault_id: str, group_id: str, roster: dict[str, Any], manifest_hash: bytes = bytes(32)
) -> str:
    """A request row for a roster that no honest coordinator would accept."""
    template, _ = new_request(stack, f"template {vault_id[:8]}")
    intent = json.loads(stack.sql("SELECT intent FROM tss_tssrequest WHERE id = %s", template)[0][0])
    request_id = str(intent["request_id"])[:-6] + "000000"
    policy = stack.sql("SELECT policy FROM vaults_vault WHERE id = %s", vault_id)[0][0]
    policy_hash = VaultPolicy.parse(policy.encode()).hash().hex()
    intent |= {"vault_id": vault_id, "request_id": request_id, "policy_hash": policy_hash}
    intent["target"] |= {"group_id": group_id, "manifest_hash": manifest_hash.hex()}
    encoded = canonical_bytes(intent)
    stack.sql(
        "INSERT INTO tss_tssrequest (id, organisation_id, vault_id, target_group_id, source_node_ids, type,"
        " state, state_reason, failed_node_ids, retryable, version, attempt, approvals_needed,"
        " protocol_minimum, description, requester_member_id, intent, digest, manifest, source_manifest,"
        " policy, new_policy, created_at, updated_at, expires_at)"
        " SELECT %s, organisation_id, %s, %s, source_node_ids, type, 'AwaitingApproval', '',"
        " failed_node_ids, false, 0, 1, approvals_needed, protocol_minimum, description,"
        " requester_member_id, %s, %s, %s, '', %s, '', created_at, updated_at, expires_at"
        " FROM tss_tssrequest WHERE id = %s",
        request_id,
        vault_id,
        group_id,
        encoded.decode(),
        intent_digest(encoded).hex(),
        canonical_bytes(roster).decode(),
        policy,
        template,
    )
    stack.sql(
        "INSERT INTO tss_voter (request_id, node_id, name, source, target, counts_as_source, signer)"
        " SELECT %s, node_id, name, source, target, counts_as_source, signer FROM tss_voter"
        " WHERE request_id = %s",
        request_id,
        template,
    )
    return request_id


def refusal(stack: Stack, request_id: str, name: str) -> str:
    """The code with which a node refused, as the coordinator was told."""

    def probe() -> list[tuple[Any, ...]]:
        return stack.sql(
            "SELECT code FROM tss_refusal WHERE request_id = %s AND node_id = %s",
            request_id,
            stack.node_ids[name],
        )

    return str(stack.wait_for(probe, f"{name} to refuse")[0][0])


def own_verdict(stack: Stack, name: str, request_id: str) -> str:
    """What a node's own list says of a request: "refused: <code>" and the like."""
    for line in stack.nodes[name].call("requests").splitlines():
        if line.startswith(request_id):
            return ":".join(line[52:].split(":")[:2])
    return ""


def sent_decision(stack: Stack, name: str, digest: str) -> dict[str, Any]:
    """The signed decision about a digest that a node has put on the wire."""

    def probe() -> dict[str, Any] | None:
        for call in stack.proxies[name].traffic:
            start = call.find(b'{"')
            if b'"decisions"' not in call or start < 0:
                continue
            for decision in json.loads(call[start:]).get("decisions", []):
                if decision["digest"] == digest:
                    return dict(decision)
        return None

    found: dict[str, Any] = stack.wait_for(probe, f"{name}'s decision on the wire")
    return found


def assert_no_keys(stack: Stack, vault_id: str) -> None:
    assert not stack.api.get(f"/wallets/mpc/vaults/{vault_id}")["root_pubkeys"]
    for name in MEMBERS:
        assert not {key for key in stack.stored_keys(name) if key[0] == vault_id}
