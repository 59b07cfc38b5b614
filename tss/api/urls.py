"""Paths after /v2."""

from django.urls import path

import vaults.api.converters  # noqa: F401 - registers <id:...>
from tss.api import groups, native, views

_REQUESTS = "wallets/mpc/vaults/<id:vault_id>/tss_requests"
_GROUP = "wallets/mpc/vaults/<id:vault_id>/key_share_holder_groups/<id:key_share_holder_group_id>"
_HOLDER = "vaults/<id:vault_id>/groups/<id:key_share_holder_group_id>/holders/<id:tss_node_id>"
_NATIVE = "requests/<id:tss_request_id>"

urlpatterns = [
    path(_REQUESTS, views.Requests.as_view()),
    path(f"{_REQUESTS}/<id:tss_request_id>", views.RequestById.as_view()),
    path(f"{_REQUESTS}/<id:tss_request_id>/cancel", views.RequestCancel.as_view()),
    path(_GROUP, groups.GroupById.as_view()),
    path(f"{_GROUP}/delete", groups.GroupDelete.as_view()),
    path(f"{_HOLDER}/replace", groups.HolderReplace.as_view()),
    path("vaults/<id:vault_id>/policy", groups.VaultPolicy.as_view()),
    path("vaults/<id:vault_id>/requests", native.VaultRequests.as_view()),
    path("requests", native.AllRequests.as_view()),
    path(_NATIVE, native.OneRequest.as_view()),
    path(f"{_NATIVE}/explain", native.Explanation.as_view()),
    path(f"{_NATIVE}/timeline", native.Timeline.as_view()),
    path(f"{_NATIVE}/intent", native.IntentDossier.as_view()),
    path(f"{_NATIVE}/approvals", native.Approvals.as_view()),
    path(f"{_NATIVE}/evidence", native.RequestEvidence.as_view()),
    path(f"{_NATIVE}/cancel", native.Cancel.as_view()),
    path(f"{_NATIVE}/retry", native.Retry.as_view()),
]
