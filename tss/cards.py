"""A node's new card, and the requests whose rosters it makes out of date (R7)."""

from django.db import transaction

from tss import services
from tss.lifecycle import STOPPABLE
from tss.models import TssRequest
from vaults import services as vaults
from vaults.models import Node, Vault
from wire.canonical import Json
from wire.identity import HolderCard


def publish(*, node: Node, value: Json) -> None:
    """Take the node's new card; requests that would give it a share under the old one end.

    Raises WireError, or ServiceError as `vaults.publish_card`.
    """
    card = HolderCard.from_json(value, "card")
    with transaction.atomic():
        vaults.publish_card(node=node, card=card)
        asking = TssRequest.objects.filter(voters__node=node, state__in=STOPPABLE).values("vault")
        for vault in Vault.objects.filter(pk__in=asking).order_by("pk"):
            services.recheck(vault)
