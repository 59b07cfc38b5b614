"""Requests, ceremonies and jobs in the admin; what changes them are services and nodes."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from audit.read_only_admin import ReadOnlyAdmin
from tss.models import (
    Approval,
    Ceremony,
    Evidence,
    Job,
    LaterSet,
    Message,
    Participant,
    Refusal,
    RequestEvent,
    SetStatement,
    ShareSet,
    TssRequest,
    Voter,
)


@admin.register(TssRequest)
class TssRequestAdmin(ReadOnlyAdmin):
    organisation_path = "organisation"
    list_display = ("id", "type", "state", "vault", "target_group", "created_at", "page")
    list_select_related = ("vault", "target_group")
    list_filter = ("state", "type")
    show_full_result_count = False

    @admin.display(description="Page for people")
    def page(self, row: TssRequest) -> str:
        return format_html('<a href="{}">Open</a>', reverse("admin:request", args=[row.pk]))


@admin.register(RequestEvent)
class RequestEventAdmin(ReadOnlyAdmin):
    organisation_path = "request__organisation"
    list_display = ("request", "version", "kind", "state", "actor", "time")
    list_select_related = ("request",)
    show_full_result_count = False


@admin.register(Voter)
class VoterAdmin(ReadOnlyAdmin):
    organisation_path = "request__organisation"
    list_display = ("request", "name", "node", "source", "target", "counts_as_source")
    list_select_related = ("request", "node")
    show_full_result_count = False


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    organisation_path = "request__organisation"
    list_display = ("request", "node", "kind", "decision", "received_at")
    list_select_related = ("request", "node")


@admin.register(Refusal)
class RefusalAdmin(ReadOnlyAdmin):
    organisation_path = "request__organisation"
    list_display = ("request", "node", "code", "message", "received_at")
    list_select_related = ("request", "node")


@admin.register(Ceremony)
class CeremonyAdmin(ReadOnlyAdmin):
    organisation_path = "request__organisation"
    list_display = ("session_id", "request", "attempt", "state", "round", "rounds", "started_at")
    list_select_related = ("request",)
    list_filter = ("state",)


@admin.register(Participant)
class ParticipantAdmin(ReadOnlyAdmin):
    organisation_path = "ceremony__request__organisation"
    list_display = ("ceremony", "index", "name", "node")
    list_select_related = ("ceremony", "node")
    show_full_result_count = False


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    organisation_path = "ceremony__request__organisation"
    list_display = ("ceremony", "type", "round", "sender", "recipient", "received_at")
    list_select_related = ("ceremony",)
    show_full_result_count = False


@admin.register(Evidence)
class EvidenceAdmin(ReadOnlyAdmin):
    organisation_path = "ceremony__request__organisation"
    list_display = ("ceremony", "kind", "sender", "round", "reporter", "received_at")
    list_select_related = ("ceremony", "reporter")


@admin.register(ShareSet)
class ShareSetAdmin(ReadOnlyAdmin):
    organisation_path = "group__vault__organisation"
    list_display = ("group", "epoch", "active", "certificate_hash", "created_at", "superseded_at")
    list_select_related = ("group",)


@admin.register(SetStatement)
class SetStatementAdmin(ReadOnlyAdmin):
    organisation_path = "ceremony__request__organisation"
    list_display = ("ceremony", "node", "state", "received_at")
    list_select_related = ("ceremony", "node")


@admin.register(LaterSet)
class LaterSetAdmin(ReadOnlyAdmin):
    organisation_path = "group__vault__organisation"
    list_display = ("group", "node", "epoch", "noticed_at")
    list_select_related = ("group", "node")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("kind", "reference", "due_at", "leased_until", "fence", "attempts", "done_at")
    list_filter = ("kind",)
