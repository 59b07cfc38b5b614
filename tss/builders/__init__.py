"""What each type of request is made of: one function a type, from what the caller asks for to a draft."""

from collections.abc import Callable

from tss.builders.decrees import policy_change, role_change
from tss.builders.draft import Draft
from tss.builders.sharing import key_gen, key_gen_from_key_group, recovery, refresh, reshare
from tss.builders.wish import Wish
from tss.models import RequestType

BUILDERS: dict[RequestType, Callable[[Wish], Draft]] = {
    RequestType.KEY_GEN: key_gen,
    RequestType.KEY_GEN_FROM_KEY_GROUP: key_gen_from_key_group,
    RequestType.RECOVERY: recovery,
    RequestType.REFRESH: refresh,
    RequestType.RESHARE: reshare,
    RequestType.ROLE_CHANGE: role_change,
    RequestType.POLICY_CHANGE: policy_change,
}

__all__ = ["BUILDERS", "Draft", "Wish"]
