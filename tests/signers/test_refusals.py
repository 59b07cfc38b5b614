"""Each check of a node has a refusal code of its own (docs/protocol.md; R1, R5, R7, R8, R12, R13, R15,
R20, R26)."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from signers.errors import NodeError
from tests.signers.builders import vault_policy
from tests.signers.mailbox import SUCCEEDED, Request
from tests.signers.world import DAY, DEMO_POLICY, World, now_ms
from wire.canonical import canonical_bytes

Answers = dict[str, Any]


def refusal(world: World, request: Request, name: str = "a") -> str:
    """Show the request to a node; the code of its refusal, which it also reported."""
    world.mailbox.add(request)
    world.sync(name)
    record = world.store(name).requests.get(request.digest)
    assert record is not None
    assert record.verdict == "refused", "the node did not refuse"
    with pytest.raises(NodeError):
        world.nodes[name].approve(record)
    world.sync(name)
    assert request.refusals[world.node_id(name)] == (record.code, record.message[:500])
    return record.code


def tampered_text(world: World, request: Request, field: str, change: Callable[[Any], Any]) -> str:
    """Show a changed text; the code of node a's refusal (kept under the digest of what it was shown)."""
    world.mailbox.add(request)

    def tamper(node_id: str, answer: Answers) -> None:
        for shown in answer["requests"]:
            documents = shown["documents"]
            value = change(json.loads(documents[field]))
            documents[field] = value if isinstance(value, str) else canonical_bytes(value).decode()

    world.mailbox.tamper = tamper
    world.sync("a")
    world.mailbox.tamper = None
    records = world.store("a").requests.all()
    assert len(records) == 1
    assert records[0].verdict == "refused"
    return records[0].code


# intent


def test_r8_an_unknown_field_is_refused(world: World) -> None:
    code = tampered_text(world, world.request(), "intent", lambda intent: {**intent, "extra": 1})
    assert code == "unknown_field"


def test_r8_an_unknown_version_is_refused(world: World) -> None:
    assert (
        tampered_text(world, world.request(), "intent", lambda intent: {**intent, "v": 2})
        == "unknown_version"
    )


def test_r8_an_unknown_type_is_refused(world: World) -> None:
    code = tampered_text(world, world.request(), "intent", lambda intent: {**intent, "type": "Sweep"})
    assert code == "unknown_type"


@pytest.mark.parametrize("field", ["vault_id", "nonce", "expires", "target"])
def test_r8_a_missing_field_is_refused(world: World, field: str) -> None:
    def drop(intent: Answers) -> Answers:
        return {name: value for name, value in intent.items() if name != field}

    assert tampered_text(world, world.request(), "intent", drop) == "bad_intent"


@pytest.mark.parametrize("text", ["{", "[]", '{"v":1,"v":1}', '{"a":"\\ud800"}', " {}"])
def test_15_text_that_is_no_canonical_intent_is_refused(world: World, text: str) -> None:
    assert tampered_text(world, world.request(), "intent", lambda _: text) == "bad_intent"


def test_newer_software_is_asked_for(world: World) -> None:
    assert refusal(world, world.request(min_software="0.2.0")) == "software_too_old"
    assert refusal(world, world.request(min_software="soon")) == "bad_intent"


def test_unknown_protocol_and_curves(world: World) -> None:
    assert refusal(world, world.request(protocol="keygen/2")) == "unknown_protocol"
    assert refusal(world, world.request(curves=())) == "bad_curves"
    assert refusal(world, world.request(curves=("ed25519", "secp256k1"))) == "bad_curves"


def test_another_organisation(world: World) -> None:
    request = world.request(manifest=world.manifest(organisation_id="org-2"))
    assert refusal(world, request) == "other_organisation"


# manifest


def test_12_a_manifest_that_the_intent_does_not_name(world: World) -> None:
    request = world.request()
    other = world.manifest(threshold=3)
    code = tampered_text(world, request, "manifest", lambda _: other.encode().decode())
    assert code == "manifest_hash_mismatch"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"organisation_id": "org-2"}, "organisation_mismatch"),
        ({"vault_id": "vault-2"}, "vault_mismatch"),
        ({"group_id": "group-2"}, "group_mismatch"),
        ({"role": "recovery"}, "role_mismatch"),
        ({"epoch": 2}, "epoch_mismatch"),
        ({"threshold": 3}, "threshold_mismatch"),
    ],
)
def test_intent_and_manifest_disagree(world: World, changes: Answers, code: str) -> None:
    other = world.manifest(**changes)
    request = world.request()
    request.manifest = other
    request.intent = replace(
        request.intent, target=replace(request.intent.target, manifest_hash=other.hash())
    )
    assert refusal(world, request) == code


def test_fewer_participants_than_the_intent_says(world: World) -> None:
    request = world.request()
    request.manifest = world.manifest(["a", "b"])
    target = replace(request.intent.target, manifest_hash=request.manifest.hash())
    request.intent = replace(request.intent, target=target)
    assert refusal(world, request) == "participants_mismatch"


def test_key_gen_is_for_a_main_group_at_epoch_1(world: World) -> None:
    assert refusal(world, world.request(manifest=world.manifest(role="recovery"))) == "wrong_role"
    assert refusal(world, world.request(manifest=world.manifest(epoch=2))) == "wrong_epoch"


def test_not_a_member(world: World) -> None:
    request = world.mailbox.add(world.request(manifest=world.manifest(["b", "c"])))

    def also_to_a(node_id: str, answer: Answers) -> None:
        answer["requests"].append({"documents": world.mailbox.documents(request)})

    world.mailbox.tamper = also_to_a
    world.sync("a")
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    assert record.code == "not_a_member"


def test_own_card_must_be_the_nodes_own(world: World) -> None:
    other_version = world.nodes["a"].identity.card("api", version=2)
    manifest = world.manifest()
    request = world.request(manifest=replace(manifest, holders=(other_version, *manifest.holders[1:])))
    assert refusal(world, request) == "own_card_mismatch"


def test_r7_one_identity_under_two_holders(world: World) -> None:
    card = world.card("b")
    request = world.request(manifest=replace(world.manifest(), holders=(world.card("a"), card, card)))
    assert refusal(world, request) == "bad_manifest"


def test_r5_an_unpinned_member_is_refused_with_its_fingerprint(world: World, make_world: Any) -> None:
    stranger = make_world("x").card("x")
    request = world.request(
        manifest=replace(world.manifest(), holders=(world.card("a"), world.card("b"), stranger))
    )
    assert refusal(world, request) == "unpinned_node"
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    assert stranger.node_id in record.message
    assert "fingerprint" in record.message
    assert len(record.message.split("words: ")[1].split(")")[0].split()) == 12
    # The operator compares, pins, and the node thinks again.
    world.pin("a", stranger, "x")
    world.sync("a")
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    assert record.verdict == "ask"


@pytest.mark.parametrize("name", ["a", "b"])
def test_n01_swapped_keys_under_a_known_id(world: World, make_world: Any, name: str) -> None:
    """The coordinator keeps the id that people know and puts its own keys under it."""
    mallory = make_world("m").card("m")

    def swap(manifest: Answers) -> Answers:
        for holder in manifest["holders"]:
            if holder["card"]["node_id"] == world.node_id(name):
                holder["card"] = {**mallory.body(), "node_id": world.node_id(name)}
                holder["signature"] = mallory.signature.hex()
        return manifest

    assert tampered_text(world, world.request(), "manifest", swap) == "pin_mismatch"
    codes = [entry.code for entry in world.store("a").log_entries()]
    assert "pin_mismatch" in codes


def test_r5_a_pin_written_by_somebody_else_is_no_pin(world: World) -> None:
    world.store("a").database.execute("UPDATE pins SET label = 'b, really'")
    assert refusal(world, world.request()) == "pin_tampered"


def test_r1_service_members_must_be_fewer_than_the_threshold(make_world: Any) -> None:
    world = make_world("a", "s1", "s2", kinds={"s1": "service", "s2": "service"})
    assert refusal(world, world.request()) == "service_has_threshold"


def test_r1_fewer_service_members_are_accepted(make_world: Any) -> None:
    world = make_world("a", "b", "s", kinds={"s": "service"})
    request = world.open_request()
    world.approve(request)
    world.finish(request)
    assert request.state == SUCCEEDED


def test_threshold_one_is_refused(world: World) -> None:
    assert refusal(world, world.request(manifest=world.manifest(threshold=1))) == "threshold_too_low"


def test_n09_a_threshold_below_the_local_floor(world: World) -> None:
    policy = world.state("a") / "policy.toml"
    policy.write_text(policy.read_text() + "minimum_threshold = 3\n")
    assert refusal(world, world.request()) == "threshold_below_floor"
    assert world.nodes["a"].policy().rules[0].minimum_threshold == 3


# vault policy


def test_r12_the_vault_policy(world: World) -> None:
    request = world.request()
    other = vault_policy(request_lifetime=2 * DAY)
    assert (
        tampered_text(world, request, "policy", lambda _: other.encode().decode()) == "policy_hash_mismatch"
    )


def test_r12_other_faults_of_the_vault_policy(world: World) -> None:
    foreign = vault_policy("vault-2")
    assert refusal(world, world.request(policy=foreign)) == "policy_vault_mismatch"
    nothing = vault_policy(creators={})
    assert refusal(world, world.request(policy=nothing)) == "type_not_in_policy"
    short = vault_policy(request_lifetime=60_000)
    assert refusal(world, world.request(policy=short)) == "lifetime_above_policy"


def test_r12_a_policy_that_cannot_be_read(world: World) -> None:
    assert tampered_text(world, world.request(), "policy", lambda _: "{}") == "bad_vault_policy"


# time


def test_r15_expiry_and_not_before_by_the_nodes_own_clock(world: World) -> None:
    now = now_ms()
    assert refusal(world, world.request(not_before=now - 2000, expires=now - 1000)) == "expired"
    later = now + 3_600_000
    assert refusal(world, world.request(not_before=later, expires=later + 1000)) == "not_yet_valid"


def test_r15_a_request_lives_seven_days_at_most(world: World) -> None:
    now = now_ms()
    request = world.request(not_before=now, expires=now + 7 * DAY + 1)
    assert refusal(world, request) == "lifetime_too_long"
    assert refusal(world, world.request(not_before=now, expires=now)) == "lifetime_too_long"


def test_r15_a_clock_set_back_stops_the_node(world: World) -> None:
    store = world.store("a")
    store.set_setting("time_high_water", str(now_ms() + 3_600_000))
    with pytest.raises(NodeError) as caught:
        store.now()
    assert caught.value.code == "clock_behind"
    world.open_request()
    with pytest.raises(NodeError) as caught:
        world.sync("a")
    assert caught.value.code == "clock_behind"


def test_r15_the_mark_survives_a_restart_and_carries_over_a_small_step(world: World) -> None:
    ahead = now_ms() + 30_000
    world.store("a").set_setting("time_high_water", str(ahead))
    world.restart("a")
    assert world.store("a").now() >= ahead


# state


def test_r26_a_group_that_has_a_key_gets_no_other(world: World) -> None:
    world.keygen()
    again = world.request()
    assert refusal(world, again) == "group_has_key"
    other_group = world.request(manifest=world.manifest(group_id="group-2"))
    assert refusal(world, other_group) == "vault_has_key"


def test_r26_an_activated_set_counts_even_without_the_certificate(world: World) -> None:
    world.keygen()
    world.store("a").database.execute("UPDATE share_sets SET state = 'activated'")
    world.store("a").database.execute("DELETE FROM anchors")
    assert refusal(world, world.request()) == "group_has_key"


def test_the_demo_rule_does_not_override_any_check(world: World, make_world: Any) -> None:
    (world.state("a") / "policy.toml").write_text(DEMO_POLICY)
    stranger = make_world("x").card("x")
    request = world.request(manifest=replace(world.manifest(), holders=(world.card("a"), stranger)))
    assert refusal(world, request) == "unpinned_node"
    assert not request.decisions
