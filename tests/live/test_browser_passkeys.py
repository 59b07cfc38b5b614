"""Votes by passkey in a real browser: the page, the coordinator and the holder's own node (R9, R10).

Alice's node asks its operator, as nodes do by default: her passkey alone starts nothing.
"""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.live.people import Authenticator, add_approver, keep, open_account, origin
from tests.live.stack import Stack
from tests.live.test_hostile_coordinator import approve, assert_no_keys, force_start, refusal
from tests.services.browser import Tab, chromium, tab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAMES = ["alice", "bob", "carol"]
_PATIENCE_MS = 60_000
_OPTIONS, _VOTE = re.compile(r"/vote/options$"), re.compile(r"/vote$")


@pytest.fixture(scope="module")
def desk(asking_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """Ann's browser, logged in with a passkey that is on the card of her node alice."""
    add_approver(asking_stack, "ann", "alice")
    with chromium() as browser:
        yield from _registered(asking_stack, browser, tmp_path_factory.mktemp("downloads"))


def _registered(stack: Stack, browser: Browser, folder: Path) -> Iterator[Tab]:
    node = stack.nodes["alice"]
    with tab(browser, origin(stack)) as at:
        authenticator = Authenticator(at)
        open_account(at, stack, "ann")
        at.page.get_by_label("What you call it").fill("Ann's laptop")
        at.page.get_by_role("button", name="Add a passkey").click()
        expect(at.page.get_by_text("On no holder's card yet")).to_be_visible()
        assert len(authenticator.credentials()) == 1
        # Chromium misses RS256, which no card takes (wire/credential.py).
        _expect_fault(at, "pubKeyCredParams is missing")
        words = at.page.locator("article strong").inner_text()
        with at.page.expect_download() as download:
            at.page.get_by_role("link", name="File for the node").click()
        file = folder / download.value.suggested_filename
        download.value.save_as(file)
        assert words in node.call("card", "add-passkey", str(file), "--yes")
        policy = node.folder / "policy.toml"
        # The demo's nodes follow a passkey alone; the default is that none does.
        demo = policy.read_text()
        assert "passkey_alone" in demo
        policy.write_text(re.sub(r"passkey_alone = .*\n", "", demo))
        assert "votes by passkey" in node.call("card", "method", "passkey")
        at.open("/account/passkeys")
        expect(at.page.get_by_text("On the card of: alice")).to_be_visible()
        keep(at, "desktop-passkeys")
        at.page.get_by_role("button", name="Log out ann").click()
        at.open("/admin/inbox/")
        keep(at, "desktop-passkey-login")
        at.page.get_by_role("button", name="Log in with a passkey").click()
        expect(at.page).to_have_url(f"{at.origin}/admin/inbox/")
        at.check()
        yield at


def test_r10_a_passkey_then_the_node_and_the_key_is_made(asking_stack: Stack, desk: Tab) -> None:
    stack, page, node = asking_stack, desk.page, asking_stack.nodes["alice"]
    request_id, vault_id = _asked(stack, "By passkey")
    for name in ("bob", "carol"):
        approve(stack, name, request_id)
    _open(desk, request_id)
    expect(page.get_by_text("2 of 3 approvals")).to_be_visible()
    keep(desk, "desktop-vote")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("one more signature is lacking")).to_be_visible(timeout=_PATIENCE_MS)
    stack.wait_for(lambda: "said approve at" in node.call("show", request_id), "alice to hear of the vote")
    # By the default rules the node has checked the passkey's word, and waits for its operator's.
    assert "waits for you" in node.call("show", request_id)
    assert stack.request(vault_id, request_id)["state"] == "AwaitingApproval"
    keep(desk, "desktop-voted")
    approve(stack, "alice", request_id)
    # Nobody reloads: the page follows by itself.
    expect(page.locator('[data-live-state="Succeeded"]')).to_be_visible(timeout=_PATIENCE_MS)
    expect(page.get_by_text("3 of 3 approvals")).to_be_visible()
    keep(desk, "desktop-passkey-succeeded")
    assert stack.finished(vault_id, request_id)["status"] == "Success"
    desk.check()


def test_p09_p10_p11_a_rejection_replayed_as_an_approval(asking_stack: Stack, desk: Tab) -> None:
    """The rejection is lost on its way; who recorded it calls it an approval, to site and node."""
    stack, page, node = asking_stack, desk.page, asking_stack.nodes["alice"]
    request_id, vault_id = _asked(stack, "Replayed")
    recorded: list[dict[str, Any]] = []

    def lose(route: Route) -> None:
        recorded.append(json.loads(route.request.post_data or ""))
        route.fulfill(status=409, json={"error": "The line is down.", "field": ""})

    _open(desk, request_id)
    page.route(_VOTE, lose)
    page.get_by_label("Reason, for a rejection").select_option("I did not expect this request")
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_text("The line is down.")).to_be_visible()
    page.unroute(_VOTE, lose)
    _expect_fault(desk, "status of 409")

    for changed in ({"decision": "approve"}, {"decision": "approve", "reason": ""}):
        status, error = _send(desk, request_id, {**recorded[0], **changed})
        assert (status, error) == (400, "the passkey signed something else than this")
    forged = _vote(stack, request_id, {**recorded[0], "decision": "approve"})
    _insert(stack, request_id, forged)
    stack.wait_for(
        lambda: "a vote that does not count: wrong_challenge" in node.call("show", request_id),
        "alice to refuse the row",
    )
    assert "waits for you" in node.call("show", request_id)
    stack.sql("DELETE FROM tss_approval WHERE request_id = %s AND kind = 'passkey'", request_id)

    # What she really said still counts, and binds her node.
    page.get_by_role("button", name="Reject", exact=True).click()
    said = page.get_by_text("It is Rejected: alice rejected: I did not expect this request")
    expect(said).to_be_visible(timeout=_PATIENCE_MS)
    keep(desk, "desktop-passkey-rejected")
    status, _error = _send(desk, request_id, {**recorded[0], "decision": "approve"})
    assert status in (400, 409)
    stack.wait_for(lambda: "waits for you" not in node.call("show", request_id), "alice to obey")
    assert stack.finished(vault_id, request_id)["status"] == "KeyHolderConfirmationFailed"
    assert_no_keys(stack, vault_id)
    desk.check()


def test_r10_p03_a_page_that_shows_one_request_and_asks_for_another(asking_stack: Stack, desk: Tab) -> None:
    stack, page, node = asking_stack, desk.page, asking_stack.nodes["alice"]
    shown, _ = _asked(stack, "Shown")
    wanted, wanted_vault = _asked(stack, "Wanted")
    for name in ("bob", "carol"):
        approve(stack, name, wanted)
    taken: list[dict[str, Any]] = []

    def swap(route: Route) -> None:
        answer = route.fetch(url=route.request.url.replace(shown, wanted))
        route.fulfill(response=answer)

    def take(route: Route) -> None:
        taken.append(json.loads(route.request.post_data or ""))
        route.continue_()

    _open(desk, shown)
    page.route(_OPTIONS, swap)
    page.route(_VOTE, take)
    page.get_by_role("button", name="Approve", exact=True).click()
    # For the request that she saw it is no vote.
    expect(page.get_by_text(f"the passkey signed for request {wanted}, not for this one")).to_be_visible()
    page.unroute(_OPTIONS, swap)
    page.unroute(_VOTE, take)
    _expect_fault(desk, "status of 400")
    keep(desk, "desktop-vote-refused")
    assert _kinds(stack, shown) == []

    # For the other it is a good one, and all that a lying coordinator can get from her.
    _insert(stack, wanted, _vote(stack, wanted, taken[0]))
    stack.wait_for(lambda: "said approve at" in node.call("show", wanted), "alice to hear of the vote")
    assert "waits for you" in node.call("show", wanted)
    force_start(stack, wanted)
    assert refusal(stack, wanted, "alice") == "not_approved_here"
    assert stack.finished(wanted_vault, wanted)["status"] == "KeyGeneratingFailed"
    assert_no_keys(stack, wanted_vault)
    desk.check()


def _asked(stack: Stack, name: str) -> tuple[str, str]:
    vault_id = stack.vault(name)
    return stack.key_gen(vault_id, stack.group(vault_id, NAMES, 2)), vault_id


def _open(at: Tab, request_id: str) -> None:
    at.open(f"/admin/request/{request_id}/")
    expect(at.page.get_by_role("button", name="Approve", exact=True)).to_be_visible()


def _expect_fault(at: Tab, words: str) -> None:
    """The browser has noted this one thing on its console, such as a call that the site refused."""
    assert len(at.faults) == 1, at.faults
    assert words in at.faults.pop()


def _send(at: Tab, request_id: str, body: dict[str, Any]) -> tuple[int, str]:
    """Post a vote with Ann's session, as a script on her page could."""
    token = next(each["value"] for each in at.context.cookies() if each["name"] == "csrftoken")
    url = f"{at.origin}/account/requests/{request_id}/vote"
    answer = at.context.request.post(url, data=body, headers={"X-CSRFToken": token, "Origin": at.origin})
    return answer.status, answer.json().get("error", "")


def _vote(stack: Stack, request_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a page sent, in the form in which the coordinator keeps it and shows it to nodes."""
    response = body["credential"]["response"]
    digest = stack.sql("SELECT digest FROM tss_tssrequest WHERE id = %s", request_id)[0][0]
    return {
        "v": 1,
        "digest": digest,
        **{name: body[name] for name in ("decision", "node_id", "time", "reason")},
        "credential_id": _hex(body["credential"]["rawId"]),
        "authenticator_data": _hex(response["authenticatorData"]),
        "client_data": _hex(response["clientDataJSON"]),
        "signature": _hex(response["signature"]),
    }


def _hex(text: str) -> str:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()


def _insert(stack: Stack, request_id: str, vote: dict[str, Any]) -> None:
    """Write a row as somebody who owns the database; the nodes are shown it with their next answer."""
    stack.sql(
        "INSERT INTO tss_approval (request_id, node_id, kind, decision, reason, signed, received_at)"
        " VALUES (%s, %s, 'passkey', %s, '', %s, now())",
        request_id,
        vote["node_id"],
        vote["decision"],
        json.dumps(vote),
    )


def _kinds(stack: Stack, request_id: str) -> list[str]:
    rows = stack.sql("SELECT kind FROM tss_approval WHERE request_id = %s", request_id)
    return [row[0] for row in rows]
