"""The shapes of requests and of what is to be known about them, as the OpenAPI document shows them."""

from tss.api.filters import DIRECTIONS, MAX_TEXT, MAX_TIMESTAMP, MIN_TEXT, SORT_BY, STATUSES, TIMES
from tss.models import COMPATIBLE_TYPES, Decision, EvidenceKind, RequestType, SignedBy, State
from vaults.api.operations import (
    BOOLEAN,
    COUNT,
    DOCUMENT,
    HASH,
    NODE_ID,
    TEXT,
    TIME,
    UUID,
    Parameter,
    Schema,
    answer_object,
    array,
    body_object,
    choice,
    nullable,
    ref,
)
from vaults.api.schemas import PAGE, PARTICIPANTS, POLICY_CHANGES, membership
from wire.manifest import MAX_PARTICIPANTS

_STATUS, _STATE, _TYPE = choice(*STATUSES), choice(*State.values), choice(*RequestType.values)
_REQUEST_ID: Schema = {"type": "string", "maxLength": 32}
_DESCRIPTION: Schema = {"type": "string", "maxLength": 1000}
_NODE_IDS = array(NODE_ID)
_HANDOVER = array(NODE_ID, maxItems=MAX_PARTICIPANTS)

LIST = (
    *PAGE,
    Parameter("type", _TYPE, "Of this type"),
    Parameter("state", _STATE, "In this state"),
    Parameter("status", _STATUS, "In this state as the vendor names it"),
    Parameter("group", UUID, "Whose target is this group"),
    *(
        Parameter(
            name,
            {"type": "integer", "minimum": 0, "maximum": MAX_TIMESTAMP},
            f"{'Not before' if lookup.endswith('gte') else 'Not after'} this time, Unix milliseconds",
        )
        for name, lookup in TIMES.items()
    ),
    Parameter(
        "text",
        {"type": "string", "minLength": MIN_TEXT, "maxLength": MAX_TEXT},
        "Whose description contains this, in upper or lower case; on SQLite: begins with it",
    ),
    Parameter("sort_by", {**choice(*SORT_BY), "default": "created_timestamp"}, "What the order goes by"),
    Parameter("direction", {**choice(*DIRECTIONS), "default": "DESC"}, "DESC: the latest first"),
)

_TALLY = {"needed": COUNT, "received": COUNT, "by": _NODE_IDS}
_APPROVALS = {
    **_TALLY,
    "votes": array(answer_object({"side": choice("source", "target"), **_TALLY, "of": _NODE_IDS})),
}
_ANY_DETAIL: Schema = {"type": "object"}

SCHEMAS: dict[str, Schema] = {
    "TSSRequest": answer_object(
        {
            "tss_request_id": _REQUEST_ID,
            "source_key_share_holder_group": nullable(
                answer_object({"key_share_holder_group_id": UUID, "tss_node_ids": nullable(_NODE_IDS)})
            ),
            "target_key_share_holder_group_id": UUID,
            "type": _TYPE,
            "status": _STATUS,
            "description": TEXT,
            "created_timestamp": TIME,
            "vault_id": UUID,
            "state": _STATE,
            "state_reason": TEXT,
            "failed_node_ids": _NODE_IDS,
            "retryable": BOOLEAN,
            "updated_timestamp": TIME,
            "expires_timestamp": TIME,
            "digest": HASH,
            "attempt": COUNT,
            "approvals": answer_object(_APPROVALS),
        }
    ),
    "NewTSSRequest": body_object(
        {"type": choice(*COMPATIBLE_TYPES), "target_key_share_holder_group_id": UUID},
        {
            "source_key_share_holder_group": body_object(
                {"key_share_holder_group_id": UUID}, {"tss_node_ids": _HANDOVER}
            ),
            "description": _DESCRIPTION,
            "accept_overlap": BOOLEAN,
        },
    ),
    "NewRequest": body_object(
        {"type": _TYPE},
        {
            "target_group_id": UUID,
            "source_group_id": UUID,
            "source_node_ids": _HANDOVER,
            "description": _DESCRIPTION,
            "accept_overlap": BOOLEAN,
            "holders": array(
                body_object({}, {"tss_node_id": NODE_ID, "name": TEXT, "signer": BOOLEAN}),
                maxItems=MAX_PARTICIPANTS,
            ),
            "threshold": PARTICIPANTS,
            "policy": POLICY_CHANGES,
            "original_main": choice("retired", "signing"),
        },
    ),
    "Explanation": answer_object(
        {
            "tss_request_id": _REQUEST_ID,
            "type": _TYPE,
            "state": _STATE,
            "state_reason": TEXT,
            "summary": TEXT,
            "waiting_for": array(
                answer_object(
                    {"code": TEXT, "message": TEXT, "node_ids": _NODE_IDS},
                    {"side": TEXT, "request_id": _REQUEST_ID, "refusal_code": TEXT},
                )
            ),
            "next": TEXT,
            "attempt": COUNT,
            "expires_timestamp": TIME,
            "retry": nullable(
                answer_object(
                    {
                        "possible": BOOLEAN,
                        "same_ceremony": BOOLEAN,
                        "attempts_left": COUNT,
                        "dealers": _NODE_IDS,
                        "leaves_out": _NODE_IDS,
                    }
                )
            ),
            "erasure": array(
                answer_object(
                    {
                        "key_share_holder_group_id": UUID,
                        "epoch": COUNT,
                        "participants": COUNT,
                        "erased": COUNT,
                        "worthless_after": COUNT,
                        "worthless": BOOLEAN,
                        "not_erased": _NODE_IDS,
                    }
                )
            ),
            "also_holds": array(membership(tss_node_id=NODE_ID)),
            "evidence": COUNT,
        }
    ),
    "Timeline": answer_object(
        {
            "tss_request_id": _REQUEST_ID,
            "state": _STATE,
            "entries": array(
                answer_object(
                    {"time": TIME, "kind": TEXT, "detail": _ANY_DETAIL},
                    {"state": _STATE, "actor": TEXT, "name": TEXT, "version": COUNT},
                )
            ),
        }
    ),
    "IntentDossier": answer_object(
        {
            "intent": DOCUMENT,
            "canonical": TEXT,
            "digest": HASH,
            "manifest": TEXT,
            "source_manifest": TEXT,
            "policy": TEXT,
            "new_policy": TEXT,
            "approvals": array(DOCUMENT),
            "certificate": TEXT,
            "certificates": array(TEXT),
        }
    ),
    "Approvals": answer_object(
        {
            "digest": HASH,
            **_APPROVALS,
            "decisions": array(
                answer_object(
                    {
                        "name": TEXT,
                        "tss_node_id": NODE_ID,
                        "kind": choice(*SignedBy.values),
                        "decision": choice(*Decision.values),
                        "reason": TEXT,
                        "received_timestamp": TIME,
                        "signed": DOCUMENT,
                    }
                )
            ),
            "refusals": array(
                answer_object(
                    {
                        "name": TEXT,
                        "tss_node_id": NODE_ID,
                        "code": TEXT,
                        "message": TEXT,
                        "received_timestamp": TIME,
                    }
                )
            ),
        }
    ),
    "Evidence": answer_object(
        {
            "evidence": array(
                answer_object(
                    {
                        "session_id": HASH,
                        "kind": choice(*EvidenceKind.values),
                        "meaning": TEXT,
                        "sender": COUNT,
                        "round": COUNT,
                        "first": TEXT,
                        "second": TEXT,
                        "reporter": nullable(NODE_ID),
                        "received_timestamp": TIME,
                    }
                )
            )
        }
    ),
    "RequestPage": answer_object(
        {
            "data": array(ref("TSSRequest")),
            "pagination": answer_object({"before": TEXT, "after": TEXT}),
        }
    ),
}
