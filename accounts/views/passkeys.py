"""A person's passkeys."""

import json
from typing import Any

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.views.decorators.http import require_http_methods, require_POST

from accounts import sessions
from accounts.errors import AccountError
from accounts.models import Passkey
from accounts.services import passkeys
from accounts.views.http import body, call, logged_in, page, require_login, require_recent, show
from vaults.models import Node
from wire.credential import Credential


@page
@logged_in
@require_http_methods(["GET"])
def listing(request: HttpRequest) -> HttpResponse:
    return _show(request, require_login(request))


@call
@require_POST
def options(request: HttpRequest) -> HttpResponse:
    return JsonResponse(passkeys.creation_options(user=require_recent(request)))


@call
@require_POST
def register(request: HttpRequest) -> HttpResponse:
    user = require_recent(request)
    fields = body(request)
    label, answer = fields.text("label", max_length=40), fields.take("credential")
    fields.end()
    passkey = passkeys.register(user=user, label=label, answer=answer)
    return JsonResponse({"id": passkey.pk, "credential_id": passkey.credential_id})


@page
@logged_in
@require_POST
def remove(request: HttpRequest, passkey_id: int) -> HttpResponse:
    try:
        passkeys.remove(user=require_recent(request), passkey_id=passkey_id)
    except AccountError as error:
        return _show(request, require_login(request), error)
    return HttpResponseRedirect("/account/passkeys")


@page
@logged_in
@require_http_methods(["GET"])
def download(request: HttpRequest, passkey_id: int) -> HttpResponse:
    """The credential as a file for the holder's node."""
    passkey = Passkey.objects.filter(user=require_login(request), pk=passkey_id).first()
    if passkey is None:
        raise Http404
    text = json.dumps(passkey.credential, indent=2, sort_keys=True) + "\n"
    name = f"passkey-{passkey.credential_id[:8]}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="application/json", headers=headers)


def _show(request: HttpRequest, user: User, error: AccountError | None = None) -> HttpResponse:
    nodes = list(Node.objects.filter(owner__user=user).order_by("name"))
    rows = [_row(each, nodes) for each in user.passkeys.order_by("created_at")]
    return show(
        request,
        "passkeys",
        error.status if error else 200,
        passkeys=rows,
        nodes=nodes,
        recent=sessions.is_recent(request),
        error=error.message if error else "",
    )


def _row(passkey: Passkey, nodes: list[Node]) -> dict[str, Any]:
    credential = Credential.from_json(passkey.credential)
    text = credential.fingerprint().hex()
    on = [
        node.name
        for node in nodes
        if any(each["id"] == passkey.credential_id for each in node.holder_card["card"]["credentials"])
    ]
    return {
        "row": passkey,
        "label": credential.label,
        "words": credential.words(),
        "fingerprint": " ".join(text[at : at + 4] for at in range(0, len(text), 4)),
        "cards": ", ".join(on),
    }
