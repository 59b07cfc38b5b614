"""Organisations, people, keys, nodes, vaults and groups in the admin; what changes them are services."""

from django.contrib import admin, messages
from django.contrib.auth.models import Group as PermissionGroup
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from audit.read_only_admin import ReadOnlyAdmin
from vaults import services
from vaults.actors import Actor
from vaults.errors import ServiceError
from vaults.models import (
    ApiKey,
    EnrolmentCode,
    Group,
    Holder,
    KeyShareGroup,
    Member,
    Node,
    Organisation,
    Project,
    RootKey,
    RowCount,
    SignedRequest,
    Vault,
)

# The framework's own pages would make users and staff behind the services' back; its permission groups mean
# nothing here.
admin.site.unregister(User)
admin.site.unregister(PermissionGroup)


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    list_display = ("username", "is_active", "is_staff", "is_superuser", "last_login")
    exclude = ("password", "groups", "user_permissions")


@admin.register(Organisation)
class OrganisationAdmin(ReadOnlyAdmin):
    organisation_path = "id"
    list_display = ("name", "id", "service_signer_enabled", "created_at")
    readonly_fields = ("id", "created_at")


@admin.register(Member)
class MemberAdmin(ReadOnlyAdmin):
    organisation_path = "organisation"
    list_display = ("name", "role", "organisation", "user")
    list_select_related = ("organisation", "user")
    readonly_fields = ("id", "created_at")


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    organisation_path = "organisation"
    list_display = ("name", "public_key", "organisation", "member", "expires_at", "revoked_at")
    list_select_related = ("organisation", "member")
    readonly_fields = ("id", "created_at")
    actions = ("revoke",)

    @admin.action(description="Revoke selected API keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        actor = Actor(f"user:{request.user.pk}")
        for api_key in queryset:
            try:
                services.revoke_api_key(actor=actor, api_key=api_key)
            except ServiceError as error:
                self.message_user(request, f"{api_key.name}: {error.message}", messages.ERROR)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser


@admin.register(SignedRequest)
class SignedRequestAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "api_key", "status", "once_key", "keep_until")
    list_select_related = ("api_key",)
    readonly_fields = ("created_at",)
    show_full_result_count = False


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    organisation_path = "organisation"
    list_display = ("name", "tss_node_id", "kind", "organisation", "owner", "last_seen_at")
    list_select_related = ("organisation", "owner")
    readonly_fields = ("enrolled_at",)


@admin.register(EnrolmentCode)
class EnrolmentCodeAdmin(ReadOnlyAdmin):
    organisation_path = "organisation"
    list_display = ("name", "kind", "organisation", "expires_at", "used_at", "node")
    list_select_related = ("organisation", "node")
    # Even the hash of a code is nobody's business.
    exclude = ("code_hash",)


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    organisation_path = "organisation"
    list_display = ("name", "id", "threshold", "participants", "organisation")
    list_select_related = ("organisation",)
    readonly_fields = ("id", "created_at")


@admin.register(Vault)
class VaultAdmin(ReadOnlyAdmin):
    organisation_path = "organisation"
    list_display = ("name", "id", "type", "organisation", "created_at", "page")
    list_select_related = ("organisation",)
    readonly_fields = ("id", "created_at")

    @admin.display(description="Page for people")
    def page(self, row: Vault) -> str:
        return format_html('<a href="{}">Open</a>', reverse("admin:vault", args=[row.pk]))


@admin.register(RootKey)
class RootKeyAdmin(ReadOnlyAdmin):
    organisation_path = "vault__organisation"
    list_display = ("vault", "curve", "root_extended_public_key")
    list_select_related = ("vault",)


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin):
    organisation_path = "vault__organisation"
    list_display = ("id", "vault", "type", "status", "threshold", "participants", "epoch", "retired_at")
    list_select_related = ("vault",)
    readonly_fields = ("id", "created_at")


@admin.register(Holder)
class HolderAdmin(ReadOnlyAdmin):
    organisation_path = "group__vault__organisation"
    list_display = ("name", "group", "index", "node", "signer", "status")
    list_select_related = ("group", "node")


@admin.register(KeyShareGroup)
class KeyShareGroupAdmin(ReadOnlyAdmin):
    organisation_path = "group__vault__organisation"
    list_display = ("id", "group", "curve", "root_extended_public_key")
    list_select_related = ("group",)


@admin.register(RowCount)
class RowCountAdmin(ReadOnlyAdmin):
    list_display = ("scope", "count")
