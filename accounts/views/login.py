"""Coming in and going out."""

from django.contrib import auth
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import sessions
from accounts.errors import AccountError
from accounts.services import login as logins
from accounts.services import recovery
from accounts.services.record import record
from accounts.views.http import address, body, call, logged_in, next_page, page, show


@page
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """The login page; a POST is a password with a one-time code."""
    wanted = next_page(request)
    if request.method == "GET":
        return show(request, "login", next=wanted)
    try:
        user = logins.with_password(
            username=request.POST.get("username", ""),
            password=request.POST.get("password", ""),
            code=request.POST.get("code", ""),
            address=address(request),
        )
    except AccountError as error:
        return show(request, "login", error.status, error=error.message, next=wanted)
    sessions.begin(request, user)
    return HttpResponseRedirect(wanted)


@call
@require_POST
def options(request: HttpRequest) -> HttpResponse:
    return JsonResponse(logins.request_options())


@call
@require_POST
def passkey(request: HttpRequest) -> HttpResponse:
    """A login with a passkey."""
    fields = body(request)
    answer = fields.take("credential")
    fields.end()
    used = logins.with_passkey(answer=answer, address=address(request))
    sessions.begin(request, used.user, used.credential_id)
    return JsonResponse({"next": next_page(request)})


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    if isinstance(request.user, auth.get_user_model()):
        record(request.user, "logout")
    auth.logout(request)
    return HttpResponseRedirect("/account/login")


@page
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
def recover(request: HttpRequest) -> HttpResponse:
    """A one-time code from whoever runs the site, and a new password."""
    if request.method == "GET":
        return show(request, "recover")
    try:
        user = recovery.recover(
            code=request.POST.get("code", "").strip(),
            password=request.POST.get("password", ""),
            address=address(request),
        )
    except AccountError as error:
        return show(request, "recover", error.status, error=error.message)
    sessions.begin(request, user)
    return HttpResponseRedirect("/account/passkeys")


@page
@logged_in
@require_http_methods(["GET"])
def home(request: HttpRequest) -> HttpResponse:
    return show(request, "home")
