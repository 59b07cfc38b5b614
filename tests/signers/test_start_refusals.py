"""What a node refuses when a ceremony is to start: forged, missing and late approvals, and stale attempts
(P10, R13, R20, R24)."""

from collections.abc import Callable
from typing import Any

import pytest

from signers.errors import NodeError
from signers.node import Node
from tests.signers.mailbox import FAILED, OPEN, SUCCEEDED, Request
from tests.signers.world import DAY, World, now_ms
from wire.approval import APPROVE, REJECT, Approval
from wire.intent import intent_digest

Answers = dict[str, Any]


def started(world: World, change: Callable[[Request], None] | None = None) -> tuple[Request, str]:
    """Let everybody approve, change what the coordinator holds, start; what node a said."""
    request = world.open_request()
    world.approve(request)
    assert request.ceremonies
    if change is not None:
        change(request)
    world.sync("a")
    world.sync("a")
    assert not world.store("a").sessions.listed(), "the node joined"
    return request, request.refusals[world.node_id("a")][0]


def test_p10_a_forged_approval_row(world: World) -> None:
    def forge(request: Request) -> None:
        mine = world.nodes["c"].identity
        request.decisions[world.node_id("b")] = Approval.sign(
            mine.sign,
            digest=bytes.fromhex(request.digest),
            decision=APPROVE,
            node_id=world.node_id("b"),
            time=now_ms(),
        )

    request, code = started(world, forge)
    assert code == "forged_approval"
    assert request.ceremony.state == FAILED


def test_p10_a_missing_approval(world: World) -> None:
    def drop(request: Request) -> None:
        del request.decisions[world.node_id("b")]

    assert started(world, drop)[1] == "missing_approval"


def test_p10_an_approval_of_another_request(world: World) -> None:
    other = world.request()

    def transplant(request: Request) -> None:
        identity = world.nodes["b"].identity
        request.decisions[identity.node_id] = Approval.sign(
            identity.sign,
            digest=other.intent.digest(),
            decision=APPROVE,
            node_id=identity.node_id,
            time=now_ms(),
        )

    assert started(world, transplant)[1] == "approval_of_other_request"


def test_p10_an_approval_by_a_stranger(world: World, make_world: Any) -> None:
    stranger = make_world("x").nodes["x"].identity

    def add(request: Request) -> None:
        request.decisions[stranger.node_id] = Approval.sign(
            stranger.sign,
            digest=request.intent.digest(),
            decision=APPROVE,
            node_id=stranger.node_id,
            time=now_ms(),
        )

    assert started(world, add)[1] == "unknown_approver"


@pytest.mark.parametrize("offset", [-3_600_000, 2 * DAY])
def test_p10_an_approval_outside_the_requests_life(world: World, offset: int) -> None:
    def redate(request: Request) -> None:
        identity = world.nodes["b"].identity
        request.decisions[identity.node_id] = Approval.sign(
            identity.sign,
            digest=request.intent.digest(),
            decision=APPROVE,
            node_id=identity.node_id,
            time=request.intent.not_before + offset,
        )

    assert started(world, redate)[1] == "approval_out_of_time"


def test_a_malformed_decision(world: World) -> None:
    request = world.open_request()
    world.approve(request)

    def tamper(node_id: str, answer: Answers) -> None:
        for start in answer["starts"]:
            start["documents"]["decisions"].append({"v": 1})

    world.mailbox.tamper = tamper
    world.sync("a")
    world.mailbox.tamper = None
    world.sync("a")
    assert request.refusals[world.node_id("a")][0] == "bad_approval"


def test_r13_a_known_reject_wins_over_an_approval(world: World) -> None:
    def reject(request: Request) -> None:
        identity = world.nodes["b"].identity
        request.decisions[identity.node_id] = Approval.sign(
            identity.sign,
            digest=request.intent.digest(),
            decision=REJECT,
            node_id=identity.node_id,
            time=now_ms(),
        )

    request, code = started(world, reject)
    assert code == "rejected"
    # It binds for ever: the coordinator cannot take it back.
    identity = world.nodes["b"].identity
    request.decisions[identity.node_id] = Approval.sign(
        identity.sign,
        digest=request.intent.digest(),
        decision=APPROVE,
        node_id=identity.node_id,
        time=now_ms(),
    )
    world.restart("a")
    world.mailbox.attempt(request)
    world.sync("a")
    world.sync("a")
    assert request.ceremony.reason == "rejected"


def test_r13_a_node_whose_operator_did_not_approve_stays_out(world: World) -> None:
    request = world.open_request()
    world.approve(request, "b", "c")
    world.sync("a")
    world.mailbox.attempt(request)
    world.sync("a")
    world.sync("a")
    assert request.refusals[world.node_id("a")][0] == "not_approved_here"


def test_r13_a_start_out_of_the_blue(world: World) -> None:
    request = world.request()
    world.mailbox.add(request)
    world.mailbox.attempt(request)
    world.sync("a")
    world.sync("a")
    assert request.refusals[world.node_id("a")][0] == "not_approved_here"


def test_r13_own_rejection_binds_at_once_and_for_ever(world: World) -> None:
    request = world.open_request()
    world.approve(request)
    node: Node = world.nodes["a"]
    record = node.store.requests.get(request.digest)
    assert record is not None
    node.reject(record, "changed my mind")
    world.sync("a")
    assert request.ceremony.state != OPEN
    world.sync("a")
    assert request.refusals[world.node_id("a")][0] == "rejected"
    with pytest.raises(NodeError) as caught:
        node.approve(record)
    assert caught.value.code == "rejected"


def test_r20_a_session_id_that_does_not_follow_from_the_request(world: World) -> None:
    request = world.open_request()
    world.approve(request)

    def tamper(node_id: str, answer: Answers) -> None:
        for start in answer["starts"]:
            start["session_id"] = "ab" * 32

    world.mailbox.tamper = tamper
    world.sync("a")
    world.mailbox.tamper = None
    world.sync("a")
    assert request.refusals[world.node_id("a")][0] == "session_id_mismatch"


def test_r20_attempts_rise_to_five_and_a_success_is_final(world: World) -> None:
    request = world.open_request()
    world.approve(request)
    world.sync("a")
    request.ceremony.state = FAILED
    world.sync("a")
    for number in (6, 0):
        number_start(world, request, number)
        assert request.refusals[world.node_id("a")][0] == "too_many_attempts"
    world.mailbox.attempt(request, 2)
    world.finish(request)
    assert request.state == SUCCEEDED
    number_start(world, request, 3)
    assert request.refusals[world.node_id("a")][0] == "already_succeeded"


def number_start(world: World, request: Request, attempt: int) -> None:
    """The coordinator asks node a for an attempt of its choice."""

    def tamper(node_id: str, answer: Answers) -> None:
        start = {"session_id": "cd" * 32, "attempt": attempt, "dealers": []}
        answer["starts"] = [{**start, "documents": world.mailbox.documents(request)}]

    world.mailbox.tamper = tamper
    world.sync("a")
    world.mailbox.tamper = None
    world.sync("a")


def test_r20_the_same_attempt_is_not_entered_twice(world: World) -> None:
    request = world.open_request()
    world.approve(request)
    world.sync("a")
    request.ceremony.state = FAILED
    world.sync("a")
    number_start(world, request, 1)
    assert request.refusals[world.node_id("a")][0] == "stale_attempt"


def test_r24_one_ceremony_of_a_vault_at_a_time(world: World) -> None:
    first = world.open_request()
    second = world.open_request(manifest=world.manifest(group_id="group-2"))
    world.approve(first)
    world.approve(second)
    world.sync("a")
    running = world.store("a").sessions.listed()
    assert len(running) == 1
    world.sync("a")
    refused = [request for request in (first, second) if request.refusals]
    assert [request.refusals[world.node_id("a")][0] for request in refused] == ["vault_busy"]


def test_12_a_start_with_another_manifest_than_was_approved(world: World) -> None:
    request = world.open_request(manifest=world.manifest(threshold=3))
    world.approve(request)
    lowered = world.manifest(threshold=2).encode().decode()

    def tamper(node_id: str, answer: Answers) -> None:
        for start in answer["starts"]:
            start["documents"]["manifest"] = lowered

    world.mailbox.tamper = tamper
    world.sync("a")
    world.mailbox.tamper = None
    world.sync("a")
    assert request.refusals[world.node_id("a")][0] == "manifest_hash_mismatch"


def test_n09_a_lowered_threshold_changes_the_digest_and_loses_the_approvals(world: World) -> None:
    request = world.open_request(manifest=world.manifest(threshold=3))
    world.approve(request)
    lowered = world.request(manifest=world.manifest(threshold=2), nonce=request.intent.nonce)
    lowered.decisions = dict(request.decisions)
    assert intent_digest(lowered.intent.encode()) != request.intent.digest()
    request.state = "cancelled"
    request.ceremony.state = FAILED
    world.mailbox.add(lowered)
    world.mailbox.attempt(lowered)
    world.sync("a")
    world.sync("a")
    assert lowered.refusals[world.node_id("a")][0] == "not_approved_here"


def test_r13_a_reject_takes_the_place_of_an_approval_and_never_the_other_way_round(world: World) -> None:
    request = world.open_request()
    world.approve(request)
    node = world.nodes["a"]
    record = node.store.requests.get(request.digest)
    assert record is not None
    approval = node.store.requests.own_decision(request.digest, node.identity.node_id)
    assert approval is not None
    assert approval.decision == APPROVE
    reject = node.reject(record, "no")
    assert not node.store.requests.add_decision(approval, "operator")
    assert node.store.requests.own_decision(request.digest, node.identity.node_id) == reject
