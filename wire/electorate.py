"""Who must approve a request: counted by the coordinator, and by every node again (R9, R12, R21).

KeyGen: every target holder. KeyGenFromKeyGroup, Recovery, Reshare: enough source holders and every target
holder. Refresh: every member. RoleChange: enough holders of the Main group and of the promoted group.
PolicyChange: enough holders of the Main group.
"""

from collections.abc import Collection
from dataclasses import dataclass

from wire.intent import KEY_GEN, POLICY_CHANGE, REFRESH, ROLE_CHANGE, Intent
from wire.manifest import Manifest
from wire.policy import VaultPolicy

SOURCE, TARGET = "source", "target"


@dataclass(frozen=True)
class Vote:
    """One vote that must be won: `needed` of `node_ids` approve. side: SOURCE or TARGET."""

    side: str
    node_ids: tuple[str, ...]
    needed: int

    @property
    def unanimous(self) -> bool:
        return self.needed == len(self.node_ids)

    def counted(self, approved: Collection[str]) -> tuple[str, ...]:
        return tuple(node_id for node_id in self.node_ids if node_id in approved)

    def won(self, approved: Collection[str]) -> bool:
        return len(self.counted(approved)) >= self.needed


def votes(intent: Intent, manifest: Manifest, policy: VaultPolicy) -> tuple[Vote, ...]:
    """All votes of a request; manifest: the target group's."""
    everyone = Vote(TARGET, manifest.node_ids, manifest.participants)
    if intent.source is None or intent.type in (KEY_GEN, REFRESH):
        return (everyone,)
    # Never fewer than the protocol needs, whatever a policy says.
    source = Vote(SOURCE, intent.eligible, max(intent.source.threshold, policy.required_approvals))
    if intent.type == POLICY_CHANGE:
        return (source,)
    if intent.type == ROLE_CHANGE:
        return (source, Vote(TARGET, manifest.node_ids, manifest.threshold))  # R16
    return (source, everyone)


def voters(all_votes: tuple[Vote, ...]) -> tuple[str, ...]:
    """Everybody who has a vote, each once, source holders first."""
    return tuple(dict.fromkeys(node_id for vote in all_votes for node_id in vote.node_ids))
