"""Requests of every type, and what is to be known about one: our own calls beside the compatible ones."""

from typing import Any, ClassVar

from tss import dossier, explain, selectors, services, timeline
from tss.api import filters
from tss.api.schemas import LIST
from tss.api.views import description_of
from tss.builders.wish import NATIVE
from tss.models import TssRequest
from tss.representation import represent
from vaults.api.base import ApiView, Call
from vaults.api.body import Body
from vaults.api.operations import UUID, Operation, Parameter, ref
from vaults.api.pagination import page
from vaults.api.views import vault_of
from vaults.selectors import get_vault
from vaults.services import HolderChoice
from wire.manifest import MAX_PARTICIPANTS

_READ = "mpc_key_group.read"


class VaultRequests(ApiView):
    """The requests of one vault."""

    scopes: ClassVar = {"GET": _READ, "POST": "mpc_key_group.create"}
    operations: ClassVar = {
        "GET": Operation("Requests of a vault", "Requests", LIST, answer=ref("RequestPage")),
        "POST": Operation(
            "Make a request of any type", "Requests", body=ref("NewRequest"), answer=ref("TSSRequest")
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        rows = filters.filtered(selectors.requests(call.organisation).filter(vault=vault), call)
        return page(rows, call, shape=represent, order=filters.order(call))

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
    operations: ClassVar = {
        "GET": Operation(
            "Requests of all vaults",
            "Requests",
            (Parameter("vault_id", UUID, "Of this vault"), *LIST),
            answer=ref("RequestPage"),
            names=True,
        )
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        rows = selectors.requests(call.organisation)
        if vault_id := call.query("vault_id"):
            key = str(filters.uuid_of("vault_id", vault_id))
            rows = rows.filter(vault=get_vault(organisation=call.organisation, vault_id=key))
        return page(filters.filtered(rows, call), call, shape=represent, order=filters.order(call))


class OneRequest(ApiView):
    scopes: ClassVar = {"GET": _READ}
    operations: ClassVar = {"GET": Operation("One request", "Requests", answer=ref("TSSRequest"))}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return represent(_request(call, ids))


class Explanation(ApiView):
    """Why the request is where it is, and what to do."""

    scopes: ClassVar = {"GET": _READ}
    operations: ClassVar = {
        "GET": Operation(
            "Why it stands where it stands, and what to do", "Requests", answer=ref("Explanation")
        )
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return explain.explain(_request(call, ids))


class Timeline(ApiView):
    """All that has happened, in order."""

    scopes: ClassVar = {"GET": _READ}
    operations: ClassVar = {"GET": Operation("Every event, in order", "Requests", answer=ref("Timeline"))}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return timeline.timeline(_request(call, ids))


class IntentDossier(ApiView):
    """All that the stand-alone verifier needs (R3)."""

    scopes: ClassVar = {"GET": _READ}
    operations: ClassVar = {
        "GET": Operation("All that the stand-alone verifier needs", "Requests", answer=ref("IntentDossier"))
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return dossier.intent(_request(call, ids))


class Approvals(ApiView):
    """Who decided what, as they signed it."""

    scopes: ClassVar = {"GET": _READ}
    operations: ClassVar = {
        "GET": Operation("Signed decisions, and refusals", "Requests", answer=ref("Approvals"))
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return dossier.approvals(_request(call, ids))


class RequestEvidence(ApiView):
    """Pairs of signed messages that cannot both be honest (R22)."""

    scopes: ClassVar = {"GET": _READ}
    operations: ClassVar = {
        "GET": Operation("Conflicting signed messages", "Requests", answer=ref("Evidence"))
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return dossier.evidence(_request(call, ids))


class Cancel(ApiView):
    scopes: ClassVar = {"POST": "mpc_key_group.delete"}
    operations: ClassVar = {"POST": Operation("Cancel a request", "Requests", answer=ref("TSSRequest"))}

    def answer_post(self, call: Call, **ids: str) -> Any:
        return represent(services.cancel_request(actor=call.actor, request=_request(call, ids)))


class Retry(ApiView):
    scopes: ClassVar = {"POST": "mpc_key_group.create"}
    operations: ClassVar = {
        "POST": Operation("Try a failed request again", "Requests", answer=ref("TSSRequest"))
    }

    def answer_post(self, call: Call, **ids: str) -> Any:
        return represent(services.retry_request(actor=call.actor, request=_request(call, ids)))


def _request(call: Call, ids: dict[str, str]) -> TssRequest:
    return selectors.get_request(organisation=call.organisation, request_id=ids["tss_request_id"])


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
