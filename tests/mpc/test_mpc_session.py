"""The session context refuses every roster that is not plain, and its id changes with every field."""

from dataclasses import fields, replace
from typing import Any

import pytest

from mpc.encoding import parse_record
from mpc.errors import EncodingError, InvalidParameters
from mpc.session import (
    KEYGEN,
    MAX_CONTEXT_BYTES,
    MAX_PARTICIPANTS,
    RESHARE,
    Dealer,
    Participant,
    SessionContext,
    read_context,
)
from tests.mpc.ceremony import make_context, roster

CONTEXT = make_context(2, 3)
# Nodes 2 and 4 hold shares 1 and 3 of a source set; 4 is no holder of the new one.
RESHARING = replace(
    CONTEXT,
    protocol=RESHARE,
    previous_certificate_hash=bytes(32),
    participants=roster(4),
    dealers=(Dealer(2, 1), Dealer(4, 3)),
    pure_dealers=1,
)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

CHANGES: dict[str, Any] = {
    "domain": "wallet",
    "protocol": "keygen/2",
    "digest": bytes(32),
    "attempt": 2,
    "role": "recovery",
    "epoch": 2,
    "manifest_hash": bytes(32),
    "threshold": 3,
    "participants": roster(4),
    "curves": ("ed25519",),
}

RESHARE_CHANGES: dict[str, Any] = {
    "previous_certificate_hash": bytes(range(32)),
    "dealers": (Dealer(2, 1), Dealer(4, 2)),
    "pure_dealers": 0,
}


def test_every_field_but_the_local_policy_is_changed_below() -> None:
    assert {each.name for each in fields(SessionContext)} == {*CHANGES, *RESHARE_CHANGES, "allow_single"}


@pytest.mark.parametrize("field", CHANGES)
def test_7_the_session_id_changes_with_every_field(field: str) -> None:
    assert replace(CONTEXT, **{field: CHANGES[field]}).session_id() != CONTEXT.session_id()


@pytest.mark.parametrize("field", RESHARE_CHANGES)
def test_7_the_session_id_of_a_reshare_covers_its_source_and_its_dealers(field: str) -> None:
    changed = replace(RESHARING, **{field: RESHARE_CHANGES[field]})
    assert changed.session_id() != RESHARING.session_id()


def test_12_the_session_id_changes_with_a_node_key_or_a_node_id() -> None:
    one, two, three = roster(3)
    for changed in (replace(two, verify_key=bytes(32)), replace(two, node_id="other")):
        assert replace(CONTEXT, participants=(one, changed, three)).session_id() != CONTEXT.session_id()
    swapped = (
        one,
        Participant(2, three.node_id, three.verify_key),
        Participant(3, two.node_id, two.verify_key),
    )
    assert replace(CONTEXT, participants=swapped).session_id() != CONTEXT.session_id()


def test_the_encoding_reads_back() -> None:
    for context in (CONTEXT, RESHARING, replace(RESHARING, curves=("secp256k1",))):
        assert parse_record(context.encode(), MAX_CONTEXT_BYTES, read_context) == context


def test_truncated_and_extended_encodings_are_refused() -> None:
    for data in (CONTEXT.encode(), RESHARING.encode()):
        for wrong in (*(data[:size] for size in range(len(data))), data + b"\x00", b"\x02" + data[1:]):
            with pytest.raises(EncodingError):
                parse_record(wrong, MAX_CONTEXT_BYTES, read_context)


def test_receivers_come_first_and_their_index_is_their_shares() -> None:
    assert (RESHARING.size, RESHARING.receivers) == (4, 3)
    assert list(RESHARING.receiver_indices) == [1, 2, 3]
    assert RESHARING.dealer_indices == (2, 4)
    assert (RESHARING.other_dealers(2), RESHARING.other_dealers(1)) == ((4,), (2, 4))
    assert (RESHARING.other_receivers(2), RESHARING.other_receivers(4)) == ((1, 3), (1, 2, 3))
    assert CONTEXT.dealer_indices == tuple(CONTEXT.receiver_indices) == (1, 2, 3)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("dealers", {"dealers": ()}),
        ("dealers", {"protocol": KEYGEN}),
        ("dealers", {"dealers": [Dealer(2, 1), Dealer(4, 3)]}),
        ("dealers", {"dealers": ((2, 1), (4, 3))}),
        ("previous_certificate_hash", {"previous_certificate_hash": b""}),
        ("dealers.source_index", {"dealers": (Dealer(2, 3), Dealer(4, 1))}),
        ("dealers.source_index", {"dealers": (Dealer(2, 3), Dealer(4, 3))}),
        ("dealers.index", {"dealers": (Dealer(4, 1), Dealer(4, 3))}),
        ("dealers.index", {"dealers": (Dealer(4, 1), Dealer(5, 3))}),
        ("pure_dealers", {"dealers": (Dealer(1, 1), Dealer(2, 3))}),
        ("pure_dealers", {"pure_dealers": 2}),
        ("pure_dealers", {"pure_dealers": -1}),
        ("pure_dealers", {"pure_dealers": 4}),
        ("pure_dealers", {"pure_dealers": True}),
        ("threshold", {"threshold": 4}),
        ("threshold", {"threshold": 1}),
    ],
)
def test_34_a_reshare_has_distinct_dealers_and_who_only_deals_holds_nothing(
    field: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameters, match=field):
        replace(RESHARING, **changes)


def test_only_a_reshare_has_dealers_or_a_source() -> None:
    for changes in (
        {"dealers": (Dealer(1, 1),)},
        {"previous_certificate_hash": bytes(32)},
        {"pure_dealers": 1},
        {"protocol": RESHARE},
    ):
        with pytest.raises(InvalidParameters):
            replace(CONTEXT, **changes)


@pytest.mark.parametrize("index", [0, -1, 101, ORDER, ORDER + 1, 2**16, 1.0, "1", True])
def test_n10_a_dealers_indices_are_small_positive_integers(index: Any) -> None:
    for indices in ((index, 1), (1, index)):
        with pytest.raises(InvalidParameters, match="dealers"):
            Dealer(*indices)


@pytest.mark.parametrize("threshold", [0, -1, 1, 4, 2**31, 2**256, "2", 2.0, True, None])
def test_26_thresholds_below_two_or_above_n_are_refused(threshold: Any) -> None:
    with pytest.raises(InvalidParameters, match="threshold"):
        replace(CONTEXT, threshold=threshold)


def test_26_threshold_one_needs_an_explicit_choice_that_no_peer_makes() -> None:
    allowed = replace(CONTEXT, threshold=1, allow_single=True)
    assert allowed.threshold == 1
    with pytest.raises(InvalidParameters, match="threshold"):
        replace(CONTEXT, threshold=0, allow_single=True)
    assert replace(CONTEXT, allow_single=True).session_id() == CONTEXT.session_id()


def test_26_the_number_of_participants_is_bounded() -> None:
    largest = make_context(2, MAX_PARTICIPANTS)
    assert len(largest.encode()) <= MAX_CONTEXT_BYTES
    with pytest.raises(InvalidParameters, match="participants"):
        replace(CONTEXT, participants=())
    with pytest.raises(InvalidParameters, match="participants"):
        replace(CONTEXT, participants=(*roster(MAX_PARTICIPANTS), roster(1)[0]))


@pytest.mark.parametrize("index", [0, -1, 101, ORDER, ORDER + 1, 2**16, 1.0, "1", True])
def test_27_an_index_is_a_small_positive_integer(index: Any) -> None:
    with pytest.raises(InvalidParameters, match="index"):
        Participant(index, "node", bytes(32))


@pytest.mark.parametrize("indices", [(1, 1, 2), (1, 2, 4), (2, 3, 4), (3, 2, 1)])
def test_27_indices_are_exactly_one_to_n(indices: tuple[int, ...]) -> None:
    members = tuple(replace(member, index=index) for member, index in zip(roster(3), indices, strict=True))
    with pytest.raises(InvalidParameters, match="index"):
        replace(CONTEXT, participants=members)


@pytest.mark.parametrize("field", ["node_id", "verify_key"])
def test_27_a_node_stands_in_the_roster_once(field: str) -> None:
    one, two, three = roster(3)
    double = replace(two, **{field: getattr(one, field)})
    with pytest.raises(InvalidParameters, match=field):
        replace(CONTEXT, participants=(one, double, three))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("domain", ""),
        ("domain", "x" * 65),
        ("domain", "väult"),
        ("role", "a\nb"),
        ("protocol", 1),
        ("digest", bytes(31)),
        ("digest", "00" * 32),
        ("attempt", 0),
        ("attempt", True),
        ("epoch", -1),
        ("epoch", 2**32),
        ("manifest_hash", b""),
        ("previous_certificate_hash", bytes(31)),
        ("previous_certificate_hash", None),
        ("participants", list(roster(3))),
        ("curves", ()),
        ("curves", ("ed25519", "secp256k1")),
        ("curves", ("secp256k1", "secp256k1")),
        ("curves", ("p256",)),
    ],
)
def test_values_out_of_range_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidParameters, match=field):
        replace(CONTEXT, **{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("node_id", ""), ("node_id", "a" * 129), ("verify_key", bytes(31))]
)
def test_participants_are_checked(field: str, value: Any) -> None:
    with pytest.raises(InvalidParameters, match=field):
        replace(roster(1)[0], **{field: value})
