"""Paths after /v2."""

from django.urls import path

import vaults.api.converters  # noqa: F401 - registers <id:...>
from webhooks.api import views

_ENDPOINT = "webhooks/endpoints/<id:endpoint_id>"
_EVENT = f"{_ENDPOINT}/events/<id:event_id>"

urlpatterns = [
    path("webhooks/endpoints", views.Endpoints.as_view()),
    path(_ENDPOINT, views.EndpointById.as_view()),
    path(f"{_ENDPOINT}/secret", views.Secret.as_view()),
    path(f"{_ENDPOINT}/rotate_secret", views.RotateSecret.as_view()),
    path(f"{_ENDPOINT}/resend", views.ResendSince.as_view()),
    path(f"{_ENDPOINT}/events", views.Events.as_view()),
    path(_EVENT, views.EventById.as_view()),
    path(f"{_EVENT}/logs", views.EventLogs.as_view()),
    path(f"{_EVENT}/retry", views.Retry.as_view()),
    path(f"{_EVENT}/resend", views.Resend.as_view()),
    path("webhooks/events/definitions", views.Definitions.as_view()),
    path("webhooks/events/trigger", views.Trigger.as_view()),
    path("developers/callback_messages", views.CallbackMessages.as_view()),
]
