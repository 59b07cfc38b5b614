"""Who looks, and what they may see: the site's administrator everything, a member its own organisations."""

import uuid
from dataclasses import dataclass
from typing import TypeVar

from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from vaults.models import Member, Node, Role

M = TypeVar("M", bound=Model)
_KEPT = "quorate_viewer"


@dataclass(frozen=True)
class Viewer:
    """everything: the site's administrator; organisations: those of which the user is a member; administers:
    those in which requests that wait for others are shown too."""

    user: User
    everything: bool
    organisations: frozenset[uuid.UUID]
    administers: frozenset[uuid.UUID]

    def owns(self, node: Node) -> bool:
        """Whether the node is the viewer's own; reads its owner."""
        return node.owner is not None and node.owner.user_id == self.user.pk

    def rows(self, rows: "QuerySet[M]", organisation_path: str) -> "QuerySet[M]":
        """Those of the rows that this viewer may see."""
        if self.everything:
            return rows
        return rows.filter(**{f"{organisation_path}__in": self.organisations})


def viewer_of(request: HttpRequest) -> Viewer | None:
    """The viewer behind a request, None for nobody with anything to see; read once a request."""
    if not hasattr(request, _KEPT):
        setattr(request, _KEPT, _find(request))
    viewer: Viewer | None = getattr(request, _KEPT)
    return viewer


def _find(request: HttpRequest) -> Viewer | None:
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return None
    roles = dict(Member.objects.filter(user=user).values_list("organisation", "role"))
    if not (roles or user.is_superuser or user.is_staff):
        return None
    return Viewer(
        user,
        user.is_superuser,
        frozenset(roles),
        frozenset(key for key, role in roles.items() if role == Role.ADMIN),
    )
