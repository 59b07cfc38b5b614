"""The signed documents of a request, parsed: every reader sees the bytes that the nodes see.

Parsing verifies each holder card, so the results are kept; the texts are immutable once a request is made.
"""

from collections.abc import Iterable
from functools import lru_cache

from mpc.certificate import Certificate, Statement
from mpc.session import SessionContext
from tss.models import Ceremony, ShareSet, TssRequest
from wire import session
from wire.ballot import holder_cards
from wire.electorate import Vote, votes
from wire.fields import WireError
from wire.identity import HolderCard
from wire.intent import Intent
from wire.manifest import Manifest
from wire.policy import VaultPolicy


@lru_cache(maxsize=512)
def manifest_of(text: str) -> Manifest:
    """Parse a canonical manifest. Raises CanonicalError or WireError."""
    return Manifest.parse(text.encode())


@lru_cache(maxsize=512)
def intent_of(text: str) -> Intent:
    """Parse a canonical intent. Raises CanonicalError or WireError."""
    return Intent.parse(text.encode())


@lru_cache(maxsize=512)
def policy_of(text: str) -> VaultPolicy:
    """Parse a canonical policy. Raises CanonicalError or WireError."""
    return VaultPolicy.parse(text.encode())


def votes_of(request: TssRequest) -> tuple[Vote, ...]:
    """Who must approve the request. Raises CanonicalError or WireError."""
    return votes(intent_of(request.intent), manifest_of(request.manifest), policy_of(request.policy))


def cards_of(request: TssRequest) -> dict[str, HolderCard]:
    """Node id -> card of everybody who may decide. Raises CanonicalError or WireError."""
    source = manifest_of(request.source_manifest) if request.source_manifest else None
    return holder_cards(manifest_of(request.manifest), source)


def context_of(ceremony: Ceremony) -> SessionContext:
    """The context of a ceremony, from the rows alone: a restarted worker derives the same one (R20).

    Raises CanonicalError, WireError or InvalidParameters for rows that somebody spoilt.
    """
    return session_context(ceremony.request, ceremony.attempt, tuple(ceremony.dealers))


def session_context(request: TssRequest, attempt: int, dealers: tuple[str, ...]) -> SessionContext:
    """The context that an attempt with these dealers (node ids) has. Raises as `context_of`."""
    return _context(request.intent, request.manifest, request.source_manifest, attempt, dealers)


def source_statement(ceremony: Ceremony) -> Statement | None:
    """What the source set's certificate says, None for KeyGen. Raises as `source_certificate`."""
    certificate = source_certificate(ceremony.request)
    return certificate.statement if certificate else None


def source_certificate(request: TssRequest) -> Certificate | None:
    """The certificate of the set that deals, None for KeyGen.

    Raises ShareSet.DoesNotExist; WireError or EncodingError for a row that somebody spoilt.
    """
    intent = intent_of(request.intent)
    return stored_certificate(intent.source.certificate_hash.hex()) if intent.source else None


@lru_cache(maxsize=512)
def stored_certificate(certificate_hash: str) -> Certificate:
    """A certificate by its hash (hex); the hash says what is in it, so it may be kept. Raises as above."""
    encoded = ShareSet.objects.values_list("certificate", flat=True).get(certificate_hash=certificate_hash)
    certificate = Certificate.parse(bytes(encoded))
    if certificate.hash().hex() != certificate_hash:
        raise WireError("certificate", "is not the one with this hash")
    return certificate


def names_of(ceremony: Ceremony) -> dict[int, str]:
    """What people call the participants, by index."""
    return dict(ceremony.members.values_list("index", "name"))


def node_ids(ceremony: Ceremony, indices: Iterable[int]) -> list[str]:
    """The node ids behind 1-based indices of a ceremony."""
    wanted = sorted(indices)
    if not wanted:
        return []
    rows = ceremony.members.filter(index__in=wanted).order_by("index")
    return list(rows.values_list("node_id", flat=True))


@lru_cache(maxsize=512)
def _context(
    intent: str, manifest: str, source_manifest: str, attempt: int, dealers: tuple[str, ...]
) -> SessionContext:
    source = manifest_of(source_manifest) if source_manifest else None
    return session.session_context(intent_of(intent), manifest_of(manifest), source, attempt, dealers)
