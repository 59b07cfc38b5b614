"""D08: nothing deletes a vault or what belongs to its keys. Groups are retired, which is a label (R16)."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import ProtectedError
from django.test import Client, RequestFactory

from tests.api.test_scopes import filled
from tests.api.test_tenants import routes
from tests.tss.nodes import Site
from tss.models import Ceremony, ShareSet, TssRequest
from vaults import services
from vaults.models import Group, Holder, KeyShareGroup, RootKey, Vault

KEPT = (Vault, Group, Holder, RootKey, KeyShareGroup, ShareSet, Ceremony, TssRequest)


@pytest.mark.django_db
def test_d08_no_route_knows_how_to_delete() -> None:
    paths = {path for _, path in routes()}
    assert len(paths) > 15
    for path in paths:
        assert Client().delete(f"/v2{filled(path)}").status_code == 405, path


@pytest.mark.django_db
def test_d08_no_page_of_the_admin_deletes() -> None:
    request = RequestFactory().get("/admin/")
    request.user = User(username="root", is_active=True, is_staff=True, is_superuser=True)
    ours = [model for name in ("audit", "vaults", "tss") for model in apps.get_app_config(name).get_models()]
    registered = [model for model in ours if admin.site.is_registered(model)]
    assert {Vault, Group, ShareSet} <= set(registered)
    for model in registered:
        page = admin.site.get_model_admin(model)
        assert not page.has_delete_permission(request)
        assert "delete_selected" not in page.get_actions(request)


@pytest.mark.django_db
@pytest.mark.slow
def test_d08_a_vault_with_a_key_stays_whole(site: Site) -> None:
    site.succeeded()
    before = stored()
    assert all(before.values())
    for row in (*Vault.objects.all(), *Group.objects.all()):
        with pytest.raises(ProtectedError):
            row.delete()
    group = site.new_group(type="SigningGroup", signers=site.signers)
    services.retire_group(actor=site.actor, group=group)
    after = stored()
    assert all(kept <= after[name] for name, kept in before.items())
    assert Group.objects.get(pk=group.pk).retired_at is not None
    assert Holder.objects.filter(group=group).count() == len(site.signers)


def stored() -> dict[str, set[object]]:
    return {model.__name__: set(model._default_manager.values_list("pk", flat=True)) for model in KEPT}
