"""R26: whatever liars, crashes and a withholding coordinator do, the key stays usable and in one piece.

The search calls the rules that nodes obey (signers.set_rules). To show that it would notice, each weakened
rule must lead it to a broken state.
"""

from collections.abc import Callable
from typing import Any

import pytest

from signers import set_rules
from signers.set_rules import ACTIVATED, FINAL, HeldSet
from tests.signers.set_model import SIGNED_ACTIVATED, Model

pytestmark = pytest.mark.slow

EVERYBODY = frozenset("abl")


def one_liar() -> Model:
    """Three members, t = 2, one of them a liar; two attempts in place, from epoch 1 to 2."""
    return Model(("a", "b"), frozenset("l"), EVERYBODY, (EVERYBODY, EVERYBODY))


def three_attempts() -> Model:
    return Model(("a", "b"), frozenset("l"), EVERYBODY, (EVERYBODY,) * 3)


def other_members() -> Model:
    """The second ceremony is another request, a change of members that takes b out and d in."""
    return Model(("a", "b", "d"), frozenset("l"), EVERYBODY, (EVERYBODY, frozenset("adl")))


def all_honest() -> Model:
    return Model(("a", "b", "c"), frozenset(), frozenset("abc"), (frozenset("abc"), frozenset("abc")))


@pytest.mark.parametrize(
    ("make", "at_least"),
    [(one_liar, 800), (other_members, 1000), (all_honest, 7000), (three_attempts, 10_000)],
)
def test_r26_no_reachable_state_loses_the_key_or_makes_two_sets_final(
    make: Callable[[], Model], at_least: int
) -> None:
    model = make()
    path = model.search()
    assert path is None, path
    assert len(model.seen) > at_least


def test_the_search_reaches_what_it_is_about() -> None:
    model = one_liar()
    assert model.search() is None
    seen = model.seen
    for attempt in (0, 1):
        assert any(all(node.parts[attempt].held == FINAL for node in world) for world in seen)
        assert any(all(node.old == "erased" for node in world) for world in seen)
    # A lying `abandoned`: attempt 1 could be certified, and both went on to finish attempt 2.
    assert any(
        all(node.parts[0].spoken == SIGNED_ACTIVATED and node.parts[1].held == FINAL for node in world)
        for world in seen
    )


# Each rule, weakened, and the promise that breaks.


def _adopts_whatever_is_certified(held: Any, session_id: str) -> bool:
    made = set_rules.of_session(held, session_id)
    return made is not None and made.state in ("prepared", "activated")


def _prepares_after_adoption(held: Any, group_id: str, epoch: int, void: Any) -> bool:
    return True


def _erases_once_activated(held: Any, group_id: str) -> HeldSet | None:
    made = [each for each in held if each.state in (ACTIVATED, FINAL) and each.epoch == 2]
    return max(made, key=lambda each: each.number, default=None)


def _keeps_what_it_prepared(held: Any, group_id: str, epoch: int) -> tuple[HeldSet, ...]:
    return ()


def _needs_no_statement(of_set: Any, joining: Any, abandoned_by: Any) -> bool:
    return True


def _one_statement_is_enough(of_set: Any, joining: Any, abandoned_by: Any) -> bool:
    return bool(of_set.participants & set(abandoned_by))


def _activates_whatever_it_prepared(held: Any, session_id: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("make", "rule", "weakened", "promise"),
    [
        (one_liar, "may_adopt", _adopts_whatever_is_certified, "two sets are final"),
        (one_liar, "newest", _erases_once_activated, "fewer than t holders"),
        (one_liar, "may_activate", _activates_whatever_it_prepared, "two sets are final"),
        (other_members, "is_void", _one_statement_is_enough, "two sets are final"),
        (other_members, "is_void", _needs_no_statement, "two sets are final"),
        (all_honest, "is_void", _needs_no_statement, "a holder refuses a certificate"),
    ],
)
def test_a_weakened_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Model], rule: str, weakened: Any, promise: str
) -> None:
    monkeypatch.setattr(set_rules, rule, weakened)
    model = make()
    path = model.search()
    assert path is not None
    assert model.broken(path[-1]) == promise
