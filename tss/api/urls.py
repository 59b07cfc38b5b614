"""Paths after /v2."""

from django.urls import path

import vaults.api.converters  # noqa: F401 - registers <id:...>
from tss.api import views

_REQUESTS = "wallets/mpc/vaults/<id:vault_id>/tss_requests"

urlpatterns = [
    path(_REQUESTS, views.Requests.as_view()),
    path(f"{_REQUESTS}/<id:tss_request_id>", views.RequestById.as_view()),
    path(f"{_REQUESTS}/<id:tss_request_id>/cancel", views.RequestCancel.as_view()),
]
