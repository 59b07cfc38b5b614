"""Paths after /v2; no trailing slashes anywhere. Where requests have a say the path is in tss.api.urls."""

from django.urls import path

import vaults.api.converters  # noqa: F401 - registers <id:...>
from vaults.api import views

_VAULT = "wallets/mpc/vaults/<id:vault_id>"
_GROUPS = f"{_VAULT}/key_share_holder_groups"
_NATIVE_GROUP = "vaults/<id:vault_id>/groups/<id:key_share_holder_group_id>"

urlpatterns = [
    path("wallets/mpc/projects", views.Projects.as_view()),
    path("wallets/mpc/projects/<id:project_id>", views.ProjectById.as_view()),
    path("wallets/mpc/vaults", views.Vaults.as_view()),
    path(_VAULT, views.VaultById.as_view()),
    path("wallets/mpc/cobo_key_share_holders", views.ServiceHolders.as_view()),
    path(_GROUPS, views.Groups.as_view()),
    path(f"{_VAULT}/key_share_holders", views.Holders.as_view()),
    path(f"{_VAULT}/key_share_holders/<id:tss_node_id>", views.HolderByNode.as_view()),
    path(f"{_NATIVE_GROUP}/refresh_schedule", views.Schedule.as_view()),
    path("developers/api_key_info", views.ApiKeyInfo.as_view()),
]
