"""What coordinator and signer nodes must agree on, byte for byte.

Holder cards, manifests, intents, approvals, envelopes and the node API's request signature. Both sides import
this package; it imports only `mpc.encoding` and libraries, keeps no state and does no I/O. docs/protocol.md
is its specification in prose.
"""
