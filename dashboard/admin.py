"""Letters in the admin."""

from django.contrib import admin

from audit.read_only_admin import ReadOnlyAdmin
from dashboard.models import Letter


@admin.register(Letter)
class LetterAdmin(ReadOnlyAdmin):
    organisation_path = "request__organisation"
    list_display = ("request", "member", "kind", "created_at", "sent_at", "attempts")
    list_select_related = ("request", "member")
    show_full_result_count = False
