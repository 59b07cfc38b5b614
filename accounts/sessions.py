"""What a session of this site says beside who it is, and when it ends (A15)."""

import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase

from vaults.models import Member

_AUTHENTICATED_AT, _PASSKEY, _MEMBERSHIPS = "authenticated_at", "passkey", "memberships"
# For acts that change how one logs in.
RECENT_S = 10 * 60


def begin(request: HttpRequest, user: User, passkey_id: str = "") -> None:
    """Open a session; passkey_id: the credential (hex) that opened it."""
    auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session[_AUTHENTICATED_AT] = int(time.time())
    request.session[_PASSKEY] = passkey_id
    request.session[_MEMBERSHIPS] = _memberships(user)


def is_open(request: HttpRequest) -> bool:
    """Whether somebody logged in here, with a passkey or two factors."""
    return request.user.is_authenticated and _AUTHENTICATED_AT in request.session


def is_recent(request: HttpRequest) -> bool:
    return bool(time.time() - request.session.get(_AUTHENTICATED_AT, 0) < RECENT_S)


def passkey_of(request: HttpRequest) -> str:
    """The credential (hex) that opened the session, "" where a password did."""
    return str(request.session.get(_PASSKEY, ""))


class EndWithRole:
    """Ends the session of a user whose memberships or roles are others than when it began, or whose passkey
    that opened it is gone.

    Async-capable like all of the site's middleware; a request without a session cookie costs nothing.
    """

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self._next = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            await sync_to_async(_end_if_changed)(request)
        return await self._next(request)


def _end_if_changed(request: HttpRequest) -> None:
    user: Any = request.user
    if not user.is_authenticated:
        return
    now = _memberships(user)
    # One that did not begin on our own login page is bound to what it finds first.
    if request.session.setdefault(_MEMBERSHIPS, now) != now or _lost_its_passkey(request, user):
        auth.logout(request)


def _lost_its_passkey(request: HttpRequest, user: User) -> bool:
    """Whether the passkey that opened the session was taken away: whoever has it must be out as well."""
    credential_id = passkey_of(request)
    return bool(credential_id) and not user.passkeys.filter(credential_id=credential_id).exists()


def _memberships(user: User) -> str:
    rows = Member.objects.filter(user=user).order_by("pk").values_list("pk", "role")
    text = f"{user.is_staff} {user.is_superuser} {[(str(pk), role) for pk, role in rows]}"
    return sha256(text.encode()).hexdigest()
