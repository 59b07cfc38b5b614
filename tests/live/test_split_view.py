"""N02, N03: a participant that signs one thing for some and another for others, and a coordinator that helps.

Alice's key signs a second message for one slot; the network shows it to bob alone. The ceremony ends before
any harm, and both signed messages are shown on the request.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.live.secrets import unlocked
from tests.live.stack import Stack
from wire.envelope import Envelope

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

MAIN = ["alice", "bob", "carol"]
LAST = 3


@contextmanager
def second_message(stack: Stack, round_number: int) -> Iterator[list[bytes]]:
    """Replace alice's message of a round on its way to bob; yields what was put in its place."""
    alice = unlocked(stack.nodes["alice"])
    put: list[bytes] = []

    def changed(encoded: str) -> str:
        envelope = Envelope.parse(base64.b64decode(encoded))
        if put:
            return base64.b64encode(put[0]).decode()
        if envelope.sender != 1:
            return encoded
        # Behind the echo, so that only the content differs.
        body = envelope.body[:40] + bytes([envelope.body[40] ^ 1]) + envelope.body[41:]
        forged = Envelope.seal(
            alice.identity.sign,
            type=envelope.type,
            session_id=envelope.session_id,
            protocol=envelope.protocol,
            round=envelope.round,
            sender=envelope.sender,
            recipient=envelope.recipient,
            body=body,
        )
        put.append(forged.encode())
        return base64.b64encode(put[0]).decode()

    def rewrite(path: str, data: bytes) -> bytes:
        answer = json.loads(data)
        for entry in answer.get("messages", []) if path == "/node/v1/sync" else []:
            if entry["round"] == round_number:
                entry["envelopes"] = [
                    changed(each) if Envelope.parse(base64.b64decode(each)).sender == 1 else each
                    for each in entry["envelopes"]
                ]
        return json.dumps(answer).encode()

    stack.proxies["bob"].rewrite = rewrite
    try:
        yield put
    finally:
        stack.proxies["bob"].rewrite = None
        alice.store.close()


def equivocation(stack: Stack, request_id: str) -> set[str]:
    """The two messages; who heard bob's echo may have reported a split view of the next round before."""
    shown: list[dict[str, Any]] = stack.api.get(f"/requests/{request_id}/evidence")["evidence"]
    pairs = [{each["first"], each["second"]} for each in shown if each["kind"] == "equivocation"]
    return pairs[0] if pairs else set()


@pytest.mark.parametrize("round_number", range(LAST + 1))
def test_n03_two_messages_for_one_slot(impatient_stack: Stack, round_number: int) -> None:
    stack = impatient_stack
    vault_id, main = stack.main_key(f"equivocation {round_number}", MAIN)
    with second_message(stack, round_number) as put:
        request_id = stack.native(vault_id, "Refresh", main)
        stack.wait_for(lambda: put, "the second message")
        pair = stack.wait_for(lambda: equivocation(stack, request_id), "the two messages on the request")
    assert base64.b64encode(put[0]).decode() in pair
    envelopes = [Envelope.parse(base64.b64decode(each)) for each in pair]
    assert len({envelope.slot for envelope in envelopes}) == 1
    assert len({envelope.body for envelope in envelopes}) == 2
    alice = json.loads(stack.nodes["alice"].call("info", "--json"))["card"]["signing_key"]
    assert all(envelope.verify(bytes.fromhex(alice)) for envelope in envelopes)
    # Harm is out of reach: the old epoch is the group's or the new one is, and every member agrees.
    request = stack.finished(vault_id, request_id)
    epoch = 2 if request["status"] == "Success" else 1
    stack.wait_for(
        lambda: all(stack.stored_epoch(name, main) == epoch for name in MAIN), f"all at epoch {epoch}"
    )
    assert "evidence" in str(stack.api.get(f"/requests/{request_id}/explain"))
