"""What an approver should know beside the intent: notes that fixed rules make of rows."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from tss.models import TssRequest, Voter
from vaults.models import NodeKind
from vaults.representation import online

NEW_NODE = timedelta(hours=24)


def risks(request: TssRequest, minimum_software: str) -> tuple[str, ...]:
    """The notes of a request; reads `voters` with their nodes."""
    voters = [voter for voter in request.voters.all() if voter.source or voter.target]
    return (*_of_nodes(voters, minimum_software), *_of_the_requester(request, voters))


def _of_nodes(voters: list[Voter], minimum_software: str) -> Iterator[str]:
    since = timezone.now() - NEW_NODE
    if new := [each.name for each in voters if each.node.enrolled_at > since]:
        yield f"Enrolled less than 24 hours ago: {_list(new)}. Compare fingerprints in person."
    if away := [each.name for each in voters if not online(each.node)]:
        seconds = settings.QUORATE["NODE_ONLINE_S"]
        yield f"Not heard of for {seconds} seconds: {_list(away)}."
    versions = {each.node.software or "unknown" for each in voters}
    if len(versions) > 1:
        yield f"The nodes run different software: {_list(sorted(versions))}."
    if services := [each.name for each in voters if each.node.kind == NodeKind.SERVICE]:
        yield f"Run by the service itself, and so one party with this site: {_list(services)} (R1)."
    yield f"Software {minimum_software} or newer is needed. How old the holders' backups are, only they know."


def _of_the_requester(request: TssRequest, voters: list[Voter]) -> Iterator[str]:
    member = request.requester_member_id
    if own := [each.name for each in voters if member and each.node.owner_id == member]:
        yield f"The requester owns the node of {_list(own)}: among t of n its vote does not count (R14)."


def _list(names: list[str]) -> str:
    return ", ".join(names)
