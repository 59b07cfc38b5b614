"""The pages. Each is a GET that reads as its viewer and changes nothing."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard import pictures, selectors, survival
from dashboard import request_page as requests
from dashboard.viewers import Viewer, viewer_of
from tss.models import TssRequest
from vaults.models import Vault

_MAX_PAGE = 1000


def page(site: AdminSite, view: Callable[..., Any]) -> Callable[..., HttpResponse]:
    """Give a view its viewer, its answer the site's frame, and what is not there a page that says so.

    A view returns (template, context), or a whole answer.
    """

    @wraps(view)
    @require_safe
    @never_cache
    def show(request: HttpRequest, **arguments: str) -> HttpResponse:
        viewer = viewer_of(request)
        if viewer is None:  # admin_view lets nobody in who is none
            raise PermissionDenied
        status = 200
        try:
            answer = view(request, viewer, **arguments)
        except Http404 as missing:
            status, answer = 404, ("dashboard/missing.html", {"title": "Not found", "what": str(missing)})
        if isinstance(answer, HttpResponse):
            return answer
        template, context = answer
        return TemplateResponse(request, template, {**site.each_context(request), **context}, status=status)

    return show


Page = tuple[str, dict[str, Any]]


def overview(request: HttpRequest) -> dict[str, Any]:
    """What the start page shows beside the tables."""
    viewer = viewer_of(request)
    if viewer is None:
        return {}
    waiting, more = selectors.inbox(viewer, size=5)
    return {
        "health": selectors.health(viewer),
        "waiting": waiting,
        "more": more,
        "under_way": selectors.under_way(viewer),
        "failed": selectors.failed_lately(viewer),
        "newest": selectors.newest_requests(viewer),
    }


def inbox(request: HttpRequest, viewer: Viewer) -> Page:
    number = request.GET.get("page", "1")
    # By length first: Python refuses to read numbers of thousands of digits.
    if not number.isdecimal() or len(number) > 9 or not 1 <= int(number) <= _MAX_PAGE:
        raise Http404("page")
    waiting, more = selectors.inbox(viewer, page=int(number))
    return "dashboard/inbox.html", {
        "title": "Inbox",
        "waiting": waiting,
        "next": int(number) + 1 if more else None,
        "previous": int(number) - 1,
    }


def request_page(request: HttpRequest, viewer: Viewer, request_id: str) -> Page:
    row = found_request(viewer, request_id)
    live = reverse("admin:request_live", args=[row.id])
    return "dashboard/request.html", {
        "title": f"{row.type} request",
        "live_url": live,
        **requests.context(viewer, row),
    }


def request_live(request: HttpRequest, viewer: Viewer, request_id: str) -> JsonResponse:
    row = found_request(viewer, request_id)
    context = requests.live_context(viewer, row)
    return _live(row, context["explanation"]["summary"], context, ("status", "meters", "timeline"))


def ceremony(request: HttpRequest, viewer: Viewer, request_id: str) -> Page:
    row = found_request(viewer, request_id)
    return "dashboard/ceremony.html", {
        "title": "Ceremony",
        "live_url": reverse("admin:ceremony_live", args=[row.id]),
        **requests.live_ceremony_context(row),
    }


def ceremony_live(request: HttpRequest, viewer: Viewer, request_id: str) -> JsonResponse:
    row = found_request(viewer, request_id)
    context = requests.live_ceremony_context(row)
    return _live(row, context["say"], context, ("status", "lanes"))


def _live(row: TssRequest, say: str, context: Mapping[str, Any], parts: tuple[str, ...]) -> JsonResponse:
    """parts: what is to stand in each part now; say: for screen readers; open: whether to ask again."""
    return JsonResponse(
        {
            "state": row.state,
            "open": context["is_open"],
            "say": say,
            "parts": {
                name: render_to_string(f"dashboard/parts/{name}.html", dict(context)) for name in parts
            },
        }
    )


def vaults(request: HttpRequest, viewer: Viewer) -> Page:
    return "dashboard/vaults.html", {"title": "Vaults", "lines": selectors.vault_lines(viewer)}


def vault(request: HttpRequest, viewer: Viewer, vault_id: str) -> Page:
    row = found_vault(viewer, vault_id)
    groups = selectors.groups_of(row)
    in_use = [group for group in groups if group.status == "Valid"]
    gone = frozenset(request.GET.getlist("gone"))
    holders = {each.node_id: each for group in in_use for each in group.holders.all()}
    times = selectors.share_set_times(groups)
    return "dashboard/vault.html", {
        "title": f"Vault {row.name}",
        "vault": row,
        "groups": [(group, times.get(group.pk)) for group in groups],
        "holders": [(holder, holder.node_id in gone) for holder in holders.values()],
        "gone": gone & set(holders),
        "outlook": survival.outlook(in_use, gone),
        "topology": pictures.topology(survival.outlook(groups, gone), gone),
        "survival": survival.table(in_use),
        "newest": selectors.newest_requests(viewer, vault=row),
    }


def nodes(request: HttpRequest, viewer: Viewer) -> Page:
    lines = selectors.node_lines(viewer)
    most = max((line.groups for line in lines), default=0)
    return "dashboard/nodes.html", {"title": "Nodes", "lines": lines, "most": most}


def states(request: HttpRequest, viewer: Viewer) -> Page:
    return "dashboard/states.html", {"title": "States of a request", "machine": pictures.state_machine()}


def found_request(viewer: Viewer, request_id: str) -> TssRequest:
    """Raises Http404."""
    row = selectors.find_request(viewer, request_id)
    if row is None:
        raise Http404("request")
    return row


def found_vault(viewer: Viewer, vault_id: str) -> Vault:
    """Raises Http404."""
    row = selectors.find_vault(viewer, vault_id)
    if row is None:
        raise Http404("vault")
    return row
