"""Coming in: passkeys, passwords with codes, recovery, and what guessing costs."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import LoginTries, OneTimeCodes, Passkey, PendingChallenge, RecoveryCode
from accounts.services import lockout, recovery
from audit.models import AuditRow
from tests.accounts.authenticator import PRESENT, Authenticator
from tests.accounts.conftest import PASSWORD, Person, enter
from tests.tss.nodes import SYSTEM, Site
from vaults import services as vaults
from wire.credential import EDDSA

pytestmark = pytest.mark.slow


def acts() -> list[str]:
    return list(AuditRow.objects.order_by("sequence").values_list("act", flat=True))


def with_password(person: Person, code: str, password: str = PASSWORD) -> int:
    browser = Client(enforce_csrf_checks=True)
    browser.get("/account/login")
    token = browser.cookies["csrftoken"].value
    form = {"username": "alice", "password": password, "code": code, "csrfmiddlewaretoken": token}
    return browser.post("/account/login", form).status_code


def set_up_codes(person: Person) -> pyotp.TOTP:
    """Through the page; the next time step's code is still unused."""
    token = person.token()
    page = person.client.post("/account/totp", {"act": "begin", "csrfmiddlewaretoken": token})
    totp = pyotp.TOTP(page.context["secret"])
    code = totp.at(time.time() - 30)
    form = {"act": "confirm", "code": code, "csrfmiddlewaretoken": token}
    assert person.client.post("/account/totp", form).status_code == 302
    return totp


def test_a_passkey_logs_in_and_leaves_audit_rows(alice: Person) -> None:
    assert alice.client.get("/account/passkeys").status_code == 200
    assert [each for each in acts() if each.startswith(("passkey", "login", "recovery"))] == [
        *("recovery.begun", "recovery.done", "passkey.added", "login.passkey")
    ]


def test_an_ed25519_passkey_does_as_well(site: Site) -> None:
    person = enter(site, "alice")
    person.device = Authenticator(EDDSA)
    assert person.register(person.device)[0] == 200
    assert person.log_in()[0] == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"cross_origin": True},
        {"type": "webauthn.create"},
    ],
)
def test_p11_a_login_from_elsewhere_is_refused_and_audited(alice: Person, changes: dict[str, Any]) -> None:
    status, answer = alice.log_in(**changes)
    assert (status, answer["field"]) == (403, "")
    assert acts()[-1] == "login.denied"


@pytest.mark.embedded
def test_p11_a_challenge_is_good_once_and_for_one_purpose(alice: Person) -> None:
    _, options = alice.call("/account/login/options", {})
    body = {"credential": alice.device.get(options)}
    assert alice.call("/account/login/passkey", body)[0] == 200
    assert alice.call("/account/login/passkey", body)[0] == 400
    _, creation = alice.call("/account/passkeys/options", {})
    assert alice.call("/account/login/passkey", {"credential": alice.device.get(creation)})[0] == 400
    _, late = alice.call("/account/login/options", {})
    PendingChallenge.objects.update(expires_at=timezone.now())
    assert alice.call("/account/login/passkey", {"credential": alice.device.get(late)})[0] == 400


def test_p11_an_unknown_passkey_is_refused(alice: Person) -> None:
    alice.device = Authenticator()
    assert alice.log_in()[0] == 403


def test_r9_a_falling_counter_is_an_alarm_and_no_more(alice: Person) -> None:
    assert alice.log_in(counter=90)[0] == 200
    assert "passkey.alarm" not in acts()
    assert alice.log_in(counter=7)[0] == 200
    assert "passkey.alarm" in acts()
    assert Passkey.objects.get().counter == 90


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"cross_origin": True},
    ],
)
def test_p11_a_registration_from_elsewhere_is_refused(alice: Person, changes: dict[str, Any]) -> None:
    assert alice.register(Authenticator(), **changes)[0] == 400
    assert Passkey.objects.count() == 1


def test_a_passkey_belongs_to_one_account(alice: Person, site: Site) -> None:
    other = enter(site, "bert")
    assert other.register(alice.device)[0] == 409


@pytest.mark.parametrize(
    "credential", [None, {}, {"rawId": "AA", "response": {}}, {"rawId": 1, "response": []}]
)
def test_a_malformed_answer_names_its_field(alice: Person, credential: object) -> None:
    for url, more in (("/account/login/passkey", {}), ("/account/passkeys/register", {"label": "x"})):
        status, answer = alice.call(url, {"credential": credential, **more})
        assert status == 400
        assert str(answer["field"]).startswith("credential")


@pytest.mark.embedded
def test_a_password_needs_a_code_that_works_once(alice: Person) -> None:
    assert with_password(alice, "") == 403
    code = set_up_codes(alice).now()
    assert with_password(alice, code, "wrong") == 403
    assert with_password(alice, "000000" if code != "000000" else "000001") == 403
    assert with_password(alice, code) == 302
    assert with_password(alice, code) == 403
    assert PASSWORD not in "".join(AuditRow.objects.values_list("detail", flat=True))


def test_codes_are_stored_sealed(alice: Person) -> None:
    totp = set_up_codes(alice)
    assert totp.secret.encode() not in bytes(OneTimeCodes.objects.get().sealed)


@pytest.mark.embedded
def test_repeated_failures_lock_the_name_and_not_its_passkey(alice: Person) -> None:
    code = set_up_codes(alice)
    for _ in range(lockout.TRIES_BY_NAME):
        assert with_password(alice, "wrong") == 403
    assert with_password(alice, code.now()) == 429
    assert acts()[-1] == "login.denied"
    assert alice.log_in()[0] == 200
    LoginTries.objects.update(began_at=timezone.now() - lockout.WINDOW)
    assert with_password(alice, code.now()) == 302


@pytest.mark.embedded
def test_repeated_failures_lock_the_address(alice: Person) -> None:
    LoginTries.objects.filter(subject="address:127.0.0.1").update(tries=lockout.TRIES_BY_ADDRESS)
    assert alice.log_in()[0] == 429


@pytest.mark.embedded
def test_a_recovery_code_works_once_and_takes_old_keys_away(alice: Person, site: Site) -> None:
    user = alice.user
    first, second = (recovery.make_code(actor=SYSTEM, user=user) for _ in range(2))

    def use(code: str, password: str = "another long password") -> int:
        form = {"code": code, "password": password, "csrfmiddlewaretoken": alice.token()}
        return alice.client.post("/account/recover", form).status_code

    assert use(first) == 403
    assert use(second, "short") == 400
    assert use(second) == 302
    assert use(second) == 403
    assert not Passkey.objects.exists()


def test_an_old_recovery_code_opens_nothing(site: Site) -> None:
    person = enter(site, "alice")
    code = recovery.make_code(actor=SYSTEM, user=person.user)
    RecoveryCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    form = {"code": code, "password": PASSWORD, "csrfmiddlewaretoken": person.token()}
    assert person.client.post("/account/recover", form).status_code == 403


def test_p17_changing_how_one_logs_in_needs_a_recent_login(alice: Person) -> None:
    session = alice.client.session
    session["authenticated_at"] -= 20 * 60
    session.save()
    assert alice.call("/account/passkeys/options", {})[0] == 403
    assert alice.call("/account/passkeys/register", {"label": "x", "credential": {}})[0] == 403
    token = alice.token()
    form = {"act": "begin", "csrfmiddlewaretoken": token}
    assert alice.client.post("/account/totp", form).status_code == 403
    url = f"/account/passkeys/{Passkey.objects.get().pk}/remove"
    assert alice.client.post(url, {"csrfmiddlewaretoken": token}).status_code == 403
    assert Passkey.objects.count() == 1


def test_the_file_for_the_node_is_the_credential(alice: Person, site: Site) -> None:
    url = f"/account/passkeys/{Passkey.objects.get().pk}/credential"
    assert alice.client.get(url).json() == alice.device.credential("blue key").to_json()
    page = alice.client.get("/account/passkeys").content.decode()
    assert alice.device.credential("blue key").words() in page
    assert "On the card of: Holder A" in page
    assert enter(site, "bert").client.get(url).status_code == 404


def test_a_passkey_is_removed(alice: Person) -> None:
    url = f"/account/passkeys/{Passkey.objects.get().pk}/remove"
    assert alice.client.post(url, {"csrfmiddlewaretoken": alice.token()}).status_code == 302
    assert not Passkey.objects.exists()
    assert acts()[-1] == "passkey.removed"


# A15


@pytest.mark.embedded
def test_a15_a_demoted_member_is_out_at_once(alice: Person) -> None:
    assert alice.client.get("/account/passkeys").status_code == 200
    vaults.change_role(actor=SYSTEM, member=alice.member, role="auditor")
    assert alice.client.get("/account/passkeys").status_code == 302
    assert "_auth_user_id" not in alice.client.session


def test_a15_a_passkey_that_is_taken_away_ends_the_sessions_that_it_opened(alice: Person) -> None:
    """Alice lost her key and removes it from a session that another one opened; the thief is out."""
    spare = Authenticator()
    assert alice.register(spare)[0] == 200
    lost = Passkey.objects.get(credential_id=alice.device.credential("blue key").id.hex())
    thief, alice = alice.client, replace(alice, device=spare, client=Client(enforce_csrf_checks=True))
    assert alice.log_in()[0] == 200
    form = {"csrfmiddlewaretoken": alice.token()}
    assert alice.client.post(f"/account/passkeys/{lost.pk}/remove", form).status_code == 302
    assert thief.get("/account/passkeys").status_code == 302
    assert alice.client.get("/account/passkeys").status_code == 200


def test_a_name_that_is_no_text_is_nobodys(alice: Person) -> None:
    form = {"username": "alice\x00", "password": PASSWORD, "code": "123456"}
    assert Client().post("/account/login", form).status_code == 403


def test_a15_a_disabled_user_is_out_at_once(alice: Person) -> None:
    user = alice.user
    user.is_active = False
    user.save()
    assert alice.client.get("/account/passkeys").status_code == 302
    assert alice.log_in()[0] == 403


def test_logging_out_ends_the_session(alice: Person) -> None:
    assert alice.client.post("/account/logout", {"csrfmiddlewaretoken": alice.token()}).status_code == 302
    assert alice.client.get("/account/passkeys").status_code == 302
    assert acts()[-1] == "logout"


def test_a_session_without_second_factor_opens_nothing(alice: Person) -> None:
    """Django's own login page of the admin knows passwords only."""
    alice.client = Client(enforce_csrf_checks=True)
    alice.client.force_login(alice.user)
    assert alice.client.get("/account/passkeys").status_code == 302
    assert alice.call("/account/passkeys/options", {})[0] == 403


# pages


def test_p17_pages_run_no_script_but_their_own_and_in_nobodys_frame(alice: Person) -> None:
    for path in ("login", "recover", "", "passkeys", "totp"):
        response = alice.client.get(f"/account/{path}")
        policy = response["Content-Security-Policy"]
        assert response.status_code == 200
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response["X-Frame-Options"] == "DENY"
        text = response.content.decode()
        assert "style=" not in text
        assert "onclick" not in text
        assert "<script>" not in text


@pytest.mark.parametrize(
    "path",
    [
        "logout",
        "login/options",
        "login/passkey",
        "passkeys/options",
        "passkeys/register",
        "passkeys/1/remove",
    ],
)
def test_p16_a_get_changes_nothing(alice: Person, path: str) -> None:
    rows = AuditRow.objects.count()
    assert alice.client.get(f"/account/{path}").status_code == 405
    assert AuditRow.objects.count() == rows
    assert alice.client.get("/account/passkeys").status_code == 200


@pytest.mark.parametrize("path", ["login", "recover", "totp", "logout", "passkeys/options", "login/passkey"])
def test_p17_a_post_of_another_site_is_refused(alice: Person, path: str) -> None:
    assert alice.client.post(f"/account/{path}", {}).status_code == 403


def test_cookies_are_strict(alice: Person) -> None:
    for name in ("sessionid", "csrftoken"):
        assert alice.client.cookies[name]["samesite"] == "Strict"
    assert alice.client.cookies["sessionid"]["httponly"]


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_after_the_login_nobody_is_sent_elsewhere(alice: Person, wanted: str) -> None:
    page = alice.client.get("/account/login", {"next": wanted}).content.decode()
    assert "evil" not in page
    assert "alert" not in page
