"""The operator's commands about keys that live on (P15; R3, R6, R13, R17, R30)."""

import json
from pathlib import Path
from typing import Any

import pytest

from signers.shares import Quarantine
from tests.signers.mailbox import Request
from tests.signers.test_cli import as_key_file, ok, over_http, run
from tests.signers.world import VAULT, World, now_ms
from wire.anchor import Anchor


@pytest.fixture
def grown(make_world: Any) -> World:
    """a, b, c hold the Main group; d knows nothing of it."""
    world: World = make_world("a", "b", "c", "d")
    request = world.open_request(manifest=world.manifest(["a", "b", "c"]))
    world.run(request)
    return world


# anchors


def test_r6_an_anchor_goes_from_a_holder_to_a_joining_node(grown: World, tmp_path: Path) -> None:
    holder, joining = as_key_file(grown, "a"), as_key_file(grown, "d")
    exported = run(holder, "anchor", "export", VAULT)
    assert exported.exit_code == 0
    words = exported.stderr.split("words        ")[1].strip()
    file = tmp_path / "vault.anchor"
    file.write_text(exported.stdout)
    pinned = ok(joining, "anchor", "pin", str(file), "--checked-how", "telephone, 12 words")
    assert words in pinned
    listed = ok(joining, "anchor", "list")
    for root in grown.nodes["a"].keys()[0].root_keys:
        assert root.public_key in listed
        assert root.chain_code in listed
    assert "telephone, 12 words" in listed
    assert words in ok(holder, "anchor", "list")
    again = run(joining, "anchor", "pin", str(file), "--checked-how", "x")
    assert "anchor_known" in again.output


def test_r6_an_anchor_that_cannot_be_read(grown: World, tmp_path: Path) -> None:
    joining = as_key_file(grown, "d")
    file = tmp_path / "vault.anchor"
    for text in ("", "{}", '{"v": 1}'):
        file.write_text(text)
        assert "bad_anchor" in run(joining, "anchor", "pin", str(file), "--checked-how", "x").output
    missing = run(joining, "anchor", "pin", str(tmp_path / "none"), "--checked-how", "x")
    assert "unreadable" in missing.output
    assert "no_anchor" in run(joining, "anchor", "export", VAULT).output
    assert ok(joining, "anchor", "list") == ""


def test_r6_pinning_an_anchor_lets_a_refused_request_through(grown: World) -> None:
    request = grown.mailbox.add(grown.ask.reshare(["a", "b", "d"]))
    grown.sync("d")
    record = grown.store("d").requests.get(request.digest)
    assert record is not None
    assert record.code == "no_anchor"
    anchor: Anchor = grown.nodes["a"].anchor(VAULT)
    grown.nodes["d"].pin_anchor(anchor, checked_how="telephone", pinned_by="tester")
    grown.sync("d")
    record = grown.store("d").requests.get(request.digest)
    assert record is not None
    assert (record.verdict, record.code) == ("ask", "")


# withdrawals


def withdrawn(world: World, request: Request) -> str:
    folder = as_key_file(world, "a")
    with over_http(world, "a") as (url, _):
        world.store("a").set_setting("coordinator", url)
        return ok(folder, "withdraw", request.digest, "--reason", "second thoughts")


def test_p15_an_approval_is_taken_back_before_the_start(world: World) -> None:
    request = world.open_request()
    world.approve(request, "a", "b")
    assert "withdrawn" in withdrawn(world, request)
    decision = request.decisions[world.node_id("a")]
    assert (decision.decision, decision.reason) == ("withdraw", "second thoughts")
    folder = world.state("a")
    assert "refused: withdrawn" in ok(folder, "requests")
    # For ever: neither approving again nor withdrawing again is possible.
    assert "withdrawn" in run(folder, "approve", request.digest, "--yes").output
    assert "nothing_to_withdraw" in run(folder, "withdraw", request.digest, "--reason", "x").output


def test_p15_who_has_not_approved_has_nothing_to_take_back(world: World) -> None:
    request = world.open_request()
    world.sync("a")
    result = run(as_key_file(world, "a"), "withdraw", request.digest, "--reason", "x")
    assert result.exit_code == 1
    assert "nothing_to_withdraw" in result.output
    assert not request.decisions


# share sets


def test_shares_lists_every_set_and_keys_the_one_in_use(grown: World) -> None:
    grown.run(grown.mailbox.add(grown.ask.refresh()))
    folder = as_key_file(grown, "a")
    rows = json.loads(ok(folder, "shares", "--json"))
    assert [row["epoch"] for row in rows] == [1, 2]
    assert len({row["certificate_hash"] for row in rows}) == 2
    text = ok(folder, "shares")
    assert "epoch 1" in text
    assert rows[1]["certificate_hash"] in text
    # R3: one key a group, from the newest set.
    held = json.loads(ok(folder, "keys", "--json"))
    assert [(key["epoch"], key["certificate_hash"]) for key in held] == [(2, rows[1]["certificate_hash"])]


def test_r30_a_quarantine_is_shown_and_lifted_by_the_operator_alone(grown: World) -> None:
    folder, shares = as_key_file(grown, "a"), grown.store("a").shares
    assert ok(folder, "quarantine", "list") == ""
    shares.set_quarantine(Quarantine(VAULT, "main", 2, "rolled_back", "ask for a Refresh", now_ms()))
    assert "rolled_back: ask for a Refresh" in ok(folder, "quarantine", "list")
    assert "lifted" in ok(folder, "quarantine", "lift", VAULT)
    assert shares.quarantine(VAULT) is None
    assert "not_quarantined" in run(folder, "quarantine", "lift", VAULT).output
    assert "quarantine_lifted" in ok(folder, "log")


def test_r30_a_quarantined_node_approves_nothing_by_rule(grown: World) -> None:
    grown.store("a").shares.set_quarantine(
        Quarantine(VAULT, "main", 2, "rolled_back", "ask for a Refresh", now_ms())
    )
    policy = grown.state("a") / "policy.toml"
    policy.write_text('version = 1\n[[rule]]\ntypes = ["Refresh"]\nvaults = ["*"]\naction = "auto"\n')
    request = grown.mailbox.add(grown.ask.refresh())
    grown.sync("a")
    record = grown.store("a").requests.get(request.digest)
    assert record is not None
    assert record.verdict == "ask"
    assert not request.decisions
    # Its operator may let it receive a new share.
    grown.nodes["a"].approve(record)


# notices


def test_r17_an_old_main_holder_reads_of_a_recovery(make_world: Any) -> None:
    world: World = make_world("a", "b", "c", "d", "e")
    world.keygen(["a", "b", "c"])
    world.run(world.mailbox.add(world.ask.share_to("recovery-1", ["d", "e"], role="recovery")))
    request = world.mailbox.add(world.ask.recovery({"c": "d"}, "recovery-1"))
    world.sync("c")
    record = world.store("c").requests.get(request.digest)
    assert record is not None
    assert record.verdict == "notice"
    assert not request.refusals
    folder = as_key_file(world, "c")
    assert "you are only told" in ok(folder, "requests")
    assert "recovery_notice" in ok(folder, "log")
    assert "no_vote" in run(folder, "approve", request.digest, "--yes").output
    shown = ok(folder, "show", request.digest)
    assert "Replaced for ever" in shown
    assert world.node_id("c") in shown
