"""The admin shows every model and changes none."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.urls import reverse

from tests.api.conftest import ACTOR, Tenant
from tests.api.test_tenants import ids_of
from vaults import services
from vaults.models import ApiKey, EnrolmentCode, SignedRequest

APPS = ("vaults", "tss", "audit", "webhooks", "dashboard")
OURS = [model for app in APPS for model in apps.get_app_config(app).get_models()]


def browser(organisation: Any, username: str) -> tuple[Browser, User]:
    made = services.create_admin(actor=ACTOR, organisation=organisation, username=username, name=username)
    client = Browser()
    assert client.login(username=username, password=made.password)
    return client, User.objects.get(username=username)


def name_of(model: Any) -> str:
    return f"admin:{model._meta.app_label}_{model._meta.model_name}"


def test_every_model_is_registered() -> None:
    assert [model for model in OURS if not admin.site.is_registered(model)] == []
    assert len(OURS) >= 20


def test_pages_show_and_do_not_change(tenant: Tenant) -> None:
    ids_of(tenant)
    client, _ = browser(tenant.organisation, "root")
    shown = 0
    for model in (*OURS, User):
        listing = client.get(reverse(f"{name_of(model)}_changelist"))
        assert listing.status_code == 200, model
        assert client.get(reverse(f"{name_of(model)}_add")).status_code == 403
        row = model._default_manager.first()  # type: ignore[attr-defined]
        if row is None:
            continue
        page = reverse(f"{name_of(model)}_change", args=[row.pk])
        assert client.get(page).status_code == 200, model
        assert client.post(page, {"name": "changed"}).status_code == 403
        assert client.post(reverse(f"{name_of(model)}_delete", args=[row.pk])).status_code == 403
        shown += 1
    assert shown >= 12


def test_no_secrets_are_shown(tenant: Tenant) -> None:
    tenant.vault()
    client, _ = browser(tenant.organisation, "root")
    code = EnrolmentCode.objects.all()[0]
    page = client.get(reverse("admin:vaults_enrolmentcode_change", args=[code.pk])).content.decode()
    assert code.name in page
    assert code.code_hash not in page
    stored = SignedRequest.objects.all()[0]
    page = client.get(reverse("admin:vaults_signedrequest_change", args=[stored.pk])).content.decode()
    assert stored.once_key in page
    assert "vault_id" not in page
    user = User.objects.get(username="root")
    page = client.get(reverse("admin:auth_user_change", args=[user.pk])).content.decode()
    assert "last login" in page.lower()
    assert user.password[:10] not in page


def test_an_organisations_admin_sees_its_own_rows_only(tenant: Tenant, other: Tenant) -> None:
    mine, theirs = ids_of(tenant), ids_of(other)
    browser(other.organisation, "site")
    client, user = browser(tenant.organisation, "second")
    assert not user.is_superuser
    for model in OURS:
        listing = client.get(reverse(f"{name_of(model)}_changelist"))
        assert listing.status_code in (200, 403)
        text = listing.content.decode()
        assert str(other.organisation.id) not in text, model
        for value in (*theirs.values(), other.client.public_key):
            assert value not in text, model
    vaults = client.get(reverse("admin:vaults_vault_changelist")).content.decode()
    assert mine["vault_id"] in vaults
    page = client.get(reverse("admin:vaults_vault_change", args=[theirs["vault_id"]]))
    assert page.status_code == 302  # Django's way to say that there is no such row
    assert client.get(reverse("admin:vaults_signedrequest_changelist")).status_code == 403


def test_members_who_are_not_staff_see_no_rows(tenant: Tenant) -> None:
    user = services.create_user(actor=ACTOR, username="ann", password="a long password")
    services.add_member(actor=ACTOR, organisation=tenant.organisation, user=user, role="admin", name="Ann")
    client = Browser()
    assert client.login(username="ann", password="a long password")
    assert client.get(reverse("admin:vaults_vault_changelist")).status_code == 403
    assert client.get(reverse("admin:auth_user_changelist")).status_code == 403


def test_users_of_no_organisation_see_nothing(tenant: Tenant) -> None:
    services.create_user(actor=ACTOR, username="ann", password="a long password")
    client = Browser()
    assert client.login(username="ann", password="a long password")
    assert client.get(reverse("admin:vaults_vault_changelist")).status_code == 302
    assert client.get(reverse("admin:index")).status_code == 302


def test_keys_are_revoked_by_the_service(tenant: Tenant) -> None:
    client, user = browser(tenant.organisation, "root")
    selected = {"action": "revoke", "_selected_action": [str(tenant.api_key.pk)]}
    client.post(reverse("admin:vaults_apikey_changelist"), selected)
    assert ApiKey.objects.get(pk=tenant.api_key.pk).revoked_at is not None
    assert tenant.client.get("/developers/api_key_info").status == 401
    history = client.get(reverse("admin:audit_auditrow_changelist")).content.decode()
    assert f"user:{user.pk}" in history
    second, _ = browser(tenant.organisation, "second")
    key = services.generate_api_key(actor=ACTOR, organisation=tenant.organisation, name="b", scopes=())
    selected["_selected_action"] = [str(key.api_key.pk)]
    second.post(reverse("admin:vaults_apikey_changelist"), selected)
    assert ApiKey.objects.get(pk=key.api_key.pk).revoked_at is None


@pytest.mark.parametrize("path", ["/admin/", "/admin/vaults/vault/"])
def test_nothing_without_a_login(transactional_db: None, path: str) -> None:
    assert Browser().get(path).status_code == 302
