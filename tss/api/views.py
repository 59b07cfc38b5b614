"""TSS requests: the compatible API's calls."""

from typing import Any, ClassVar

from tss import selectors, services
from tss.builders.wish import COMPATIBLE
from tss.models import COMPATIBLE_TYPES, TssRequest
from tss.representation import represent
from vaults.api.base import ApiView, Call
from vaults.api.body import Body
from vaults.api.operations import UUID, Operation, Parameter, page_of, ref
from vaults.api.pagination import page
from vaults.api.schemas import PAGE
from vaults.api.views import vault_of
from vaults.errors import invalid, missing
from vaults.selectors import get_group, parse_id
from vaults.text import check_text
from wire.manifest import MAX_PARTICIPANTS

MAX_DESCRIPTION = 1000


class Requests(ApiView):
    scopes: ClassVar = {"GET": "mpc_key_group.read", "POST": "mpc_key_group.create"}
    operations: ClassVar = {
        "GET": Operation(
            "TSS requests of a group",
            "TSS requests",
            (
                Parameter("key_share_holder_group_id", UUID, "Whose target is this group", required=True),
                *PAGE,
            ),
            answer=page_of("TSSRequest", total=True),
        ),
        "POST": Operation(
            "Make a TSS request", "TSS requests", body=ref("NewTSSRequest"), answer=ref("TSSRequest")
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        group_id = call.query("key_share_holder_group_id")
        if not group_id:
            raise missing("key_share_holder_group_id")
        if parse_id(group_id) is None:
            raise invalid("key_share_holder_group_id", "must be a UUID")
        group = get_group(vault=vault, group_id=group_id)
        rows = selectors.compatible_requests(vault=vault, group_id=group.id)
        return page(rows, call, total=selectors.number_of_group(group.id), shape=represent)

    def answer_post(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        body = call.body()
        type = body.text("type")
        if type not in COMPATIBLE_TYPES:
            raise invalid("type", f"must be one of {', '.join(COMPATIBLE_TYPES)}")
        source = body.child(COMPATIBLE.source_object)
        request = services.create_request(
            actor=call.actor,
            vault=vault,
            type=type,
            target_group_id=body.text(COMPATIBLE.target),
            source_group_id=source.text("key_share_holder_group_id") if source else "",
            source_node_ids=source.texts("tss_node_ids", max_length=MAX_PARTICIPANTS) if source else None,
            description=description_of(body),
            accept_overlap=body.boolean("accept_overlap"),
        )
        return represent(request)


class RequestById(ApiView):
    scopes: ClassVar = {"GET": "mpc_key_group.read"}
    operations: ClassVar = {"GET": Operation("One TSS request", "TSS requests", answer=ref("TSSRequest"))}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return represent(_request_of(call, ids))


class RequestCancel(ApiView):
    scopes: ClassVar = {"POST": "mpc_key_group.delete"}
    operations: ClassVar = {
        "POST": Operation("Cancel a TSS request", "TSS requests", answer=ref("TSSRequest"))
    }

    def answer_post(self, call: Call, **ids: str) -> Any:
        cancelled = services.cancel_request(actor=call.actor, request=_request_of(call, ids))
        # The vendor answers a cancel with Success; the truth is in `state` and in every later read.
        return {**represent(cancelled), "status": "Success"}


def description_of(body: Body) -> str:
    """The description of a new request. Raises ServiceError 2006."""
    text = body.optional_text("description")
    return check_text(text, field="description", max_length=MAX_DESCRIPTION)


def _request_of(call: Call, ids: dict[str, str]) -> TssRequest:
    vault = vault_of(call, ids["vault_id"])
    return selectors.get_compatible_request(vault=vault, request_id=ids["tss_request_id"])
