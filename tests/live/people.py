"""People with accounts, in front of a browser of a live stack."""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import expect

from quickstart.processes import ROOT
from tests.live.stack import Stack
from tests.services import accessibility
from tests.services.browser import Tab

# Not in git: what the pages looked like in the last run.
SCREENSHOTS = ROOT / "var" / "screenshots"
_PASSWORD = "long enough for a test of pages"


@dataclass
class Authenticator:
    """A virtual one, built into the browser, whose owner is always there and recognised."""

    at: Tab
    _session: Any = field(init=False)
    _id: str = field(init=False)

    def __post_init__(self) -> None:
        self._session = self.at.context.new_cdp_session(self.at.page)
        self._session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        made = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self._id = made["authenticatorId"]

    def credentials(self) -> list[dict[str, Any]]:
        """What it holds, secret keys too."""
        held: list[dict[str, Any]] = self._session.send(
            "WebAuthn.getCredentials", {"authenticatorId": self._id}
        )["credentials"]
        return held


def origin(stack: Stack) -> str:
    return f"http://localhost:{stack.port}"


def add_approver(stack: Stack, username: str, node: str) -> None:
    """An approver who is no staff and owns a node."""
    organisation = str(stack.sql("SELECT id FROM vaults_organisation")[0][0])
    options = ("--organisation", organisation, "--username", username, "--role", "approver")
    stack.manage("access", "add-member", *options, "--name", username.title())
    stack.manage("access", "own-node", "--node", stack.node_ids[node], "--owner", username)


def open_account(at: Tab, stack: Stack, username: str) -> None:
    """Come in with a recovery code, as everybody does the first time; ends on the page of passkeys."""
    code = stack.manage("recover_account", "--username", username)["code"]
    at.open("/account/recover")
    at.page.get_by_label("Recovery code").fill(code)
    at.page.get_by_label("New password").fill(_PASSWORD)
    at.page.get_by_role("button", name="Open the account").click()
    expect(at.page.get_by_role("heading", level=1)).to_have_text("Passkeys")


def keep(at: Tab, name: str) -> None:
    """A picture of the whole page, and no fault in what it shows."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    at.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    assert accessibility.faults(at.page) == [], name
