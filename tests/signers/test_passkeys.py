"""Passkey votes on the nodes: what they verify and follow, and what a lying coordinator gets (R7-R13)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from signers.errors import NodeError, Refusal
from signers.requests import RequestRecord
from tests.accounts.authenticator import PRESENT, Authenticator
from tests.signers.mailbox import Request
from tests.signers.world import ASK_POLICY, World, now_ms
from wire.approval import Approval
from wire.passkey import PasskeyApproval

ALONE = ASK_POLICY.replace("version = 1", 'version = 1\npasskey_alone = ["KeyGen"]')
AUTO = ASK_POLICY.replace('"ask"', '"auto"').replace("version = 1", "version = 1\ndemo = true")


@pytest.fixture
def device() -> Authenticator:
    return Authenticator()


@pytest.fixture
def guarded(world: World, device: Authenticator) -> World:
    """Votes of node a need the passkey as well."""
    world.nodes["a"].add_passkey(device.credential("blue key"))
    world.nodes["a"].set_method("passkey")
    return world


def vote(world: World, request: Request, device: Authenticator, **changes: Any) -> PasskeyApproval:
    fields: dict[str, Any] = {
        "digest": request.intent.digest(),
        "node_id": world.node_id("a"),
        "time": now_ms(),
    } | changes
    return device.vote(**fields)


def policy(world: World, text: str, *names: str) -> None:
    for name in names or world.names:
        (world.state(name) / "policy.toml").write_text(text)


def kept(world: World, request: Request, name: str = "a") -> RequestRecord:
    record = world.store(name).requests.get(request.digest)
    assert record is not None
    return record


def own(world: World, request: Request, name: str = "a") -> Approval | None:
    return world.store(name).requests.own_decision(request.digest, world.node_id(name))


def logged(world: World, name: str = "a") -> list[str]:
    return [each.code for each in world.store(name).log_entries()]


def start_code(world: World, request: Request, decisions: list[Any], name: str = "b") -> str:
    """What a node answers to a start with these decisions."""
    documents = replace(world.mailbox.shown(request), decisions=tuple(decisions))
    checks = world.nodes[name].checks
    record = kept(world, request, name)
    with pytest.raises(Refusal) as caught:
        checks._approved(checks.request(record.documents(), world.nodes[name].policy()), documents)
    return caught.value.code


# the card


def test_r7_a_card_change_is_a_new_version_and_reaches_the_coordinator(
    guarded: World, device: Authenticator
) -> None:
    card = guarded.card("a")
    assert (card.version, card.method, card.credentials) == (3, "passkey", (device.credential("blue key"),))
    guarded.sync("a")
    guarded.sync("a")
    sent = [body["cards"] for _, body in guarded.mailbox.calls]
    assert sent == [[card.to_json()], []]
    assert logged(guarded) == ["card_changed", "card_changed"]


def test_r7_what_a_card_cannot_be(guarded: World, device: Authenticator) -> None:
    node = guarded.nodes["a"]
    text = device.credential("blue key").fingerprint().hex()
    acts: dict[str, Callable[[], object]] = {
        "passkey_known": lambda: node.add_passkey(device.credential()),
        "last_passkey": lambda: node.remove_passkey(text),
        "unknown_passkey": lambda: node.remove_passkey("00" * 32),
        "method_unchanged": lambda: node.set_method("passkey"),
        "no_passkey": lambda: guarded.nodes["b"].set_method("both"),
    }
    for code, act in acts.items():
        with pytest.raises(NodeError) as caught:
            act()
        assert caught.value.code == code
    node.set_method("node")
    node.remove_passkey(text[:8])
    assert guarded.card("a").credentials == ()
    for _ in range(4):
        node.add_passkey(Authenticator().credential())
    with pytest.raises(NodeError, match="at most 4"):
        node.add_passkey(Authenticator().credential())


def test_r7_a_card_may_not_be_rolled_back(guarded: World) -> None:
    """b has seen a's third card; a coordinator that lists the second gets nowhere, with a or with b."""
    old = guarded.card("a")
    guarded.nodes["a"].set_method("both")
    guarded.open_request()
    guarded.sync()
    holders = (old, guarded.card("b"), guarded.card("c"))
    stale = guarded.open_request(manifest=guarded.manifest(group_id="group-2", holders=holders))
    guarded.sync()
    assert kept(guarded, stale, "b").code == "card_rolled_back"
    assert kept(guarded, stale, "a").code == "own_card_mismatch"


def test_r7_two_cards_of_one_version_are_no_card(guarded: World) -> None:
    guarded.open_request()
    guarded.sync()
    unsigned = replace(guarded.card("a"), method="both")
    other = replace(unsigned, signature=guarded.nodes["a"].identity.sign(unsigned.signed_bytes()))
    holders = (other, guarded.card("b"), guarded.card("c"))
    second = guarded.open_request(manifest=guarded.manifest(group_id="group-2", holders=holders))
    guarded.sync()
    assert kept(guarded, second, "b").code == "card_conflict"


# counting


def test_r9_a_key_is_made_with_both_signatures(guarded: World, device: Authenticator) -> None:
    request = guarded.open_request()
    guarded.approve(request)
    assert not request.ceremonies
    guarded.mailbox.vote(request, vote(guarded, request, device))
    guarded.finish(request)
    assert request.state == "succeeded"


def test_r7_without_the_passkey_no_node_takes_part(guarded: World) -> None:
    """The coordinator starts all the same."""
    request = guarded.open_request()
    guarded.approve(request)
    guarded.mailbox.attempt(request)
    guarded.sync()
    for name in guarded.names:
        assert kept(guarded, request, name).code == "missing_approval"


def test_p02_p05_p10_p11_forged_votes_are_refused_by_every_node(
    guarded: World, device: Authenticator
) -> None:
    request, other = guarded.open_request(), guarded.request()
    guarded.approve(request)
    good = vote(guarded, request, device)
    forged = {
        "passkey_of_other_request": vote(guarded, other, device),
        "wrong_challenge": replace(vote(guarded, other, device), digest=good.digest),
        "unknown_credential": vote(guarded, request, Authenticator()),
        "unknown_approver": vote(guarded, request, device, node_id="quo-nobody"),
        "passkey_out_of_time": vote(guarded, request, device, time=request.intent.expires + 1),
        "wrong_origin": vote(guarded, request, device, origin="https://evil.example"),
        "wrong_rp_id": vote(guarded, request, device, rp_id="evil.example"),
        "cross_origin": vote(guarded, request, device, cross_origin=True),
        "wrong_type": vote(guarded, request, device, type="webauthn.create"),
        "user_not_verified": vote(guarded, request, device, flags=PRESENT),
        "forged_passkey": replace(good, signature=vote(guarded, other, device).signature),
        "bad_approval": None,
    }
    for name in guarded.names:
        for code, each in forged.items():
            shown = each.to_json() if each else {**good.to_json(), "more": 1}
            decisions = [*request.shown_decisions(), shown]
            assert start_code(guarded, request, decisions, name) == code, (name, code)


def test_p09_a_reject_replayed_as_an_approve_is_refused(guarded: World, device: Authenticator) -> None:
    request = guarded.open_request()
    guarded.approve(request)
    turned = replace(vote(guarded, request, device, decision="reject"), decision="approve")
    decisions = [*request.shown_decisions(), turned.to_json()]
    assert start_code(guarded, request, decisions) == "wrong_challenge"


def test_p11_a_passkey_that_its_holder_took_off_counts_no_more(guarded: World, device: Authenticator) -> None:
    """The set in use lists it still; b has seen a's newer card in a request for another group."""
    key_gen = guarded.open_request()
    guarded.mailbox.vote(key_gen, vote(guarded, key_gen, device))
    guarded.run(key_gen)
    node = guarded.nodes["a"]
    node.add_passkey(Authenticator().credential())
    node.remove_passkey(device.credential("blue key").fingerprint().hex())
    guarded.ask.share_to("signing-1", ["a", "b"])
    guarded.sync("b")
    request = guarded.ask.share_to("signing-2", ["b", "c"])
    guarded.approve(request, "b")
    stolen = vote(guarded, request, device)
    decisions = [*request.shown_decisions(), stolen.to_json()]
    assert start_code(guarded, request, decisions) == "former_credential"


# following


def test_r10_by_default_a_passkey_decides_nothing_alone(guarded: World, device: Authenticator) -> None:
    request = guarded.open_request()
    guarded.sync()
    guarded.mailbox.vote(request, vote(guarded, request, device))
    guarded.sync()
    assert own(guarded, request) is None
    guarded.approve(request)
    guarded.finish(request)
    assert request.state == "succeeded"


def test_r10_where_the_node_says_so_a_passkey_is_enough(guarded: World, device: Authenticator) -> None:
    policy(guarded, ALONE, "a")
    request = guarded.open_request()
    guarded.approve(request, "b", "c")
    guarded.sync("a")
    assert own(guarded, request) is None
    guarded.mailbox.vote(request, vote(guarded, request, device))
    guarded.finish(request)
    assert request.state == "succeeded"


@pytest.mark.parametrize("text", [ALONE, AUTO])
def test_r10_both_always_waits_for_the_operator(guarded: World, device: Authenticator, text: str) -> None:
    guarded.nodes["a"].set_method("both")
    policy(guarded, text, "a")
    request = guarded.open_request()
    guarded.sync()
    guarded.mailbox.vote(request, vote(guarded, request, device))
    guarded.sync()
    assert (own(guarded, request), kept(guarded, request).verdict) == (None, "ask")


@pytest.mark.parametrize(
    "changes", [{"origin": "https://evil.example"}, {"flags": PRESENT}, {"by": Authenticator()}]
)
def test_p11_a_vote_that_does_not_count_is_not_followed(
    guarded: World, device: Authenticator, changes: dict[str, Any]
) -> None:
    policy(guarded, ALONE, "a")
    request = guarded.open_request()
    guarded.sync()
    guarded.mailbox.vote(request, vote(guarded, request, changes.pop("by", device), **changes))
    guarded.sync()
    guarded.sync()
    assert own(guarded, request) is None
    # Said once, and not asked for again.
    assert guarded.mailbox.calls[-3][1]["passkeys"] == {request.digest: "approve"}
    assert (
        sum(code in ("wrong_origin", "user_not_verified", "unknown_credential") for code in logged(guarded))
        == 1
    )
    # A good one takes its place.
    request.passkeys.clear()
    good = vote(guarded, request, device)
    guarded.nodes["a"].following.take([good])
    guarded.sync("a")
    assert own(guarded, request) is not None


def test_p11_a_passkey_that_was_taken_off_since_its_vote_is_not_followed(
    guarded: World, device: Authenticator
) -> None:
    """The vote was good when it came; the node's rules let passkeys decide only after it was lost."""
    made = guarded.open_request()
    guarded.approve(made)
    guarded.mailbox.vote(made, vote(guarded, made, device))
    guarded.finish(made)
    guarded.nodes["a"].add_passkey(Authenticator().credential("spare key"))
    request = guarded.mailbox.add(guarded.ask.share_to("signing-1", "bc"))
    guarded.sync("a")
    guarded.mailbox.vote(request, vote(guarded, request, device))
    guarded.sync("a")
    kept_vote = guarded.store("a").passkeys.of(request.digest, guarded.node_id("a"))
    assert kept_vote is not None
    assert (kept_vote.code, kept(guarded, request).verdict) == ("", "ask")
    guarded.nodes["a"].remove_passkey(device.credential("blue key").fingerprint().hex())
    policy(guarded, ALONE.replace("KeyGen", "KeyGenFromKeyGroup", 1), "a")
    guarded.sync("a")
    assert own(guarded, request) is None


def test_votes_that_do_not_count_are_forgotten_with_their_request(guarded: World) -> None:
    """A hostile coordinator must not fill the disk with requests that nobody decides."""
    request = guarded.open_request()
    guarded.sync()
    guarded.mailbox.vote(request, vote(guarded, request, Authenticator()))
    guarded.sync("a")
    votes = guarded.store("a").passkeys
    assert votes.of(request.digest, guarded.node_id("a")) is not None
    guarded.nodes["b"].reject(kept(guarded, request, "b"), "no")
    guarded.nodes["b"].deliver()
    guarded.sync("a")
    assert guarded.store("a").requests.get(request.digest) is None
    assert votes.of(request.digest, guarded.node_id("a")) is None


def test_p05_an_expired_vote_is_not_followed(guarded: World, device: Authenticator) -> None:
    policy(guarded, ALONE, "a")
    request = guarded.open_request(expires=now_ms() + 30_000)
    guarded.sync()
    # The node's clock is past it, and no more ahead of ours than a clock may be.
    guarded.store("a").set_setting("time_high_water", str(request.intent.expires + 1))
    guarded.mailbox.vote(request, vote(guarded, request, device))
    guarded.sync("a")
    kept_vote = guarded.store("a").passkeys.of(request.digest, guarded.node_id("a"))
    assert kept_vote is not None
    assert (kept_vote.code, own(guarded, request)) == ("expired", None)


def test_p02_shown_one_request_and_asked_for_another(guarded: World, device: Authenticator) -> None:
    """A lying page has the person sign for B; the words that the node prints are B's, and it asks."""
    shown = guarded.open_request(description="Pay the rent")
    meant = guarded.open_request(manifest=guarded.manifest(group_id="group-2"), description="Steal")
    guarded.sync()
    guarded.mailbox.vote(meant, vote(guarded, meant, device))
    guarded.sync()
    assert own(guarded, meant) is None
    # Nor does the vote pass for what the person saw.
    moved = replace(vote(guarded, meant, device), digest=shown.intent.digest())
    guarded.mailbox.vote(shown, moved)
    guarded.sync()
    assert own(guarded, shown) is None
    assert "wrong_challenge" in logged(guarded)


def test_r13_a_rejection_binds_the_holders_node_at_once(guarded: World, device: Authenticator) -> None:
    request = guarded.open_request()
    guarded.approve(request)
    guarded.mailbox.vote(request, vote(guarded, request, device, decision="reject", reason="not mine"))
    guarded.sync("a")
    decided = own(guarded, request)
    assert decided is not None
    assert (decided.decision, decided.reason) == ("reject", "not mine")
    with pytest.raises(Refusal, match="rejected"):
        guarded.nodes["a"].approve(kept(guarded, request))


def test_r13_a_rejection_binds_every_node_that_sees_it(guarded: World, device: Authenticator) -> None:
    request = guarded.open_request()
    guarded.approve(request)
    rejected = vote(guarded, request, device, decision="reject", reason="not mine")
    decisions = [*request.shown_decisions(), rejected.to_json()]
    assert start_code(guarded, request, decisions) == "rejected"
    # For ever, also where the coordinator forgets it.
    approved = vote(guarded, request, device)
    assert start_code(guarded, request, [*request.shown_decisions(), approved.to_json()]) == "rejected"


def test_r13_p15_a_withdrawal_takes_the_nodes_approval_back(guarded: World, device: Authenticator) -> None:
    request = guarded.open_request()
    guarded.approve(request)
    guarded.mailbox.vote(request, vote(guarded, request, device, decision="withdraw", reason="lost"))
    guarded.sync("a")
    decided = own(guarded, request)
    assert decided is not None
    assert decided.decision == "withdraw"


def test_r9_a_falling_counter_is_logged(guarded: World, device: Authenticator) -> None:
    first, second = (
        guarded.open_request(),
        guarded.open_request(manifest=guarded.manifest(group_id="group-2")),
    )
    guarded.sync()
    guarded.mailbox.vote(first, vote(guarded, first, device, counter=9))
    guarded.sync("a")
    guarded.mailbox.vote(second, vote(guarded, second, device, counter=3, time=now_ms() + 1))
    guarded.sync("a")
    assert logged(guarded).count("counter_fell") == 1


def test_a_running_node_sees_a_card_that_the_command_line_changed(guarded: World) -> None:
    other = guarded._open("a", guarded.store("a"))
    other.set_method("both")
    request = guarded.open_request()
    guarded.sync()
    assert kept(guarded, request).verdict == "ask"
    assert guarded.nodes["a"].checks.request(kept(guarded, request).documents(), other.policy()).voter
