"""Events, endpoints and deliveries in the admin; what changes them are services."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.read_only_admin import ReadOnlyAdmin
from vaults.actors import Actor
from vaults.errors import ServiceError
from webhooks import services
from webhooks.models import Attempt, Delivery, NodePresence, OutboxEvent, WebhookEndpoint


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    organisation_path = "organisation_id"
    list_display = ("sequence", "type", "event_id", "created_at")
    list_filter = ("type",)
    readonly_fields = ("event_id", "created_at")
    ordering = ("-sequence",)
    show_full_result_count = False


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    organisation_path = "organisation_id"
    list_display = ("id", "description", "status", "failing_since", "disabled_reason", "created_at")
    list_filter = ("status",)
    readonly_fields = ("id", "created_at")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    organisation_path = "endpoint__organisation_id"
    list_display = ("created_at", "type", "endpoint", "status", "tries", "next_attempt_at")
    list_select_related = ("endpoint",)
    list_filter = ("status",)
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    actions = ("resend",)

    @admin.action(description="Deliver selected events again", permissions=["resend"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        actor = Actor(f"user:{request.user.pk}")
        for delivery in queryset.select_related("endpoint", "event"):
            try:
                services.resend(actor=actor, delivery=delivery, delivered=True)
            except ServiceError as error:
                self.message_user(request, f"{delivery}: {error.message}", messages.ERROR)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    organisation_path = "delivery__endpoint__organisation_id"
    list_display = ("created_at", "delivery", "success", "response_status_code", "failure_reason")
    list_select_related = ("delivery",)
    ordering = ("-created_at", "-id")
    show_full_result_count = False


@admin.register(NodePresence)
class NodePresenceAdmin(ReadOnlyAdmin):
    list_display = ("tss_node_id", "online", "changed_at")
