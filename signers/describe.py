"""An intent in words, recomputed by this node from the intent's own text (R10)."""

from datetime import UTC, datetime

from mnemonic import Mnemonic

from signers.errors import plain
from signers.pins import Pin
from wire.intent import KeyGenIntent
from wire.manifest import Manifest


def digest_words(digest: bytes) -> str:
    """Twelve words for the first 128 bits of a digest, to compare with other holders."""
    return Mnemonic("english").to_mnemonic(digest[:16])


def describe(intent: KeyGenIntent, manifest: Manifest, pins: dict[str, Pin], own_id: str) -> str:
    """What the request would do, for the person who decides."""
    target = intent.target
    beside_service = max(0, target.threshold - manifest.service_members())
    curves = " and ".join(intent.curves)
    lines = [
        f"{intent.type}: make a new root key ({curves}) for the {target.role} group.",
        f"Any {target.threshold} of its {target.participants} holders can use it.",
        f"Holders needed beside the service: {beside_service}.",  # R1
        "",
        *_row("request", intent.request_id),
        *_row("organisation", intent.organisation_id),
        *_row("vault", intent.vault_id),
        *_row("group", f"{target.group_id}, epoch {target.epoch}"),
        *_row("protocol", f"{intent.protocol}, software {intent.min_software} or newer"),
        *_row("asked by", f"{intent.requester.kind} {plain(intent.requester.id)}"),
        *_row("says", plain(intent.description) or "(nothing)"),
        *_row("valid", f"{_time(intent.not_before)} to {_time(intent.expires)}"),
        "",
        "Holders:",
    ]
    for index, card in enumerate(manifest.holders, start=1):
        pin = pins.get(card.node_id)
        name = "this node" if card.node_id == own_id else plain(pin.label) if pin else "NOT PINNED"
        kind = ", run by the service" if card.kind == "service" else ""
        lines.append(f"  {index}. {card.node_id}  {name}{kind}")
    digest = intent.digest()
    lines += ["", *_row("digest", digest.hex()), *_row("words", digest_words(digest))]
    return "\n".join(lines)


def _row(name: str, value: str) -> list[str]:
    return [f"{name:<13}{value}"]


def _time(milliseconds: int) -> str:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"
