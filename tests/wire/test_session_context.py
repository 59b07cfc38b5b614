"""From an approved intent to the context of a ceremony: one roster and one session id for all (R20, R21)."""

from collections.abc import Sequence
from itertools import permutations

import pytest

from mpc.session import SessionContext
from tests.wire.builders import intent, node_ids, rosters
from wire.fields import WireError
from wire.intent import CEREMONY_TYPES
from wire.session import KEYGEN_PROTOCOL, RESHARE_PROTOCOL, choose_dealers, protocol_of, session_context

MAIN = node_ids("alice", "bob", "carol")


def context_of(type: str, dealers: Sequence[str] = (), attempt: int = 1) -> SessionContext:
    target, source = rosters(type)
    return session_context(intent(type), target, source, attempt, dealers)


def test_the_protocol_follows_from_the_type() -> None:
    assert {type: protocol_of(type) for type in CEREMONY_TYPES} == {
        "KeyGen": KEYGEN_PROTOCOL,
        "KeyGenFromKeyGroup": RESHARE_PROTOCOL,
        "Recovery": RESHARE_PROTOCOL,
        "Refresh": RESHARE_PROTOCOL,
        "Reshare": RESHARE_PROTOCOL,
    }


def test_in_a_key_gen_everybody_deals() -> None:
    context = context_of("KeyGen")
    assert [member.node_id for member in context.participants] == list(MAIN)
    assert (context.dealers, context.pure_dealers, context.previous_certificate_hash) == ((), 0, b"")


def test_pure_dealers_come_after_the_receivers_in_the_order_of_their_shares() -> None:
    context = context_of("KeyGenFromKeyGroup", (MAIN[2], MAIN[0]))
    assert [member.node_id for member in context.participants] == [
        *node_ids("dave", "erin"),
        MAIN[0],
        MAIN[2],
    ]
    assert [(dealer.index, dealer.source_index) for dealer in context.dealers] == [(3, 1), (4, 3)]
    assert (context.receivers, context.pure_dealers) == (2, 2)


def test_who_receives_too_is_one_participant() -> None:
    context = context_of("Reshare", (MAIN[1], MAIN[2]))
    # alice, bob, judy and mallory receive; carol only deals.
    assert [(dealer.index, dealer.source_index) for dealer in context.dealers] == [(2, 2), (5, 3)]
    assert (context.size, context.receivers) == (5, 4)
    assert context.participants[4].node_id == MAIN[2]


@pytest.mark.parametrize("type", ["KeyGenFromKeyGroup", "Recovery", "Refresh", "Reshare"])
def test_r20_the_order_in_which_dealers_are_named_does_not_matter(type: str) -> None:
    _, source = rosters(type)
    assert source is not None
    ids = {context_of(type, order).session_id() for order in permutations(source.node_ids[:2])}
    assert len(ids) == 1


def test_r20_the_session_id_covers_attempt_dealers_and_request() -> None:
    target, source = rosters("Refresh")
    contexts = [
        context_of("Refresh", MAIN[:2]),
        context_of("Refresh", MAIN[:2], attempt=2),
        context_of("Refresh", MAIN[1:]),
        session_context(intent("Refresh", nonce=bytes(32)), target, source, 1, MAIN[:2]),
    ]
    assert len({context.session_id() for context in contexts}) == len(contexts)


def test_a_stranger_does_not_deal() -> None:
    (mallory,) = node_ids("mallory")
    with pytest.raises(WireError, match="no holder of the source group"):
        context_of("Refresh", (MAIN[0], mallory))
    with pytest.raises(WireError, match="no holder of the source group"):
        context_of("KeyGen", (MAIN[0],))


def test_r21_dealers_are_the_first_willing_of_those_that_the_intent_prefers() -> None:
    preferring = intent("Refresh", eligible=(MAIN[2], MAIN[0], MAIN[1]))
    assert choose_dealers(preferring, set(MAIN)) == (MAIN[2], MAIN[0])
    assert choose_dealers(preferring, {MAIN[0], MAIN[1]}) == (MAIN[0], MAIN[1])
    assert choose_dealers(preferring, {MAIN[1]}) == (MAIN[1],)
    assert choose_dealers(intent("KeyGen"), set(MAIN)) == ()
