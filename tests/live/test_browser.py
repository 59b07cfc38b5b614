"""People in front of a real browser: from the inbox to a key, on a live page, and what they see of a no."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, StorageState, expect

from signers.describe import digest_words
from tests.live.people import add_approver, keep, open_account, origin
from tests.live.stack import Stack
from tests.services import accessibility
from tests.services.browser import DESKTOP, PHONE, chromium, tab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAMES = ["alice", "bob", "carol"]
_PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def ann(asking_stack: Stack, browser: Browser) -> StorageState:
    """The session of an approver who is no staff; alice's node is hers."""
    add_approver(asking_stack, "ann", "alice")
    return session(asking_stack, browser, "ann")


def session(stack: Stack, browser: Browser, username: str) -> StorageState:
    with tab(browser, origin(stack)) as at:
        open_account(at, stack, username)
        at.check()
        return at.context.storage_state()


def test_an_approver_watches_a_key_being_made(
    asking_stack: Stack, browser: Browser, ann: StorageState
) -> None:
    stack = asking_stack
    vault_id = stack.vault("Treasury")
    request_id = stack.key_gen(vault_id, stack.group(vault_id, NAMES, 2))
    request = stack.request(vault_id, request_id)
    with (
        tab(browser, origin(stack), storage_state=ann) as desk,
        tab(browser, origin(stack), viewport=PHONE, storage_state=ann) as phone,
    ):
        for at, kind in ((desk, "desktop"), (phone, "phone")):
            at.open("/admin/inbox/")
            expect(at.page.get_by_text("your vote: alice")).to_be_visible()
            keep(at, f"{kind}-inbox")
            at.page.get_by_role("link", name="KeyGen").click()
            expect(at.page.get_by_text("Make a new root key")).to_be_visible()
            # The page and the holder's own node name the same digest and the same words.
            said = stack.nodes["alice"].call("show", request_id)
            assert request["digest"] in said
            assert digest_words(bytes.fromhex(request["digest"])) in said
            shown = "".join(at.page.locator("#digest-title ~ .q-digest span").all_inner_texts())
            assert shown == request["digest"]
            expect(at.page.locator(".q-words li")).to_have_text(
                digest_words(bytes.fromhex(request["digest"])).split()
            )
            keep(at, f"{kind}-request-waiting")
            at.open(f"/admin/request/{request_id}/ceremony/")
            expect(at.page.get_by_text("No ceremony has begun")).to_be_visible()
        for name in NAMES:
            stack.nodes[name].call("approve", request_id, "--yes")
        for at, kind in ((desk, "desktop"), (phone, "phone")):
            # Nobody reloads: the page follows by itself.
            live = at.page.locator('[data-live-state="Succeeded"]')
            expect(live).to_be_visible(timeout=_PATIENCE_MS)
            expect(at.page.locator(".q-cell-heard")).to_have_count(12)
            keep(at, f"{kind}-ceremony-succeeded")
            at.open(f"/admin/request/{request_id}/")
            expect(at.page.get_by_text("3 of 3 approvals")).to_be_visible()
            keep(at, f"{kind}-request-succeeded")
            at.open(f"/admin/vault/{vault_id}/")
            at.page.get_by_label("alice").check()
            at.page.get_by_label("bob").check()
            at.page.get_by_role("button", name="Show").click()
            expect(at.page.get_by_text("the key is lost unless holders come back")).to_be_visible()
            expect(at.page.get_by_label("alice")).to_be_checked()
            keep(at, f"{kind}-vault")
            at.check()


def test_a_rejection_shows_on_the_open_page(asking_stack: Stack, browser: Browser, ann: StorageState) -> None:
    stack = asking_stack
    vault_id = stack.vault("Savings")
    request_id = stack.key_gen(vault_id, stack.group(vault_id, NAMES, 2))
    with tab(browser, origin(stack), storage_state=ann) as at:
        at.open(f"/admin/request/{request_id}/")
        expect(at.page.get_by_text("0 of 3 approvals")).to_be_visible()
        said = at.page.locator("[data-live-say]")
        stack.nodes["bob"].call("reject", request_id, "--reason", "not agreed \u202eon")
        expect(at.page.get_by_text("What do I do now?")).to_be_visible(timeout=_PATIENCE_MS)
        expect(at.page.locator('[data-live-state="Rejected"]')).to_be_visible()
        expect(said).to_contain_text("Rejected")
        expect(at.page.get_by_text("No share was made, moved or erased")).to_be_visible()
        keep(at, "desktop-request-rejected")
        at.check()


def test_every_page_is_clean_in_both_colours_and_by_keyboard(asking_stack: Stack, browser: Browser) -> None:
    stack = asking_stack
    ours = ("", "inbox/", "vault/", "nodes/", "states/")
    frameworks = ("tss/tssrequest/", "vaults/node/", "password_change/")
    admin = session(stack, browser, stack.setup["admin_user"])
    for scheme in ("light", "dark"):
        with tab(browser, origin(stack), viewport=DESKTOP, color_scheme=scheme) as at:
            at.open("/admin/login/")
            keep(at, f"{scheme}-login")
            at.check()
        options = {"color_scheme": scheme, "storage_state": admin}
        with tab(browser, origin(stack), viewport=DESKTOP, **options) as at:
            for path in ours:
                at.open(f"/admin/{path}")
                keep(at, f"{scheme}-{path.strip('/') or 'index'}")
            for path in frameworks:
                at.open(f"/admin/{path}")
            at.open("/admin/inbox/")
            order = accessibility.tab_order(at.page)
            assert order[0] == "Skip to main content"
            places = [order.index(name) for name in ("Overview", "Inbox", "Vaults", "Nodes")]
            assert places == sorted(places)
            at.check()
