"""TSS requests: the compatible API's calls."""

from typing import Any, ClassVar

from tss import selectors, services
from tss.representation import represent
from vaults.api.base import ApiView, Call
from vaults.api.pagination import page
from vaults.api.views import vault_of
from vaults.errors import invalid, missing
from vaults.selectors import get_group, parse_id
from vaults.text import check_text

_MAX_DESCRIPTION = 1000


class Requests(ApiView):
    scopes: ClassVar = {"GET": "mpc_key_group.read", "POST": "mpc_key_group.create"}

    def answer_get(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        group_id = call.query("key_share_holder_group_id")
        if not group_id:
            raise missing("key_share_holder_group_id")
        if parse_id(group_id) is None:
            raise invalid("key_share_holder_group_id", "must be a UUID")
        group = get_group(vault=vault, group_id=group_id)
        rows = selectors.requests_of_group(
            organisation=call.organisation, vault_id=vault.id, group_id=group.id
        )
        return page(rows, call, total=selectors.number_of_group(group.id), shape=represent)

    def answer_post(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        body = call.body()
        description = body.optional_text("description")
        request = services.create_request(
            actor=call.actor,
            vault=vault,
            type=body.text("type"),
            target_group_id=body.text("target_key_share_holder_group_id"),
            source_group=body.object("source_key_share_holder_group"),
            description=check_text(description, field="description", max_length=_MAX_DESCRIPTION),
        )
        return represent(request)


class RequestById(ApiView):
    scopes: ClassVar = {"GET": "mpc_key_group.read"}

    def answer_get(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        request = selectors.get_request(
            organisation=call.organisation, vault_id=vault.id, request_id=ids["tss_request_id"]
        )
        return represent(request)


class RequestCancel(ApiView):
    scopes: ClassVar = {"POST": "mpc_key_group.delete"}

    def answer_post(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        request = selectors.get_request(
            organisation=call.organisation, vault_id=vault.id, request_id=ids["tss_request_id"]
        )
        cancelled = services.cancel_request(actor=call.actor, request=request)
        # The vendor answers a cancel with Success; the truth is in `state` and in every later read.
        return {**represent(cancelled), "status": "Success"}
