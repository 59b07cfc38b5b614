"""The admin shows, services change: no page here writes a row."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

if TYPE_CHECKING:
    # Generic in the stubs only.
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(_ModelAdmin):
    """A model that can be looked at only.

    A site administrator sees every row; other staff see the rows of the organisations whose members they are,
    found by `organisation_path`, and nothing of a model without one.
    """

    organisation_path = ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        user = request.user
        if not (user.is_active and user.is_staff):
            return False
        return user.is_superuser or bool(self.organisation_path)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if request.user.is_superuser:
            return rows
        if not self.organisation_path:
            return rows.none()
        memberships: Any = getattr(request.user, "memberships", None)
        if memberships is None:
            return rows.none()
        ids = list(memberships.values_list("organisation", flat=True))
        return rows.filter(**{f"{self.organisation_path}__in": self.organisation_keys(ids)})

    def organisation_keys(self, ids: list[Any]) -> list[Any]:
        """The ids in the type of the column that `organisation_path` names."""
        return ids
