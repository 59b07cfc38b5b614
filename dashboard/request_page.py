"""Everything that the page of one request shows."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashboard import answers, ceremony, fingerprints, passkeys, pictures, risks, selectors, sentences
from dashboard.text import neutral
from dashboard.viewers import Viewer
from tss.dossier import evidence, names_by_node
from tss.explain import explain
from tss.models import OPEN_STATES, Ceremony, Decision, SignedBy, State, TssRequest, Voter
from tss.representation import readable_tallies
from tss.timeline import timeline
from tss.votes import Tally, decisions_of
from vaults.models import ApiKey
from wire.canonical import CanonicalError
from wire.electorate import SOURCE
from wire.fields import WireError

_EXPIRY = {
    State.AWAITING_APPROVAL: "Then it expires: nothing happens, and a new request is needed.",
    State.APPROVED: "If it has not started by then it expires and nothing happens.",
    State.RUNNING: "It has started, so it no longer expires; the ceremony has its own deadline.",
}


@dataclass(frozen=True)
class Signature:
    """What a holder signed. key: node or passkey."""

    decision: str
    key: str
    reason: str
    time: datetime


@dataclass(frozen=True)
class Ballot:
    """One holder in one vote. decision: "" while it is open, also where a signature is still lacking; counts:
    whether its approval would count."""

    name: str
    node_id: str
    decision: str
    signatures: tuple[Signature, ...]
    counts: bool
    mine: bool


@dataclass(frozen=True)
class Meter:
    """One vote. side: source or target."""

    side: str
    have: int
    need: int
    ballots: tuple[Ballot, ...]

    @property
    def title(self) -> str:
        return "Holders who give" if self.side == SOURCE else "Holders who receive or keep"


def live_context(viewer: Viewer, request: TssRequest) -> dict[str, Any]:
    """What changes while somebody looks."""
    explanation = explain(request)
    names = names_by_node(request)
    ceremonies = list(request.ceremonies.order_by("-attempt"))
    return {
        "tss_request": request,
        "explanation": explanation,
        "answer": answers.answer(request, explanation),
        "meters": meters(viewer, request),
        "expiry": _EXPIRY.get(State(request.state), ""),
        "is_open": request.state in OPEN_STATES,
        "progress": ceremony.progress(ceremonies[0]) if ceremonies else None,
        "timeline": [_entry(entry, names) for entry in timeline(request)["entries"]],
        "evidence": evidence(request)["evidence"],
    }


def context(viewer: Viewer, request: TssRequest) -> dict[str, Any]:
    """The whole page; `damage` says why the documents cannot be shown, and then nothing can be approved."""
    try:
        meaning, damage = sentences.meaning(request), ""
    except (CanonicalError, WireError) as error:
        meaning, damage = None, str(error)
    mine = selectors.own_open_votes(viewer, request)
    awaiting = request.state == State.AWAITING_APPROVAL
    return {
        **live_context(viewer, request),
        **(_fingerprint(meaning.digest) if meaning else {}),
        "meaning": meaning,
        "damage": damage,
        "members": _members(request, meaning) if meaning else (),
        "vault_name": request.vault.name,
        "note": request.description,
        "note_warnings": neutral(request.description).warnings,
        "asked": _asked(request, meaning),
        "risks": risks.risks(request, meaning.intent.min_software) if meaning else (),
        "mine": mine,
        "can_decide": awaiting and bool(mine) and not damage,
        "passkey": passkeys.vote_on(request) if awaiting and mine and not damage else None,
        "receipt": passkeys.receipt_of(request) if _voted_by_passkey(viewer, request) else "",
        "machine": pictures.state_machine(request.state),
    }


def _voted_by_passkey(viewer: Viewer, request: TssRequest) -> bool:
    mine = {voter.node_id for voter in request.voters.all() if viewer.owns(voter.node)}
    return any(row.kind == SignedBy.PASSKEY and row.node_id in mine for row in request.approvals.all())


def live_ceremony_context(request: TssRequest) -> dict[str, Any]:
    """The attempts of a request, the newest first, each with its picture."""
    rows = Ceremony.objects.filter(request=request).order_by("-attempt")
    attempts = [ceremony.progress(row) for row in rows]
    explanation = explain(request)
    return {
        "tss_request": request,
        "explanation": explanation,
        "answer": answers.answer(request, explanation),
        "is_open": request.state in OPEN_STATES,
        "attempts": [(each, pictures.swim_lanes(each)) for each in attempts],
        "say": attempts[0].summary if attempts and attempts[0].running else explanation["summary"],
    }


def meters(viewer: Viewer, request: TssRequest) -> tuple[Meter, ...]:
    """How each vote stands; reads `voters` with owners and `approvals`."""
    decisions = decisions_of(request)
    signatures: dict[str, list[Signature]] = {}
    for row in sorted(request.approvals.all(), key=lambda row: row.received_at):
        signature = Signature(row.decision, row.kind, row.reason, row.received_at)
        signatures.setdefault(row.node_id, []).append(signature)
    voters = {voter.node_id: voter for voter in request.voters.all()}
    mine = {node_id for node_id, voter in voters.items() if viewer.owns(voter.node)}

    def ballot(node_id: str, tally: Tally) -> Ballot:
        decision = decisions.get(node_id, "")
        return Ballot(
            voters[node_id].name if node_id in voters else node_id,
            node_id,
            decision,
            tuple(signatures.get(node_id, ())),
            node_id in tally.counting or decision in (Decision.REJECT, Decision.WITHDRAW),
            node_id in mine,
        )

    return tuple(
        Meter(
            tally.vote.side,
            len(tally.received),
            tally.vote.needed,
            tuple(ballot(node_id, tally) for node_id in tally.vote.node_ids),
        )
        for tally in readable_tallies(request, decisions)
    )


@dataclass(frozen=True)
class NamedMember(sentences.MemberChange):
    """A member with what this site calls it, which the intent does not say."""

    name: str


def _members(request: TssRequest, meaning: sentences.Meaning) -> tuple[NamedMember, ...]:
    names = {voter.node_id: _name(voter) for voter in request.voters.all()}
    return tuple(
        NamedMember(each.node_id, each.words, each.service, each.fate, names.get(each.node_id, ""))
        for each in meaning.members
    )


def _name(voter: Voter) -> str:
    """The holder's name; the node's too where that has another, as after a replacement."""
    return voter.name if voter.name == voter.node.name else f"{voter.name} (node {voter.node.name})"


def _fingerprint(digest: str) -> dict[str, Any]:
    return {
        "digest": digest,
        "digest_groups": fingerprints.groups(digest),
        "digest_words": fingerprints.words(bytes.fromhex(digest)).split(),
        "digest_qr": fingerprints.qr(digest, "QR code of the digest"),
    }


def _asked(request: TssRequest, meaning: sentences.Meaning | None) -> dict[str, Any]:
    """Who asked, by the intent: a member or a robot of the organisation, and the key that signed."""
    if meaning is None:
        return {}
    requester = meaning.intent.requester
    key = ApiKey.objects.filter(public_key=requester.api_key).first() if requester.api_key else None
    member = request.requester_member
    return {
        "kind": requester.kind,
        "id": requester.id,
        "name": member.name if member else "",
        "api_key": requester.api_key,
        "key_name": key.name if key else "",
        "key_revoked_at": key.revoked_at if key else None,
    }


def _entry(entry: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """A line of the timeline for people."""
    detail = entry.get("detail", {})
    words = [f"from {detail['from']}"] if detail.get("from") else []
    words += [str(detail[name]) for name in ("ended", "reason") if detail.get(name)]
    if "round" in detail and entry["kind"] == "round_complete":
        words.append(f"round {detail['round']}")
    if "attempt" in detail:
        words.append(f"attempt {detail['attempt']}")
    if blamed := detail.get("blamed_node_ids"):
        words.append("blamed " + ", ".join(names.get(each, each) for each in blamed))
    return {
        "time": datetime.fromtimestamp(entry["time"] / 1000, tz=UTC),
        "what": entry["kind"].replace("_", " "),
        "state": entry.get("state", ""),
        "who": entry.get("name") or entry.get("actor", ""),
        "words": ", ".join(words),
    }
