"""What a request is judged by: its documents, and the certificates and decrees that lead to them (R3, R12).

Nothing here is believed for where it comes from: whoever gets it walks from an anchor that it has pinned.
"""

import base64
import uuid
from collections.abc import Iterable
from typing import Any

from tss.documents import intent_of
from tss.models import RequestType, ShareSet, State, TssRequest
from wire.intent import Intent

_DECREES = (RequestType.POLICY_CHANGE, RequestType.ROLE_CHANGE, RequestType.RECOVERY)


def documents(request: TssRequest) -> dict[str, Any]:
    """Everything that a node needs to judge the request (docs/protocol.md, section 5)."""
    intent = intent_of(request.intent)
    past = _decrees(request) if intent.source else []
    wanted = [intent, *(intent_of(decree.intent) for decree in past)]
    chain = certificates(request, wanted) if intent.source else []
    return {
        **_texts(request),
        "certificates": [to_base64(certificate) for certificate in chain],
        "decrees": [{**_texts(decree), "certificate": _final(decree)} for decree in past],
    }


def certificates(request: TssRequest, intents: list[Intent]) -> list[bytes]:
    """The certificates from the KeyGen's on to the sets that these intents of a vault name, oldest first."""
    tips = []
    for intent in intents:
        references = (intent.source, intent.target, *intent.retires)
        tips += [reference.certificate_hash.hex() for reference in references if reference]
    return path_of([request.vault_id], tips)


def path_of(vault_ids: Iterable[uuid.UUID], tips: Iterable[str]) -> list[bytes]:
    """The certificates from the KeyGens' on to the sets with these certificate hashes, oldest first."""
    rows = ShareSet.objects.filter(group__vault__in=list(vault_ids)).order_by("pk")
    sets = {each.certificate_hash: each for each in rows}
    wanted: set[str] = set()
    for tip in tips:
        while tip in sets and tip not in wanted:
            wanted.add(tip)
            tip = sets[tip].previous_hash
    return [bytes(each.certificate) for tip, each in sets.items() if tip in wanted]


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decrees(request: TssRequest) -> list[TssRequest]:
    """The requests of the vault that changed its policy or which group is Main, oldest first (R12, R16)."""
    succeeded = TssRequest.objects.filter(
        vault=request.vault_id,
        type__in=_DECREES,
        state=State.SUCCEEDED,
        events__kind="transition",
        events__state=State.SUCCEEDED,
    )
    ordered = succeeded.order_by("events__time", "pk").prefetch_related("approvals")
    return [each for each in ordered if not _in_place(intent_of(each.intent))]


def _in_place(intent: Intent) -> bool:
    """Whether it is a Recovery of the Main group itself, after which the same group is Main."""
    return intent.type == RequestType.RECOVERY and bool(intent.target.certificate_hash)


def _final(decree: TssRequest) -> str:
    rows = ShareSet.objects.filter(ceremony__request=decree)
    certificate = rows.values_list("certificate", flat=True).first()
    return to_base64(bytes(certificate)) if certificate else ""


def _texts(request: TssRequest) -> dict[str, Any]:
    rows = sorted(request.approvals.all(), key=lambda row: (row.received_at, row.pk))
    return {
        "intent": request.intent,
        "manifest": request.manifest,
        "source_manifest": request.source_manifest,
        "policy": request.policy,
        "new_policy": request.new_policy,
        "decisions": [row.signed for row in rows],
    }
