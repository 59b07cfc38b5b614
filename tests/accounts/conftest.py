"""A person who owns a holder, a passkey on its card, and a browser that is logged in."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from accounts.models import Passkey
from accounts.services import recovery
from audit import rationing
from tests.accounts.authenticator import ORIGIN, RP_ID, Authenticator
from tests.tss.asking import member, own
from tests.tss.nodes import SYSTEM, Signer, Site
from vaults.models import Member

PASSWORD = "a long enough password"


@dataclass
class Person:
    """client: a browser, which insists on CSRF tokens."""

    member: Member
    device: Authenticator
    client: Client

    @property
    def user(self) -> User:
        return User.objects.get(pk=self.member.user_id)

    def token(self) -> str:
        """The CSRF token of a page that is open."""
        self.client.get("/account/login")
        return self.client.cookies["csrftoken"].value

    def call(self, url: str, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
        """A JSON call as the pages' scripts make it."""
        sent = {"X-CSRFToken": self.token(), **headers}
        response = self.client.post(url, body, content_type="application/json", headers=sent)
        return response.status_code, response.json()

    def log_in(self, **changes: Any) -> tuple[int, dict[str, Any]]:
        _, options = self.call("/account/login/options", {})
        return self.call("/account/login/passkey", {"credential": self.device.get(options, **changes)})

    def register(
        self, device: Authenticator, label: str = "blue key", **changes: Any
    ) -> tuple[int, dict[str, Any]]:
        _, options = self.call("/account/passkeys/options", {})
        body = {"label": label, "credential": device.register(options, **changes)}
        return self.call("/account/passkeys/register", body)


def enter(site: Site, name: str, holder: Signer | None = None, role: str = "approver") -> Person:
    """A new person, let in by a recovery code."""
    person = Person(member(site, name, role), Authenticator(), Client(enforce_csrf_checks=True))
    if holder is not None:
        own(person.member, holder)
    code = recovery.make_code(actor=SYSTEM, user=person.user)
    form = {"code": code, "password": PASSWORD, "csrfmiddlewaretoken": person.token()}
    assert person.client.post("/account/recover", form).status_code == 302
    return person


@pytest.fixture(autouse=True)
def _a_known_site(settings: Settings) -> None:
    """The authenticators' site, whatever the settings; rationing is per process, tests are not."""
    settings.WEBAUTHN_RP_ID, settings.WEBAUTHN_ORIGINS = RP_ID, [ORIGIN]
    rationing.forget()


@pytest.fixture
def site(db: None) -> Site:
    return Site.make()


@pytest.fixture
def alice(site: Site) -> Person:
    """Owns Holder A, whose votes need her passkey; logged in with it."""
    person = enter(site, "alice", site.signers[0])
    status, answer = person.register(person.device)
    assert status == 200, answer
    stored = Passkey.objects.get()
    assert stored.credential == person.device.credential("blue key").to_json()
    site.signers[0].new_card("passkey", person.device, "blue key")
    assert person.log_in()[0] == 200
    return person
