"""Paths under /account/."""

from django.urls import path

import vaults.api.converters  # noqa: F401 - registers <id:...>
from accounts.views import login, one_time_codes, passkeys, votes

urlpatterns = [
    path("", login.home),
    path("login", login.login),
    path("login/options", login.options),
    path("login/passkey", login.passkey),
    path("logout", login.logout),
    path("recover", login.recover),
    path("passkeys", passkeys.listing),
    path("passkeys/options", passkeys.options),
    path("passkeys/register", passkeys.register),
    path("passkeys/<int:passkey_id>/remove", passkeys.remove),
    path("passkeys/<int:passkey_id>/credential", passkeys.download),
    path("totp", one_time_codes.totp),
    path("requests/<id:request_id>/vote/options", votes.options),
    path("requests/<id:request_id>/vote", votes.vote),
    path("requests/<id:request_id>/receipt", votes.receipt),
]
