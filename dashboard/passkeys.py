"""The one seam to the app `accounts`, which lets people in and gathers passkey votes: where it is."""

from dataclasses import dataclass

from django.apps import apps
from django.templatetags.static import static

from tss.models import TssRequest

HOME, LOGIN = "/account/", "/account/login"
# What a rejection may say; signed, so from a fixed list.
REASONS = (
    "I did not expect this request",
    "The digest differs on another device",
    "Wrong members or threshold",
    "Wrong time",
    "Other",
)


@dataclass(frozen=True)
class PasskeyVote:
    """options_url, vote_url: what the script calls; script: its address; reasons: of a rejection."""

    options_url: str
    vote_url: str
    script: str
    reasons: tuple[str, ...] = REASONS


def installed() -> bool:
    """Whether this site has passkeys."""
    return apps.is_installed("accounts")


def vote_on(request: TssRequest) -> PasskeyVote | None:
    """How to vote on this request with a passkey; None where the site has no passkeys."""
    if not installed():
        return None
    path = f"{HOME}requests/{request.id}/vote"
    return PasskeyVote(f"{path}/options", path, static("accounts/vote.js"))


def receipt_of(request: TssRequest) -> str:
    """Where a person's signed receipt of a passkey's vote on this request is; "" where the site has none."""
    return f"{HOME}requests/{request.id}/receipt" if installed() else ""
