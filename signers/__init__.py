"""The signer node: a program that a holder runs on its own machine.

It keeps an identity and key shares, checks every request for itself and talks outbound only. Imports `mpc`
and `wire`, never the coordinator. Only `signers.tasks` knows Celery (for the service's own signer).
"""

__version__ = "0.1.0"
