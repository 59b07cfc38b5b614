"""R26, R28: which shares are erased, when, and on whose word."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mpc.certificate import Certificate
from mpc.dealing import Dealing
from signers.outcome import open_share
from signers.set_rules import ERASED, FINAL
from signers.shares import Shares
from tests.signers.builders import vault_policy
from tests.signers.ceremonies import Answers
from tests.signers.mailbox import SUCCEEDED, Request
from tests.signers.test_resume import Killed
from tests.signers.test_share_sets import all_activated, old_set_is_whole, states
from tests.signers.world import GROUP, World
from wire.intent import RetiredSets
from wire.session import session_context
from wire.set_statement import ERASED as SAID_ERASED

pytestmark = pytest.mark.slow

GRACE = 3_600_000


def test_r26_a_retired_share_is_kept_for_the_grace_that_the_policy_gives(world: World) -> None:
    policy = vault_policy(erase_grace=GRACE)
    world.ask.policy = policy
    request = world.open_request(policy=policy)
    world.run(request)
    world.run(world.ask.refresh())
    world.sync()
    assert old_set_is_whole(world)
    retired = world.store("a").shares.of_group(GROUP)[0]
    assert retired.erase_at > world.store("a").now()
    # Retired already: the node does not show it as a key of its own (R3).
    assert [each.epoch for each in world.store("a").shares.active()] == [2]
    assert len(world.nodes["a"].keys()) == 1
    world.store("a").database.execute("UPDATE share_sets SET erase_at = erase_at - ?", (GRACE,))
    world.sync("a")
    assert states(world, "a", epoch=1) == [ERASED]
    assert states(world, "b", epoch=1) == [FINAL]


def test_r26_no_word_of_the_coordinator_erases_anything(world: World) -> None:
    """Everybody activated the new set; the coordinator says that all is over and hides the last messages."""
    request = all_activated(world)
    session_id = request.ceremony.session_id

    def lie(node_id: str, answer: Answers) -> None:
        answer["messages"] = []
        answer["closed"] = [{"digest": request.digest, "state": "succeeded"}]
        answer["ended"] = [
            {"session_id": session_id, "state": "succeeded", "reason": "", "certificate": None}
        ]

    world.mailbox.tamper = lie
    for _ in range(3):
        world.sync()
    assert old_set_is_whole(world)
    assert all(record.erase_at == 0 for name in "abc" for record in world.store(name).shares.all())


def test_r26_the_certificate_of_another_vault_erases_nothing(world: World, make_world: Any) -> None:
    elsewhere = make_world("a", "b", "c")
    elsewhere.keygen()
    foreign = elsewhere.run(elsewhere.ask.refresh()).ceremony.certificate
    world.keygen()
    assert not world.nodes["a"].runner.known_certificates([foreign])
    world.sync()
    assert states(world, "a", epoch=1) == [FINAL]


def test_r28_a_node_that_was_removed_erases_its_share_and_says_so(make_world: Any) -> None:
    world: World = make_world("a", "b", "c")
    world.keygen()
    request = world.ask.reshare(["a", "b"])
    world.approve(request, "a", "b", "c")
    world.finish(request)
    world.sync()
    assert request.state == SUCCEEDED
    assert states(world, "c", epoch=1) == [ERASED]
    assert world.node_id("c") in [each.node_id for each in world.mailbox.statements]
    assert world.nodes["c"].keys() == []


def test_r28_a_removed_node_that_was_never_told_keeps_its_share(make_world: Any) -> None:
    """It knows from the chain that it was left out, but not what was approved to be retired."""
    world: World = make_world("a", "b", "c")
    world.keygen()

    def hide(node_id: str, answer: Answers) -> None:
        if node_id == world.node_id("c"):
            answer["requests"] = []

    world.mailbox.tamper = hide
    request = world.ask.reshare(["a", "b"], eligible=(world.node_id("a"), world.node_id("b")))
    world.approve(request, "a", "b")
    world.finish(request)
    world.sync("c")
    assert request.state == SUCCEEDED
    assert "left_out" in [entry.code for entry in world.store("c").log_entries()]
    assert states(world, "c", epoch=1) == [FINAL]


def test_r26_what_a_nodes_own_checks_refused_erases_nothing(make_world: Any) -> None:
    """Two signing holders make a set of their own, in a request that says that it retires the Main group."""
    world: World = make_world("a", "b", "c", "x", "y")
    world.keygen(["a", "b", "c"])
    world.run(world.ask.share_to("signing-1", ["x", "y"]))
    main = world.mailbox.groups[GROUP].certificate
    request = world.ask.refresh("signing-1", retires=(RetiredSets(GROUP, 1, main.hash()),))
    world.sync()
    # The Main holders know its text and refuse it; x and y run patched nodes that do not.
    store = world.store("a")
    for name in "abc":
        world.nodes[name].decisions.consider(world.mailbox.shown(request), world.nodes[name].policy())
    record = store.requests.get(request.digest)
    assert record is not None
    assert record.code == "bad_retires"
    certificate = run_without_checks(world, request)
    assert not world.nodes["a"].runner.known_certificates([certificate.encode()])
    world.sync("a")
    assert store.anchors.is_trusted(certificate.hash(), world.nodes["a"].data_key)
    assert states(world, "a", epoch=1) == [FINAL]


def run_without_checks(world: World, request: Request) -> Certificate:
    """The ceremony as its participants can run it with software of their own."""
    source = world.mailbox.groups[request.manifest.group_id].certificate.statement
    dealers = request.intent.eligible[:2]
    context = session_context(request.intent, request.manifest, request.source_manifest, 1, dealers)
    machines, bodies = {}, {}
    for index, name in enumerate("xy", start=1):
        node = world.nodes[name]
        share = open_share(node.store.shares.active()[0], node.identity.node_id, node.data_key)
        machine, step = Dealing.start(context, index, node.identity.sign, source=source, share=share)
        machines[index], bodies[index] = machine, step.outgoing[0].body
    while True:
        steps = {
            index: machine.receive({other: body for other, body in bodies.items() if other != index})
            for index, machine in machines.items()
        }
        if steps[1].certificate is not None:
            return steps[1].certificate
        bodies = {index: step.outgoing[0].body for index, step in steps.items()}


def test_n24_a_node_that_was_away_for_three_changes_is_told_and_cannot_rejoin(make_world: Any) -> None:
    world: World = make_world("a", "b", "c")
    world.keygen()
    world.names.remove("c")
    eligible = (world.node_id("a"), world.node_id("b"))
    world.run(world.ask.reshare(["a", "b"], eligible=eligible))
    for _ in range(2):
        world.run(world.ask.refresh())
    world.sync("c")
    log = world.store("c").log_entries()
    assert [entry.code for entry in log].count("left_out") >= 1
    assert "Recovery" in log[-1].message
    # Its old share still opens, and nobody takes it: whoever deals is proved by the chain.
    assert [each.epoch for each in world.store("c").shares.active()] == [1]
    world.sync("c")
    assert len(world.store("c").log_entries()) == len(log)


class KilledWhileErasing:
    """A node's real database that dies in the middle of an erasure, before it commits."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.happened = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._database.transaction():
            before = self._database.rows("SELECT COUNT(*) FROM share_sets WHERE state = 'erased'")
            yield
            if self._database.rows("SELECT COUNT(*) FROM share_sets WHERE state = 'erased'") != before:
                self.happened = True
                raise Killed


def test_r28_a_crash_while_erasing_loses_neither_share_nor_statement(world: World) -> None:
    world.keygen()
    request = world.ask.refresh()
    world.approve(request)
    killer = KilledWhileErasing(world.store("a").database)
    world.store("a").database = killer
    with pytest.raises(Killed):
        world.finish(request)
    assert killer.happened
    world.restart("a")
    assert states(world, "a", epoch=1) == [FINAL]
    assert world.store("a").statements.undelivered() == []
    world.finish(request)
    world.sync()
    assert states(world, "a", epoch=1) == [ERASED]
    said = [(each.node_id, each.state) for each in world.mailbox.statements]
    assert said.count((world.node_id("a"), SAID_ERASED)) == 1


def test_r28_a_statement_that_did_not_arrive_is_sent_again(world: World) -> None:
    world.keygen()
    request = world.ask.refresh()
    world.approve(request)

    def lose(node_id: str, answer: Answers) -> None:
        for position in range(3):
            answer["errors"].append({"item": f"statements[{position}]", "code": "busy", "message": ""})

    world.mailbox.tamper = lose
    world.finish(request)
    world.sync()
    world.restart("a")
    world.mailbox.statements.clear()
    world.mailbox.tamper = None
    world.sync("a")
    assert [each.node_id for each in world.mailbox.statements] == [world.node_id("a")]
    world.mailbox.statements.clear()
    world.sync("a")
    assert world.mailbox.statements == []


def test_r26_an_erased_share_is_nowhere_in_the_nodes_files(world: World) -> None:
    world.keygen()
    sealed = world.store("a").shares.active()[0].sealed

    def on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in world.state("a").iterdir() if path.is_file())

    assert sealed in on_disk()  # the scan sees what is stored
    world.run(world.ask.refresh())
    world.sync()
    assert states(world, "a", epoch=1) == [ERASED]
    # No part of the ciphertext is left either; before it are ids, which other rows have too.
    files = on_disk()
    assert [at for at in range(256, len(sealed) - 32, 16) if sealed[at : at + 32] in files] == []


def test_r16_the_only_place_that_erases_is_the_one_that_a_certificate_leads_to() -> None:
    """`Shares` has one method that wipes a share, and rows of sets are never deleted."""
    names = [name for name in vars(Shares) if "erase" in name or "delete" in name or "remove" in name]
    assert names == ["erase"]
