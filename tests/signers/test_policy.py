"""Local rules: default deny, and what R11 forbids."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from signers import policy
from signers.errors import NodeError
from tests.signers.world import ASK_POLICY, DEMO_POLICY, World
from wire.intent import TYPES

LOOPBACK, REMOTE = "http://127.0.0.1:8000", "https://quorate.example.com"
RULE = {"types": ["KeyGen"], "vaults": ["*"], "action": "ask"}


def code_and_message(document: dict[str, Any], url: str = REMOTE) -> tuple[str, str]:
    with pytest.raises(NodeError) as caught:
        policy.parse_policy(document, url)
    return caught.value.code, caught.value.message


def verdict(world: World) -> tuple[str, str]:
    request = world.open_request()
    world.sync("a")
    record = world.store("a").requests.get(request.digest)
    assert record is not None
    return record.verdict, record.code


def test_without_a_file_everything_is_refused(world: World) -> None:
    (world.state("a") / "policy.toml").unlink()
    assert verdict(world) == ("refused", "no_rule")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('vaults = ["*"]', 'vaults = ["vault-9"]'),
        lambda text: text.replace("'KeyGen', ", ""),
        lambda text: text + 'organisations = ["org-9"]\n',
        lambda text: "version = 1\n",
        lambda text: "not toml at all [",
        lambda text: text.replace("version = 1", "version = 2"),
    ],
    ids=["vault", "type", "organisation", "no rules", "broken", "unknown version"],
)
def test_without_a_rule_that_fits_a_request_is_refused(world: World, change: Callable[[str], str]) -> None:
    (world.state("a") / "policy.toml").write_text(change(ASK_POLICY))
    assert verdict(world) == ("refused", "no_rule")


def test_the_first_rule_that_fits_decides(world: World) -> None:
    text = (
        ASK_POLICY.replace('["*"]', '["vault-1"]') + "minimum_threshold = 3\n" + ASK_POLICY.split("1\n", 1)[1]
    )
    (world.state("a") / "policy.toml").write_text(text)
    assert verdict(world) == ("refused", "threshold_below_floor")


@pytest.mark.parametrize("type", [type for type in TYPES if type != "Refresh"])
def test_r11_auto_is_refused_for_everything_but_a_refresh(type: str) -> None:
    document = {"version": 1, "rule": [RULE | {"types": ["Refresh", type], "action": "auto"}]}
    code, message = code_and_message(document)
    assert code == "auto_not_allowed"
    assert "rule[0].action" in message
    # Nor does a loopback coordinator alone allow it.
    assert code_and_message(document, LOOPBACK)[0] == "auto_not_allowed"


def test_r11_a_refresh_may_be_automatic() -> None:
    rule = RULE | {"types": ["Refresh"], "action": "auto"}
    assert policy.parse_policy({"version": 1, "rule": [rule]}, REMOTE).rules[0].action == "auto"


@pytest.mark.parametrize(
    "url", [REMOTE, "", "http://10.0.0.1", "https://127.0.0.1.example.com", "http://localhost.evil"]
)
def test_r11_the_demo_works_on_loopback_only(url: str) -> None:
    assert code_and_message({"version": 1, "demo": True, "rule": [RULE]}, url)[0] == "demo_needs_loopback"


@pytest.mark.parametrize("url", [LOOPBACK, "http://localhost:8000", "http://[::1]:8000"])
def test_r11_the_demo_lifts_the_ban_on_loopback(url: str) -> None:
    rules = policy.parse_policy({"version": 1, "demo": True, "rule": [RULE | {"action": "auto"}]}, url)
    assert rules.demo
    assert rules.rules[0].action == "auto"


def test_r11_a_demo_policy_moved_to_a_remote_coordinator_allows_nothing(world: World) -> None:
    (world.state("a") / "policy.toml").write_text(DEMO_POLICY)
    world.store("a").set_setting("coordinator", REMOTE)
    assert verdict(world) == ("refused", "no_rule")


def test_r11_the_demo_announces_itself(world: World, caplog: pytest.LogCaptureFixture) -> None:
    (world.state("a") / "policy.toml").write_text(DEMO_POLICY)
    world.sync("a")
    world.sync("a")
    loud = [record for record in caplog.records if "DEMO" in record.getMessage()]
    assert len(loud) == 1
    assert loud[0].levelname == "WARNING"


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({}, "version"),
        ({"version": True}, "version"),
        ({"version": 1, "rules": []}, "rules: unknown"),
        ({"version": 1, "demo": "yes"}, "demo"),
        ({"version": 1, "rule": RULE}, "rule: must be a list"),
        ({"version": 1, "passkey_alone": ["Sign"]}, "passkey_alone"),
        ({"version": 1, "rule": [RULE | {"action": "yes"}]}, "rule[0].action"),
        ({"version": 1, "rule": [RULE | {"types": ["Keygen"]}]}, "rule[0].types"),
        ({"version": 1, "rule": [RULE | {"types": "KeyGen"}]}, "rule[0].types"),
        ({"version": 1, "rule": [RULE, RULE | {"vault": ["*"]}]}, "rule[1].vault: unknown"),
        ({"version": 1, "rule": [RULE | {"minimum_threshold": 1}]}, "rule[0].minimum_threshold"),
        ({"version": 1, "rule": [RULE | {"minimum_threshold": True}]}, "rule[0].minimum_threshold"),
        ({"version": 1, "rule": [RULE | {"delay": -1}]}, "rule[0].delay"),
        ({"version": 1, "rule": [RULE | {"delay": 7 * 24 * 3600 + 1}]}, "rule[0].delay"),
        ({"version": 1, "rule": [RULE | {"delay": "1 day"}]}, "rule[0].delay"),
        ({"version": 1, "rule": [RULE | {"delay": True}]}, "rule[0].delay"),
        ({"version": 1, "rule": [{"types": ["KeyGen"], "action": "ask"}]}, "rule[0].vaults"),
        ({"version": 1, "rule": [7]}, "rule[0]"),
    ],
)
def test_a_bad_file_names_the_entry(document: dict[str, Any], named: str) -> None:
    code, message = code_and_message(document)
    assert code == "bad_policy"
    assert named in message


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("#" * (policy.MAX_POLICY_BYTES + 1))
    with pytest.raises(NodeError, match="larger than"):
        policy.load_policy(path, REMOTE)


def test_the_example_file_is_valid() -> None:
    example = Path(policy.__file__).with_name("policy.example.toml")
    rules = policy.load_policy(example, REMOTE)
    assert {type: rule.action for rule in rules.rules for type in rule.types} == {
        **dict.fromkeys(TYPES, "ask"),
        "Refresh": "auto",
    }
    assert [rule.delay for rule in rules.rules if "Recovery" in rule.types] == [24 * 3600]
    assert not rules.demo


def test_a_changed_file_is_read_again_and_refused_requests_are_judged_again(world: World) -> None:
    path = world.state("a") / "policy.toml"
    path.unlink()
    assert verdict(world) == ("refused", "no_rule")
    path.write_text(ASK_POLICY)
    world.sync("a")
    record = world.store("a").requests.all()[0]
    assert (record.verdict, record.code) == ("ask", "")
    path.write_text(DEMO_POLICY)
    world.sync("a")
    assert world.store("a").requests.own_decision(record.digest, world.node_id("a")) is None


# R17


def test_r17_a_delay_passes_before_anybody_agrees(world: World) -> None:
    path = world.state("a") / "policy.toml"
    path.write_text(DEMO_POLICY + "delay = 3600\n")
    assert verdict(world) == ("refused", "delayed")
    node = world.nodes["a"]
    record = node.store.requests.all()[0]
    assert "waits until 20" in record.message
    with pytest.raises(NodeError) as caught:
        node.approve(record)
    assert caught.value.code == "delayed"
    world.sync("a")
    assert node.store.requests.own_decision(record.digest, node.identity.node_id) is None

    # An hour later.
    node.store.database.execute("UPDATE requests SET received_at = received_at - 3600000")
    world.sync("a")
    assert node.store.requests.own_decision(record.digest, node.identity.node_id) is not None


def test_r17_the_delay_counts_from_the_first_sight(world: World) -> None:
    path = world.state("a") / "policy.toml"
    path.write_text(ASK_POLICY + "delay = 3600\n")
    assert verdict(world) == ("refused", "delayed")
    first = world.store("a").requests.all()[0]
    path.write_text(ASK_POLICY + "delay = 7200\n")
    world.sync("a")
    again = world.store("a").requests.all()[0]
    assert (again.received_at, again.code) == (first.received_at, "delayed")
    assert again.message != first.message
    path.write_text(ASK_POLICY)
    world.sync("a")
    assert world.store("a").requests.all()[0].verdict == "ask"


def test_r17_what_nobody_could_read_does_not_count(world: World) -> None:
    """The coordinator asks the node to start a request that it keeps from the operator until the delay has
    passed."""
    path = world.state("a") / "policy.toml"
    path.write_text(ASK_POLICY + "delay = 3600\n")
    request = world.open_request()

    def start_only(node_id: str, answer: dict[str, Any]) -> None:
        start = {"session_id": "cd" * 32, "attempt": 1, "dealers": []}
        answer["starts"] = [{**start, "documents": world.mailbox.documents(request)}]
        answer["requests"] = []

    world.mailbox.tamper = start_only
    world.sync("a")
    store = world.store("a")
    assert [record.manifest for record in store.requests.all()] == [""]
    store.database.execute("UPDATE requests SET received_at = received_at - 3600000")
    world.mailbox.tamper = lambda node_id, answer: answer.update(
        requests=[{"documents": world.mailbox.documents(request)}]
    )
    world.sync("a")
    record = store.requests.get(request.digest)
    assert record is not None
    assert (record.verdict, record.code) == ("refused", "delayed")
