"""The admin of the site: the framework's, with the approvers' pages around its tables of rows."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path, reverse

import vaults.api.converters  # noqa: F401 - registers <id:...>
from dashboard import passkeys
from dashboard.viewers import viewer_of


class QuorateAdminSite(AdminSite):
    """Open to members of organisations; the tables of rows stay with staff (audit.read_only_admin)."""

    site_header = "Quorate"
    site_title = "Quorate"
    index_title = "Overview"
    index_template = "dashboard/index.html"
    site_url = None
    enable_nav_sidebar = False
    # The framework's own form lets staff in only.
    login_form = AuthenticationForm

    def has_permission(self, request: HttpRequest) -> bool:
        return viewer_of(request) is not None

    def get_urls(self) -> list[Any]:
        # Models cannot be read before every app is loaded.
        from dashboard import downloads, views

        def page(view: Callable[..., Any]) -> Callable[..., HttpResponse]:
            return self.admin_view(views.page(self, view))

        own: list[URLPattern | URLResolver] = [
            path("inbox/", page(views.inbox), name="inbox"),
            path("request/<id:request_id>/", page(views.request_page), name="request"),
            path("request/<id:request_id>/live/", page(views.request_live), name="request_live"),
            path("request/<id:request_id>/ceremony/", page(views.ceremony), name="ceremony"),
            path("request/<id:request_id>/ceremony/live/", page(views.ceremony_live), name="ceremony_live"),
            path("request/<id:request_id>/intent.json", page(downloads.intent), name="request_intent"),
            path("request/<id:request_id>/audit.json", page(downloads.audit), name="request_audit"),
            path("vault/", page(views.vaults), name="vaults"),
            path("vault/<id:vault_id>/", page(views.vault), name="vault"),
            path("nodes/", page(views.nodes), name="nodes"),
            path("states/", page(views.states), name="states"),
        ]
        return [*own, *super().get_urls()]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "account_url": passkeys.HOME if passkeys.installed() else ""}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if passkeys.installed():
            wanted = request.GET.get(REDIRECT_FIELD_NAME, reverse("admin:index"))
            return redirect_to_login(wanted, passkeys.LOGIN)
        return super().login(request, extra_context)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        from dashboard import views

        return super().index(request, {**views.overview(request), **(extra_context or {})})
