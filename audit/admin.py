"""The audit log in the admin."""

from typing import Any

from django.contrib import admin

from audit.models import AuditCheckpoint, AuditRow, CheckpointWitness
from audit.read_only_admin import ReadOnlyAdmin


@admin.register(AuditRow)
class AuditRowAdmin(ReadOnlyAdmin):
    organisation_path = "organisation_id"
    list_display = ("sequence", "time", "actor", "act", "subject")
    list_filter = ("act",)
    ordering = ("-sequence",)
    # Counting a log of any age would cost more than showing a page of it.
    show_full_result_count = False

    def organisation_keys(self, ids: list[Any]) -> list[Any]:
        return [str(key) for key in ids]


@admin.register(AuditCheckpoint)
class AuditCheckpointAdmin(ReadOnlyAdmin):
    list_display = ("sequence", "made_at")
    ordering = ("-sequence",)
    show_full_result_count = False


@admin.register(CheckpointWitness)
class CheckpointWitnessAdmin(ReadOnlyAdmin):
    list_display = ("sequence", "node_id", "verdict", "received_at")
    list_filter = ("verdict",)
    ordering = ("-sequence",)
    show_full_result_count = False
