"""Envelopes: attacks of docs/attacks.md that hold for the format itself (R22)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.builders import card, signing_key
from wire.envelope import ABORT, MAX_BODY, ROUND_MESSAGE, Envelope, EnvelopeError

KEY = card("alice").signing_key


def sealed(**changes: Any) -> Envelope:
    fields: dict[str, Any] = {
        "type": ROUND_MESSAGE,
        "session_id": bytes(range(32)),
        "protocol": "keygen/1",
        "round": 1,
        "sender": 1,
        "recipient": 0,
        "body": b"message",
    }
    key = signing_key("alice")
    return Envelope.seal(lambda message: key.sign(message).signature, **(fields | changes))


def test_round_trip() -> None:
    assert Envelope.parse(sealed().encode()) == sealed()
    assert sealed().verify(KEY)


def test_1_wrong_signature() -> None:
    assert not replace(sealed(), signature=bytes(64)).verify(KEY)
    assert not sealed().verify(card("bob").signing_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": ABORT},
        {"session_id": bytes(32)},
        {"protocol": "reshare/1"},
        {"round": 2},
        {"sender": 2},
        {"recipient": 3},
        {"body": b"other"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_3_each_header_field_is_signed(changes: dict[str, Any]) -> None:
    changed = replace(sealed(), **changes)
    assert Envelope.parse(changed.encode()) == changed
    assert not changed.verify(KEY)


@pytest.mark.parametrize("cut", [1, 64, 65, 80])
def test_5_truncated(cut: int) -> None:
    with pytest.raises(EnvelopeError):
        Envelope.parse(sealed().encode()[:-cut])


def test_5_extended() -> None:
    with pytest.raises(EnvelopeError):
        Envelope.parse(sealed().encode() + b"\x00")


def test_8_nobody_writes_to_itself() -> None:
    with pytest.raises(EnvelopeError):
        Envelope.parse(replace(sealed(), recipient=1).encode())


def test_14_oversize() -> None:
    with pytest.raises(EnvelopeError, match="at most"):
        sealed(body=bytes(MAX_BODY + 1))
    with pytest.raises(EnvelopeError, match="at most"):
        Envelope.parse(bytes(100_000_000))
    assert Envelope.parse(sealed(body=bytes(MAX_BODY)).encode()).body == bytes(MAX_BODY)


@pytest.mark.parametrize(("position", "value", "code"), [(0, 2, "unknown_version"), (1, 9, "unknown_type")])
def test_15_unknown_version_or_type(position: int, value: int, code: str) -> None:
    data = bytearray(sealed().encode())
    data[position] = value
    with pytest.raises(EnvelopeError) as caught:
        Envelope.parse(bytes(data))
    assert caught.value.code == code


@given(st.binary(max_size=400))
def test_n06_random_bytes_never_crash_the_parser(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        Envelope.parse(data)


@given(st.integers(0, 179), st.integers(1, 255))
def test_n06_one_flipped_byte_is_never_accepted(position: int, flip: int) -> None:
    data = bytearray(sealed().encode())
    data[position % len(data)] ^= flip
    try:
        envelope = Envelope.parse(bytes(data))
    except EnvelopeError:
        return
    assert not envelope.verify(KEY)
