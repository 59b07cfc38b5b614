"""How a node signs its HTTP calls to the coordinator.

The signature only keeps strangers out of a node's inbox; nothing that matters rests on it, since approvals
and protocol messages carry signatures of their own.
"""

from collections.abc import Callable
from hashlib import sha256

from mpc.encoding import tagged_hash
from wire.signatures import verify_signature

NODE_HEADER = "X-Quorate-Node"
TIME_HEADER = "X-Quorate-Time"
SIGNATURE_HEADER = "X-Quorate-Signature"
MAX_SKEW_MS = 120_000
_TAG = "quorate/node-request/v1"


def sign_request(
    sign: Callable[[bytes], bytes], *, node_id: str, method: str, path: str, time: int, body: bytes
) -> dict[str, str]:
    """The headers that authenticate a call; `time` in Unix milliseconds, `path` without query."""
    signature = sign(_signed_bytes(node_id, method, path, time, body))
    return {NODE_HEADER: node_id, TIME_HEADER: str(time), SIGNATURE_HEADER: signature.hex()}


def verify_request(
    verify_key: bytes,
    *,
    node_id: str,
    method: str,
    path: str,
    time: int,
    body: bytes,
    signature: bytes,
    now: int,
) -> bool:
    """Whether the call is the node's and its time is within MAX_SKEW_MS of `now`."""
    if abs(now - time) > MAX_SKEW_MS:
        return False
    return verify_signature(verify_key, _signed_bytes(node_id, method, path, time, body), signature)


def _signed_bytes(node_id: str, method: str, path: str, time: int, body: bytes) -> bytes:
    fields = (
        node_id.encode(),
        method.encode(),
        path.encode(),
        time.to_bytes(8, "big"),
        sha256(body).digest(),
    )
    return tagged_hash(_TAG, *fields)
