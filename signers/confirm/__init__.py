"""The operator's confirmation page: the node's own, on this machine only, beside the command line (R10)."""

from signers.confirm.server import serve

__all__ = ["serve"]
