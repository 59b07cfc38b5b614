"""The site's paths: the compatible API, the nodes' API, the admin."""

from django.contrib import admin
from django.urls import include, path

from config import event_stream, openapi, site_views

urlpatterns = [
    path("v2/openapi.json", openapi.Document.as_view()),
    path("v2/events/stream", event_stream.EventStream.as_view()),
    path("v2/", include("vaults.api.urls")),
    path("v2/", include("tss.api.urls")),
    path("v2/", include("webhooks.api.urls")),
    path("", include("tss.node_urls")),
    path("account/", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path(".well-known/quorate-response-key", site_views.response_key),
    path("docs/api", site_views.api_page),
    path("livez", site_views.alive),
    path("readyz", site_views.ready),
    path("metrics", site_views.metrics),
]

handler400 = "vaults.api.errors.bad_request"
handler403 = "vaults.api.errors.permission_denied"
handler404 = "vaults.api.errors.page_not_found"
handler500 = "vaults.api.errors.server_error"
