"""Quorate's multi-party protocols: pure, sans-I/O, no clock, no threads.

Imports only the standard library, coincurve (libsecp256k1) and PyNaCl (libsodium). Secret scalars are 32
bytes that these two libraries compute on; they never become Python integers. Python cannot wipe them from
memory: a limit, not an oversight.
"""
