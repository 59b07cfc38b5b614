"""The command line of the node's operator."""

from signers.cli.commands import main

__all__ = ["main"]
