"""The code app: the second factor of a password."""

import segno
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import mark_safe
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import sessions
from accounts.errors import AccountError
from accounts.models import OneTimeCodes
from accounts.services import one_time_codes
from accounts.views.http import logged_in, page, require_login, require_recent, show


@page
@logged_in
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def totp(request: HttpRequest) -> HttpResponse:
    """What is set up; a POST begins, confirms or removes it."""
    if request.method == "GET":
        return _show(request)
    try:
        user = require_recent(request)
        match request.POST.get("act"):
            case "begin":
                return _show(request, address=one_time_codes.begin(user=user))
            case "confirm":
                one_time_codes.confirm(user=user, code=request.POST.get("code", "").strip())
            case "remove":
                one_time_codes.remove(user=user)
            case _:
                raise AccountError(400, "unknown act", "act")
    except AccountError as error:
        return _show(request, error=error)
    return HttpResponseRedirect("/account/totp")


def _show(request: HttpRequest, address: str = "", error: AccountError | None = None) -> HttpResponse:
    row = OneTimeCodes.objects.filter(user=require_login(request)).first()
    # Drawn here from the address alone.
    picture = mark_safe(segno.make(address).svg_inline(scale=5, light="white")) if address else ""  # noqa: S308
    return show(
        request,
        "totp",
        error.status if error else 200,
        row=row,
        picture=picture,
        secret=address.partition("secret=")[2].partition("&")[0],
        recent=sessions.is_recent(request),
        error=error.message if error else "",
    )
