"""How a request stands on this node, in words for its operator: command line and page show the same."""

from signers.describe import describe, utc
from signers.errors import plain
from signers.requests import ASK, NOTICE, REFUSED, RequestRecord
from signers.store import Store
from wire.canonical import CanonicalError
from wire.fields import WireError


def in_words(store: Store, record: RequestRecord) -> str:
    """What the request would do, recomputed from its own text, and what a passkey of this holder said."""
    pins, card = {each.node_id: each for each in store.pins.all()}, store.card()
    try:
        words = describe(record.documents(), pins, card.node_id)
    except (CanonicalError, WireError):
        return plain(f"This request cannot be read: {record.code}: {record.message}")
    return "\n".join([words, *_passkey(store, record)])


def waits(store: Store, record: RequestRecord) -> bool:
    """Whether the operator is to decide."""
    own = store.requests.own_decision(record.digest, store.card().node_id)
    return record.verdict == ASK and own is None


def status(store: Store, record: RequestRecord) -> str:
    if record.result:
        return record.result
    own = store.requests.own_decision(record.digest, store.card().node_id)
    if record.verdict == REFUSED:
        return f"refused: {record.code}: {record.message}"
    if record.verdict == NOTICE:
        return "you are only told: it goes on without this holder"
    if own is not None:
        return f"you said {own.decision}; {record.state}"
    return "waits for you" if waits(store, record) else record.state


def _passkey(store: Store, record: RequestRecord) -> list[str]:
    card = store.card()
    kept = store.passkeys.of(record.digest, card.node_id)
    if kept is not None and kept.code:
        said = f"a vote that does not count: {kept.code}"
    elif kept is not None:
        said = f"said {kept.vote.decision} at {utc(kept.vote.time)}"
    elif card.needs_passkey:
        said = "has not voted yet, and this holder's vote needs it"
    else:
        return []
    return [plain(f"{'passkey':<13}{said}")]
