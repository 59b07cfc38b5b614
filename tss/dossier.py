"""What people and machines check a request by, away from here: documents, decisions, certificates."""

import json
from typing import Any

from tss.documents import intent_of
from tss.models import Evidence, Refusal, ShareSet, TssRequest
from tss.proofs import certificates, to_base64
from tss.representation import milliseconds, represent


def intent(request: TssRequest) -> dict[str, Any]:
    """All that the stand-alone verifier needs beside an anchor that somebody pinned (R3).

    certificate: base64 of the final certificate, "" where there is none; certificates: of the sets that the
    intent names and of all before them, the KeyGen's first.
    """
    own = ShareSet.objects.filter(ceremony__request=request).values_list("certificate", flat=True).first()
    chain = certificates(request, [intent_of(request.intent)])
    return {
        "intent": json.loads(request.intent),
        "canonical": request.intent,
        "digest": request.digest,
        "manifest": request.manifest,
        "source_manifest": request.source_manifest,
        "policy": request.policy,
        "new_policy": request.new_policy,
        "approvals": [row.signed for row in _decisions(request)],
        "certificate": to_base64(bytes(own)) if own else "",
        "certificates": [to_base64(certificate) for certificate in chain],
    }


def approvals(request: TssRequest) -> dict[str, Any]:
    """Who decided what, with the signed bytes; who would not take part, in its own words."""
    names = names_by_node(request)
    return {
        "digest": request.digest,
        **represent(request)["approvals"],
        "decisions": [
            {
                "name": names.get(row.node_id, ""),
                "tss_node_id": row.node_id,
                "kind": row.kind,
                "decision": row.decision,
                "reason": row.reason,
                "received_timestamp": milliseconds(row.received_at),
                "signed": row.signed,
            }
            for row in _decisions(request)
        ],
        "refusals": [
            {
                "name": names.get(row.node_id, ""),
                "tss_node_id": row.node_id,
                "code": row.code,
                "message": row.message,
                "received_timestamp": milliseconds(row.received_at),
            }
            for row in Refusal.objects.filter(request=request).order_by("received_at", "pk")
        ],
    }


def evidence(request: TssRequest) -> dict[str, Any]:
    """The kept pairs of envelopes, base64: whoever has the roster can verify them (R22)."""
    rows = Evidence.objects.filter(ceremony__request=request).order_by("received_at", "pk")
    return {
        "evidence": [
            {
                "session_id": row.ceremony_id,
                "kind": row.kind,
                "meaning": row.get_kind_display(),
                "sender": row.sender,
                "round": row.round,
                "first": to_base64(bytes(row.first)),
                "second": to_base64(bytes(row.second)),
                "reporter": row.reporter_id,
                "received_timestamp": milliseconds(row.received_at),
            }
            for row in rows
        ]
    }


def names_by_node(request: TssRequest) -> dict[str, str]:
    """What people call the holders that the request is shown to."""
    return {voter.node_id: voter.name for voter in request.voters.all()}


def _decisions(request: TssRequest) -> list[Any]:
    return sorted(request.approvals.all(), key=lambda row: (row.received_at, row.pk))
