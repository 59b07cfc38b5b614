"""What a caller may do: each view names the scope of each of its methods."""

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from vaults.api.authentication import credential_of
from vaults.scopes import allowed

if TYPE_CHECKING:
    # DRF's views import this module while they are being imported themselves.
    from rest_framework.views import APIView


class HasScope(BasePermission):
    """Whether the key has the scope that the view names for the method; None means any key."""

    message = ""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        method = "GET" if request.method == "HEAD" else request.method
        scopes: dict[str, str | None] = getattr(view, "scopes", {})
        if method not in scopes:
            return False
        scope = scopes[method]
        self.message = f"the API key does not have the scope {scope}, or its member's role does not allow it"
        return scope is None or allowed(credential_of(request).api_key, scope)
