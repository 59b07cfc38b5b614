"""The signed documents of a request, parsed: every reader sees the bytes that the nodes see.

Parsing verifies each holder card, so the results are kept; the texts are immutable once a request is made.
"""

from functools import lru_cache

from mpc.session import SessionContext
from tss.models import Ceremony, TssRequest
from wire.identity import HolderCard
from wire.intent import KeyGenIntent
from wire.manifest import Manifest
from wire.session import key_gen_context


@lru_cache(maxsize=512)
def manifest_of(text: str) -> Manifest:
    """Parse a canonical manifest. Raises CanonicalError or WireError."""
    return Manifest.parse(text.encode())


@lru_cache(maxsize=512)
def intent_of(text: str) -> KeyGenIntent:
    """Parse a canonical intent. Raises CanonicalError or WireError."""
    return KeyGenIntent.parse(text.encode())


def context_of(request: TssRequest, attempt: int) -> SessionContext:
    """The context of an attempt, from the rows alone: a restarted worker derives the same one (R20)."""
    return key_gen_context(intent_of(request.intent), manifest_of(request.manifest), attempt)


def card_of(manifest: Manifest, index: int) -> HolderCard:
    """The holder card at a 1-based index."""
    return manifest.holders[index - 1]


def holder_names(request: TssRequest) -> dict[int, str]:
    """What people call the holders of the target group, by index."""
    return dict(request.target_group.holders.values_list("index", "name"))


def node_ids(ceremony: Ceremony, indices: list[int]) -> list[str]:
    """The node ids behind 1-based indices of a ceremony."""
    if not indices:
        return []
    manifest = manifest_of(ceremony.request.manifest)
    return [card_of(manifest, index).node_id for index in indices]
