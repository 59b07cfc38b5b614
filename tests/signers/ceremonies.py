"""Ceremonies that somebody interferes with, and how a node noted their end."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mpc.dealing_messages import ROUND_PREPARED
from tests.signers.mailbox import OPEN, ROUNDS, SUCCEEDED, Request
from tests.signers.world import World
from wire.envelope import Envelope

Answers = dict[str, Any]
EVERY_ROUND = range(ROUNDS)
# From here on a node is bound by its `prepared` signature: unsigned bytes do not make it leave (R26).
BOUND = ROUND_PREPARED
LAST = ROUNDS - 1


def running(world: World) -> Request:
    """A request that everybody approved; its ceremony waits in the mailbox."""
    request = world.open_request()
    world.approve(request)
    return request


def run_out(world: World, request: Request, limit: int = 12) -> None:
    """Exchange until the ceremony is over at the mailbox."""
    for _ in range(limit):
        world.sync()
        if request.ceremony.state != OPEN:
            return
    raise AssertionError("the ceremony neither ended nor failed")


def on_round(world: World, name: str, round: int, change: Callable[[list[str]], list[str]]) -> list[int]:
    """Change the envelopes of one round on their way to one node; the list tells how often that happened."""
    happened: list[int] = []

    def tamper(node_id: str, answer: Answers) -> None:
        if node_id != world.node_id(name):
            return
        for entry in answer["messages"]:
            if entry["round"] == round and (round < BOUND or len(happened) < 2):
                happened.append(round)
                entry["envelopes"] = change(entry["envelopes"])

    world.mailbox.tamper = tamper
    return happened


def until_round(world: World, name: str, round: int) -> None:
    """Exchange until node `name` waits for the messages of `round`."""
    for _ in range(12):
        if [record.round for record in world.store(name).sessions.listed()] == [round]:
            return
        world.sync()
    raise AssertionError(f"{name} never waited for round {round}")


def aborted(world: World, name: str = "a") -> str:
    """How node `name` noted the end of its only session; no secret of it is left."""
    rows = world.store(name).database.rows("SELECT code, sealed FROM sessions")
    assert len(rows) == 1
    assert rows[0][1] is None
    assert not world.store(name).shares.final()
    return str(rows[0][0])


def ends_with(world: World, request: Request, round: int, code: str) -> None:
    """The fault ends the session; later it is noted, and the key is made all the same."""
    if round < BOUND:
        run_out(world, request)
        assert request.ceremony.reason == code
        assert request.ceremony.said().blamed == 0
        assert aborted(world) == code
    else:
        world.finish(request)
        assert request.state == SUCCEEDED
        assert code in [entry.code for entry in world.store("a").log_entries()]
        assert len(world.nodes["a"].keys()) == 1


def changed(envelope: str, **fields: Any) -> str:
    """An envelope with changed fields and the old signature."""
    return b64encode(replace(Envelope.parse(b64decode(envelope)), **fields).encode()).decode()


def resigned(world: World, name: str, envelope: str, **fields: Any) -> str:
    """An envelope with changed fields and a new signature of node `name`."""
    old = Envelope.parse(b64decode(envelope))
    values = {
        each: getattr(old, each)
        for each in ("type", "session_id", "protocol", "round", "sender", "recipient", "body")
    }
    sealed = Envelope.seal(world.nodes[name].identity.sign, **{**values, **fields})
    return b64encode(sealed.encode()).decode()
