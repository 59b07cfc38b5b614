"""Requests of every type, and what is to be known about one: our own calls beside the compatible ones."""

import uuid
from typing import Any, ClassVar

from django.db.models import QuerySet

from tss import dossier, explain, selectors, services, timeline
from tss.api.views import description_of
from tss.builders.wish import NATIVE
from tss.models import RequestType, State, TssRequest
from tss.representation import represent
from vaults.api.base import ApiView, Call
from vaults.api.body import Body
from vaults.api.pagination import page
from vaults.api.views import vault_of
from vaults.errors import invalid
from vaults.selectors import get_vault, parse_id
from vaults.services import HolderChoice
from wire.manifest import MAX_PARTICIPANTS

_READ = "mpc_key_group.read"


class VaultRequests(ApiView):
    """The requests of one vault."""

    scopes: ClassVar = {"GET": _READ, "POST": "mpc_key_group.create"}

    def answer_get(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        rows = _filtered(selectors.requests(call.organisation).filter(vault=vault), call)
        if group_id := call.query("group"):
            rows = rows.filter(target_group=_id("group", group_id))
        return page(rows, call, shape=represent)

    def answer_post(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        body = call.body()
        request = services.create_request(
            actor=call.actor,
            vault=vault,
            type=body.text("type"),
            target_group_id=body.optional_text(NATIVE.target),
            source_group_id=body.optional_text(NATIVE.source),
            source_node_ids=body.texts(NATIVE.source_nodes, max_length=MAX_PARTICIPANTS),
            description=description_of(body),
            accept_overlap=body.boolean("accept_overlap"),
            holders=_holders(body),
            threshold=body.optional_integer("threshold"),
            policy=body.object("policy"),
            original_main=body.optional_text("original_main"),
            names=NATIVE,
        )
        return represent(request)


class AllRequests(ApiView):
    """The requests of all vaults."""

    scopes: ClassVar = {"GET": _READ}

    def answer_get(self, call: Call, **ids: str) -> Any:
        rows = _filtered(selectors.requests(call.organisation), call)
        if vault_id := call.query("vault_id"):
            key = str(_id("vault_id", vault_id))
            rows = rows.filter(vault=get_vault(organisation=call.organisation, vault_id=key))
        return page(rows, call, shape=represent)


class OneRequest(ApiView):
    scopes: ClassVar = {"GET": _READ}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return represent(_request(call, ids))


class Explanation(ApiView):
    """Why the request is where it is, and what to do."""

    scopes: ClassVar = {"GET": _READ}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return explain.explain(_request(call, ids))


class Timeline(ApiView):
    """All that has happened, in order."""

    scopes: ClassVar = {"GET": _READ}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return timeline.timeline(_request(call, ids))


class IntentDossier(ApiView):
    """All that the stand-alone verifier needs (R3)."""

    scopes: ClassVar = {"GET": _READ}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return dossier.intent(_request(call, ids))


class Approvals(ApiView):
    """Who decided what, as they signed it."""

    scopes: ClassVar = {"GET": _READ}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return dossier.approvals(_request(call, ids))


class RequestEvidence(ApiView):
    """Pairs of signed messages that cannot both be honest (R22)."""

    scopes: ClassVar = {"GET": _READ}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return dossier.evidence(_request(call, ids))


class Cancel(ApiView):
    scopes: ClassVar = {"POST": "mpc_key_group.delete"}

    def answer_post(self, call: Call, **ids: str) -> Any:
        return represent(services.cancel_request(actor=call.actor, request=_request(call, ids)))


class Retry(ApiView):
    scopes: ClassVar = {"POST": "mpc_key_group.create"}

    def answer_post(self, call: Call, **ids: str) -> Any:
        return represent(services.retry_request(actor=call.actor, request=_request(call, ids)))


def _request(call: Call, ids: dict[str, str]) -> TssRequest:
    return selectors.get_request(organisation=call.organisation, request_id=ids["tss_request_id"])


def _filtered(rows: "QuerySet[TssRequest]", call: Call) -> "QuerySet[TssRequest]":
    for name, choices in (("type", RequestType.values), ("state", State.values)):
        value = call.query(name)
        if value and value not in choices:
            raise invalid(name, f"must be one of {', '.join(choices)}")
        if value:
            rows = rows.filter(**{name: value})
    return rows


def _id(name: str, text: str) -> uuid.UUID:
    key = parse_id(text)
    if key is None:
        raise invalid(name, "must be a UUID")
    return key


def _holders(body: Body) -> list[HolderChoice]:
    if body.fields().get("holders") is None:
        return []
    return [
        HolderChoice(
            tss_node_id=holder.optional_text("tss_node_id"),
            name=holder.optional_text("name"),
            signer=holder.boolean("signer"),
        )
        for holder in body.objects("holders", max_length=MAX_PARTICIPANTS)
    ]
