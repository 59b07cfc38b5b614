"""What the pages and calls under /account/ have in common: headers, bodies, errors, who may come in."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import sessions
from accounts.errors import AccountError
from wire.canonical import CanonicalError, parse_json
from wire.fields import Fields, WireError

View = Callable[..., HttpResponse]
_MAX_BODY = 16_384


def page(view: View) -> View:
    """A page of ours: kept by no cache, its address told to nobody else. Its CSP is the site's."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "same-origin"
        return response

    return wrapped


def call(view: View) -> View:
    """A JSON call of our pages' scripts: `{error, field}` for what is refused."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except AccountError as error:
            response = JsonResponse({"error": error.message, "field": error.field}, status=error.status)
        except WireError as error:
            field = error.field.removeprefix("body.")
            response = JsonResponse({"error": f"{field}: {error.message}", "field": field}, status=400)
        response["Cache-Control"] = "no-store"
        return response

    return wrapped


def logged_in(view: View) -> View:
    """A page for who has logged in; others are sent to do so."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not sessions.is_open(request):
            return HttpResponseRedirect(f"/account/login?{urlencode({'next': request.path})}")
        return view(request, *args, **kwargs)

    return wrapped


def require_login(request: HttpRequest) -> User:
    """The user of a call. Raises AccountError 403."""
    if not sessions.is_open(request) or not isinstance(request.user, User):
        raise AccountError(403, "log in first")
    return request.user


def require_recent(request: HttpRequest) -> User:
    """The user of an act that changes how one logs in (step-up). Raises AccountError 403."""
    user = require_login(request)
    if not sessions.is_recent(request):
        raise AccountError(403, "log in once more first: this needs a login of the last ten minutes")
    return user


def body(request: HttpRequest) -> Fields:
    """The strict JSON object of a call. Raises AccountError, WireError."""
    try:
        return Fields(parse_json(request.body, max_bytes=_MAX_BODY), "body")
    except CanonicalError as error:
        raise AccountError(400, str(error), error.field or "body") from None


def optional(fields: Fields, name: str) -> str:
    """A text that may be empty or not there."""
    try:
        return fields.text(name, empty=True)
    except WireError as error:
        if error.message == "is missing":
            return ""
        raise


def address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))


def next_page(request: HttpRequest) -> str:
    """Where the person wanted to go, if that is on this site."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    own = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if own else "/account/"


def show(request: HttpRequest, name: str, status: int = 200, **context: Any) -> HttpResponse:
    return render(request, f"accounts/{name}.html", context, status=status)
