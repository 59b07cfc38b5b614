"""What a node may do with its share sets: prepare, activate, adopt, abandon, erase (R26).

Pure functions of what the node holds and was shown. The runner obeys them, and a model check
(tests/signers/test_set_model.py) searches all that liars, crashes and a withholding coordinator can do.

Two sets of one group conflict unless the earlier one is of a lower epoch: only one of them may ever be final.
An `activated` signature cannot be taken back, so a node goes on from a set that it activated only if that set
is void: a participant has signed that it abandoned it, and each of its holders either did that too or takes
part in the new ceremony. From the moment when a node has activated a later set it refuses the certificate of
an earlier one that conflicts; from the moment when it has adopted one, it takes no further step for another.
So of two conflicting sets honest holders adopt at most one, even if whoever signed `abandoned` lied.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from wire.intent import RetiredSets

# PREPARED: stored, signed `prepared`; ACTIVATED: holds all prepared signatures, signed `activated`; FINAL:
# certified; ABANDONED: signed that it will never activate it; ERASED: only the certificate is left.
PREPARED, ACTIVATED, FINAL, ABANDONED, ERASED = "prepared", "activated", "final", "abandoned", "erased"


@dataclass(frozen=True)
class HeldSet:
    """A share set of this node.

    digest, session_id: hex, of the request and the ceremony that made it; base: certificate hash of the set
    that dealt it, empty for KeyGen; number: the order in which this node prepared its sets.
    """

    group_id: str
    epoch: int
    digest: str
    attempt: int
    session_id: str
    base: bytes
    state: str
    number: int


@dataclass(frozen=True)
class Roster:
    """Node ids of a ceremony: who signs, and who of them holds shares of the set."""

    participants: frozenset[str]
    holders: frozenset[str]


def conflicting(held: Iterable[HeldSet], group_id: str, epoch: int) -> tuple[HeldSet, ...]:
    """The sets of the group that a new one of this epoch conflicts with."""
    return tuple(each for each in held if each.group_id == group_id and each.epoch >= epoch)


def is_superseded(held: Iterable[HeldSet], group_id: str, epoch: int) -> bool:
    """Whether the group already has a final set of this epoch or a later one."""
    return any(each.state in (FINAL, ERASED) for each in conflicting(held, group_id, epoch))


def may_start(held: Collection[HeldSet], group_id: str, epoch: int, *, fresh: bool) -> bool:
    """Whether the first message of a ceremony may be sent, after abandoning `to_abandon`.

    fresh: KeyGen, whose activated sets nothing makes void: make a new group.
    """
    if is_superseded(held, group_id, epoch):
        return False
    return not (fresh and must_be_void(held, group_id, epoch))


def to_abandon(held: Iterable[HeldSet], group_id: str, epoch: int) -> tuple[HeldSet, ...]:
    """What the node abandons, durably, before a ceremony that it starts or a certificate that it adopts."""
    return tuple(each for each in conflicting(held, group_id, epoch) if each.state == PREPARED)


def must_be_void(held: Iterable[HeldSet], group_id: str, epoch: int) -> tuple[HeldSet, ...]:
    """The sets that round 0 must show to be void before the node goes on."""
    return tuple(each for each in conflicting(held, group_id, epoch) if each.state == ACTIVATED)


def is_void(of_set: Roster, joining: Collection[str], abandoned_by: Collection[str]) -> bool:
    """Whether a set need not be waited for.

    joining: the participants of the new ceremony; abandoned_by: who is known to have signed that it abandoned
    the set.
    """
    if not of_set.participants.intersection(abandoned_by):
        return False
    return of_set.holders <= {*joining, *abandoned_by}


def may_prepare(held: Collection[HeldSet], group_id: str, epoch: int, void: Collection[str]) -> bool:
    """Whether the pending share may be stored and `prepared` be signed. void: session ids of void sets."""
    if is_superseded(held, group_id, epoch) or to_abandon(held, group_id, epoch):
        return False
    return all(each.session_id in void for each in must_be_void(held, group_id, epoch))


def may_activate(held: Collection[HeldSet], session_id: str) -> bool:
    """Whether `activated` may be signed, now that all prepared signatures are here."""
    made = of_session(held, session_id)
    if made is None or made.state != PREPARED:
        return False
    return not is_superseded(held, made.group_id, made.epoch)


def may_adopt(held: Collection[HeldSet], session_id: str) -> bool:
    """Whether the valid final certificate of a set makes it FINAL here."""
    made = of_session(held, session_id)
    if made is None or made.state not in (PREPARED, ACTIVATED):
        return False
    if is_superseded(held, made.group_id, made.epoch):
        return False
    later = (each for each in conflicting(held, made.group_id, made.epoch) if each.number > made.number)
    return all(each.state != ACTIVATED for each in later)


def newest(held: Iterable[HeldSet], group_id: str) -> HeldSet | None:
    """The set that the group signs with, as far as this node knows."""
    final = [each for each in held if each.group_id == group_id and each.state == FINAL]
    return max(final, key=lambda each: (each.epoch, each.attempt), default=None)


def to_erase(
    held: Iterable[HeldSet], group_id: str, epoch: int, session_id: str, retires: Iterable[RetiredSets]
) -> tuple[HeldSet, ...]:
    """What a final set (group, epoch and session of its verified certificate) makes worthless.

    Only what its intent lists, and what failed attempts for its group left behind up to its epoch.
    """
    retired = {each.group_id: each.epoch for each in retires}

    def worthless(each: HeldSet) -> bool:
        if each.group_id == group_id and (
            each.epoch > epoch or (each.epoch == epoch and each.state == FINAL)
        ):
            return False
        left_over = each.group_id == group_id and each.state != FINAL
        return left_over or each.epoch <= retired.get(each.group_id, 0)

    others = (each for each in held if each.session_id != session_id and each.state != ERASED)
    return tuple(filter(worthless, others))


def of_session(held: Iterable[HeldSet], session_id: str) -> HeldSet | None:
    return next((each for each in held if each.session_id == session_id), None)
