"""What a node checks for itself before it approves and before its first protocol message (docs/protocol.md,
section 7).

Each check has a refusal code of its own. Nothing that the coordinator says is believed: keys come from pins
and certificates, these from the anchor, the digest from the text itself, approvals from their signatures,
time from the node's clock.
"""

from signers.checks.judge import CheckedRequest, Checks

__all__ = ["CheckedRequest", "Checks"]
